"""Walks a project from Airflow 2.11 to 3.3: XComs written before `airflow db migrate` are read after it.

Run it with `.venv/bin/python e2e/upgrade/walk.py`. It writes with the project of `airflow: 2`, copies the metadata
database, migrates the copy with Airflow 3, and reads with the project of `airflow: 3`. Exit code 1 if a value changed.
The metadata database is PostgreSQL, as on Astro: its programs (initdb, pg_ctl) have to be on this machine. With
`--sqlite` it is SQLite, where the migration itself loses all XComs. With `--custom` both sides have the custom class.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tools.baking import CONFIG, bake
from tools.environments import project_environment
from tools.processes import free_port

ROOT = Path(__file__).parent.parent.parent

DAGS = Path(__file__).parent / "dags"
CLOUD = "gcp"  # its provider brings pandas on both Airflows
BUCKET = "xcom-tests"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
# Airflow 2 keeps bytes of JSON, Airflow 3 JSON, which PostgreSQL would hand out parsed.
ROWS_OF_2 = "SELECT key, value FROM xcom WHERE dag_id = :dag_id"
ROWS_OF_3 = "SELECT key, CAST(value AS TEXT) FROM xcom WHERE dag_id = :dag_id"
# The URLs of the database before and after, and what copies the one to the other.
Database = tuple[str, str, Callable[[], object]]

console = Console(highlight=False, width=120)


def main() -> int:
    """Walk, print what each step left, and return 0 if every value came back equal."""
    database = sqlite if "--sqlite" in sys.argv[1:] else postgresql
    with (
        tempfile.TemporaryDirectory(prefix="upgrade-") as name,
        store(Path(name)) as settings,
        database(Path(name)) as (before_url, after_url, copy),
    ):
        folder = Path(name)
        backend = "custom" if "--custom" in sys.argv[1:] else "object_storage"
        before = Side("2", backend, folder, {**settings, DATABASE: before_url})
        before.airflow("db", "migrate")
        before.airflow("dags", "test", "write_values")
        run_id, written = before.run_of("write_values"), before.rows("write_values")
        console.print(f"Airflow {before.version} wrote {len(written)} XComs with {before.backend}")

        after = Side("3", backend, folder, {**settings, DATABASE: after_url})
        copy()
        after.airflow("db", "migrate")
        migrated = after.rows("write_values")
        console.print(f"`airflow db migrate` of Airflow {after.version} went through the copied metadata database")

        after.airflow("dags", "test", "read_values", "--conf", json.dumps({"run_id": run_id}))
        after.run_of("read_values")
        verdicts = json.loads(after.rows("read_values")["verdicts"])
        console.print(f"Airflow {after.version} read them with {after.backend}")
        console.print(table(written, migrated, verdicts))
    changed = [key for key in written if verdicts.get(key) != "equal"]
    console.print(f"{len(written) - len(changed)} of {len(written)} came back equal.")
    return int(bool(changed))


class Side:
    """One side of the upgrade: a project for this Airflow, its environment, and a metadata database."""

    def __init__(self, airflow: str, backend: str, folder: Path, settings: dict[str, str]) -> None:
        """Bake the project into the folder, and install what it needs."""
        home = folder / f"home-{airflow}"
        home.mkdir()
        self.version = CONFIG["_airflow"][airflow]["version"]
        answers = {"cloud": CLOUD, "airflow": airflow, "xcom_backend": backend}
        self.project = bake(folder, folder / f"bake-{airflow}", answers, accept_hooks=False)
        self.python = environment(airflow, backend, self.project)
        emitted = dict(
            line.split("=", 1)
            for line in (self.project / ".env").read_text().splitlines()
            if line.startswith("AIRFLOW__")
        )
        self.backend = emitted["AIRFLOW__CORE__XCOM_BACKEND"]
        self.environment = {
            **os.environ,
            **emitted,
            **settings,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": str(self.project),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def airflow(self, *arguments: str) -> None:
        """Run a command of this side's Airflow.

        :raises SystemExit: with the end of its output, if it fails
        """
        command = [str(self.python.parent / "airflow"), *arguments]
        done = subprocess.run(command, cwd=self.project, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(
                f"`airflow {' '.join(arguments)}` of {self.version} failed:\n{(done.stdout + done.stderr)[-3000:]}"
            )

    def query(self, query: str, **values: str) -> list[Any]:
        """Return the rows of a query to the metadata database, asked by this side's own SQLAlchemy."""
        code = (
            "import json, sys, sqlalchemy as sa\n"
            "url, query, values = sys.argv[1:]\n"
            "with sa.create_engine(url).connect() as database:\n"
            "    rows = [list(row) for row in database.execute(sa.text(query), json.loads(values))]\n"
            "print(json.dumps(rows, default=lambda value: bytes(value).decode()))"
        )
        command = [str(self.python), "-c", code, self.environment[DATABASE], query, json.dumps(values)]
        return list(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    def rows(self, dag_id: str) -> dict[str, Any]:
        """Return what the XCom rows of a Dag hold by key, as JSON values."""
        query = ROWS_OF_2 if self.version.startswith("2.") else ROWS_OF_3
        rows = self.query(query, dag_id=dag_id)
        return {key: json.loads(value) for key, value in rows}

    def run_of(self, dag_id: str) -> str:
        """Return the ID of the Dag's one run.

        :raises SystemExit: if it did not succeed
        """
        ((run_id, state),) = self.query("SELECT run_id, state FROM dag_run WHERE dag_id = :dag_id", dag_id=dag_id)
        if state != "success":
            sys.exit(f"{dag_id} on Airflow {self.version}: {state}")
        return str(run_id)


def environment(airflow: str, backend: str, project: Path) -> Path:
    """Return the Python of an environment for this Airflow and backend, the cloud of this walk, and PostgreSQL."""
    drivers = ROOT / "requirements" / "upgrade.in"
    name = f"upgrade-{airflow}{'-custom' if backend == 'custom' else ''}"
    return project_environment(name, [project / "requirements-dev.txt", drivers], airflow)


@contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    """Yield the URLs of two SQLite databases, and what copies the first to the second."""
    before, after = folder / "before.db", folder / "after.db"
    yield f"sqlite:///{before}", f"sqlite:///{after}", lambda: shutil.copy(before, after)


@contextmanager
def postgresql(folder: Path) -> Iterator[Database]:
    """Start a PostgreSQL server on loopback, and yield the same of two of its databases.

    :raises SystemExit: if this machine has no PostgreSQL
    """
    if not (shutil.which("initdb") and shutil.which("pg_ctl")):
        sys.exit("This needs the programs of PostgreSQL on the PATH: initdb and pg_ctl.")
    data, port = folder / "postgresql", free_port()
    data.mkdir()
    # PostgreSQL refuses to run as root: then it runs as the user that its package made.
    as_root = os.geteuid() == 0
    user = ["su", "postgres", "-s", "/bin/sh", "-c"] if as_root else ["/bin/sh", "-c"]
    if as_root:
        folder.chmod(0o755)
        shutil.chown(data, "postgres")

    def run(command: str) -> None:
        subprocess.run([*user, command], cwd=data, check=True, stdout=subprocess.DEVNULL)

    path = f"PATH={os.environ['PATH']}"
    run(f"{path} initdb --pgdata={data}/db --auth=trust --username=airflow --encoding=UTF8 --no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"
    run(f"{path} pg_ctl --pgdata={data}/db --wait --log={data}/log --options='{options}' start")
    psql = f"{path} psql --quiet --host=127.0.0.1 --port={port} --username=airflow --dbname=postgres --command"
    try:
        run(f"{psql} 'CREATE DATABASE before'")
        url = f"postgresql+psycopg2://airflow@127.0.0.1:{port}/"
        yield f"{url}before", f"{url}after", lambda: run(f"{psql} 'CREATE DATABASE after TEMPLATE before'")
    finally:
        run(f"{path} pg_ctl --pgdata={data}/db --mode=immediate stop")


@contextmanager
def store(folder: Path) -> Iterator[dict[str, str]]:
    """Start an emulator of Google Cloud Storage, and yield the settings with which both sides reach it."""
    project = bake(folder, folder / "bake-store", {"cloud": CLOUD}, accept_hooks=False)
    port = free_port()
    command = [
        str(environment("3", "object_storage", project)),
        str(project / "tests" / "object_stores.py"),
        "start",
        "--host=127.0.0.1",
    ]
    command += [f"--port={port}", "--in-memory", f"--default-bucket={BUCKET}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        connection_id = CONFIG["_clouds"][CLOUD]["connection_id"]
        extra = {"project": "test", "is_anonymous": True, "gcs.endpoint": f"http://127.0.0.1:{port}"}
        yield {
            PATH: f"gs://{connection_id}@{BUCKET}/xcom",
            f"AIRFLOW_CONN_{connection_id.upper()}": json.dumps({"conn_type": "google_cloud_platform", "extra": extra}),
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
    finally:
        server.terminate()
        server.wait()


def table(written: dict[str, Any], migrated: dict[str, Any], verdicts: dict[str, str]) -> Table:
    """Return what became of each XCom as a table."""
    result = Table(title="\nXComs from 2.11 to 3.3", title_justify="left")
    for heading in ("XCom", "Row of 2.11", "Row after db migrate", "Pulled by 3.3"):
        result.add_column(heading, overflow="fold")
    for key, row in written.items():
        after = "the same" if key in migrated and migrated[key] == row else str(migrated.get(key, "gone"))
        result.add_row(key, shorten(row), after, verdicts.get(key, "-"))
    return result


def shorten(row: Any) -> str:
    """Return the start of a row's JSON, or that it is a path."""
    if isinstance(row, str) and row.startswith("gs://"):
        return "a path: gs://…"
    if isinstance(row, dict) and row.get("kind") == "reference":
        return f"a reference: {row['codec']}"
    text = json.dumps(row)
    return text if len(text) <= 40 else f"{text[:37]}…"


if __name__ == "__main__":
    sys.exit(main())
