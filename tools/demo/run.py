"""Runs the project of this folder on real Airflow with a real object store on loopback, and shows where its XComs went.

`start.py` starts it, in the project's folder and with the project's own Python.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import httpx
from dotenv import dotenv_values
from object_stores import ObjectStore, open_store
from rich.console import Console
from rich.table import Table

from tools.processes import Process, free_port

PROJECT = Path.cwd()
DAG_IDS = ["custom_xcom_backend_test", *(path.stem for path in sorted(PROJECT.glob("dags/astro_sdk_*.py")))]
DAG_IDS += [path.stem for path in PROJECT.glob("dags/dataframe_xcom_test.py")]
HOME = PROJECT / ".airflow-demo"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
BIN = Path(sys.executable).parent

VERSION = version("apache-airflow")
AIRFLOW_2 = VERSION.startswith("2.")

ENDINGS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
console = Console(highlight=False, record=True)


@dataclass(frozen=True)
class Rest:
    """What of the REST API and the web UI differs between Airflow 2 and 3."""

    api: str
    health: str
    new_run: dict[str, Any]
    xcom_page: str

    def headers(self, url: str) -> dict[str, str]:
        """Return what a request must carry to be let in: on Airflow 3 a token, which anybody on loopback gets."""
        if AIRFLOW_2:
            return {}
        return {"Authorization": f"Bearer {httpx.get(f'{url}/auth/token').json()['access_token']}"}


REST = (
    Rest("/api/v1", "/health", {}, "/dags/{dag_id}/grid?dag_run_id={run_id}&task_id={task_id}&tab=xcom")
    if AIRFLOW_2
    else Rest(
        "/api/v2", "/api/v2/monitor/health", {"logical_date": None}, "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/xcom"
    )
)


@dataclass(frozen=True)
class StoredXCom:
    """An XCom of the last run: its row in the metadata database, and the object behind the row, if there is one."""

    task_id: str
    key: str
    row: Any
    type: str
    value_bytes: int
    object_bytes: int | None


def main() -> None:
    """Run the Dag once, show the table, and in UI mode keep Airflow until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ui", action="store_true")
    parser.add_argument("--picture", type=Path, help="write the result as an SVG picture here")
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the object store need not tell each request
    settings = {name: value or "" for name, value in dotenv_values(".env").items()}
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    with store_for(settings[PATH]) as store:
        console.print(f"[bold]3/4 Starting the object store and the metadata database[/]: {store.name}, SQLite")
        os.environ.update(airflow_settings(settings, store))
        make_database()
        examine()
        log = log_file().relative_to(PROJECT.parent.parent)
        console.print(f"[bold]4/4 Running {' and '.join(DAG_IDS)} on Airflow {VERSION}[/] (log: {log})")
        if arguments.ui:
            with web_ui() as url:
                pages = [xcom_page(url, dag_id, trigger(url, dag_id)) for dag_id in DAG_IDS]
                if Path("plugins", "xcom_explorer").exists():
                    pages.append(pages[-1].removesuffix("/xcom") + "/plugin/xcom-values")
                for dag_id in DAG_IDS:
                    report(dag_id)
                keep_open(url, pages)
        else:
            for dag_id in DAG_IDS:
                airflow("dags", "test", dag_id)
                report(dag_id)
    if arguments.picture:
        save_picture(arguments.picture)


def store_for(path: str) -> AbstractContextManager[ObjectStore]:
    """Return the store to run with: an emulator for a cloud. A folder needs none, it is used as it is."""
    if urlsplit(path).scheme == "file":
        return nullcontext(ObjectStore(f"the folder {path.removeprefix('file://')}", path))
    emulator: AbstractContextManager[ObjectStore] = open_store(path)
    return emulator


def airflow_settings(settings: dict[str, str], store: ObjectStore) -> dict[str, str]:
    """Return the environment of Airflow: the project's `.env`, with the emulator in place of the cloud."""
    connection_id = urlsplit(store.path).username
    connection = {f"AIRFLOW_CONN_{connection_id.upper()}": store.connection} if connection_id else {}
    if "AIRFLOW_CONN_ASTRO_SDK_SQLITE" in settings:
        database = {"conn_type": "sqlite", "host": str(HOME / "astro_sdk.db")}
        connection["AIRFLOW_CONN_ASTRO_SDK_SQLITE"] = json.dumps(database)
    return {
        **settings,
        **connection,
        PATH: store.path,
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(PROJECT),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }


def examine() -> None:
    """Let the project's doctor look first, and say in a line that all is well.

    :raises SystemExit: with what the doctor found, except that the threshold is -1: whoever runs this asked for it
    """
    shutil.copy("Dockerfile", HOME)  # HOME has no .env, whose connection is not the one of the emulator
    command = [sys.executable, "-W", "ignore", "-m", "include.xcom_doctor", "--project", str(HOME), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{done.stdout}{done.stderr}")
    results = json.loads(done.stdout)["results"]
    healthy = [
        one for one in results if one["state"] == "ok"
    ]  # its warnings are about the emulator, whose bucket is bare
    findings = [one for one in results if one["state"] == "finding"]
    for one in findings:
        console.print(f"xcom_doctor: {one['check']}: {one['seen']}\n  {one['why']}\n  {one['fix']}", markup=False)
    if [one for one in findings if one["check"] != "threshold.negative"]:
        sys.exit("The XCom doctor has findings: the last lines of each fix it.")
    console.print(f"xcom_doctor: {len(healthy)} checks healthy")


def make_database() -> None:
    """Make the metadata database: the first time in this environment by Airflow, from then on as a copy of that one."""
    database, empty = HOME / "airflow.db", Path(sys.prefix, "empty.db")
    if not empty.exists():
        airflow("db", "migrate")
        shutil.copy(database, HOME / "empty.db")
        (HOME / "empty.db").replace(empty)
    shutil.copy(empty, database)


@cache
def load_airflow() -> tuple[Any, Any, Any]:
    """Import Airflow into this process, which reads its settings only then, and return what reads XComs with it."""
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    from airflow.providers.common.compat.sdk import ObjectStoragePath, XCom
    from airflow.utils.json import XComEncoder

    return ObjectStoragePath, XCom, XComEncoder


def log_file() -> Path:
    """Return where the output of Airflow goes."""
    return HOME / "airflow.log"


def airflow(*arguments: str) -> None:
    """Run a command of the Airflow CLI to its end.

    :raises SystemExit: with the end of the log, if it fails
    """
    with log_file().open("ab") as log:
        process = subprocess.Popen([str(BIN / "airflow"), *arguments], stdout=log, stderr=log)
        try:
            load_airflow()  # meanwhile: it takes seconds
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()  # Ctrl-C reached it too, SIGTERM did not
            process.wait()
            raise
    if code:
        tail = "\n".join(log_file().read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"{tail}\n`airflow {' '.join(arguments)}` failed: the whole log is in {log_file()}")


def report(dag_id: str) -> None:
    """Print the table of where each XCom of a Dag lives, and what it proves."""
    if dag_id == "custom_xcom_backend_test":
        xcoms = [xcom for xcom in read_xcoms(dag_id) if xcom.task_id == "push_objects"]
        console.print(table_of(xcoms, f"XComs of push_objects, threshold {os.environ[THRESHOLD]} bytes", "XCom key"))
        for xcom in xcoms:
            console.print(sentence(xcom.key, xcom))
        console.print("pull_objects got both back and found them equal to what was pushed.")
    else:
        xcoms = [xcom for xcom in read_xcoms(dag_id) if xcom.key == "return_value"]
        console.print(table_of(xcoms, f"What the tasks of {dag_id} returned", "Task"))
        for xcom in xcoms:
            if xcom.object_bytes is not None:
                console.print(sentence(f"What {xcom.task_id} returned", xcom))


def table_of(xcoms: list[StoredXCom], title: str, first: str) -> Table:
    """Return the table of where each XCom lives. Its first column is ``XCom key`` or ``Task``."""
    table = Table(title=f"\n{title}", title_justify="left")
    for heading in (first, "Type", "Encoded bytes", "Where it lives", "Stored bytes"):
        table.add_column(heading, justify="right" if "bytes" in heading else "left", overflow="fold")
    for xcom in xcoms:
        in_store = xcom.object_bytes is not None
        where = "\n".join(referred(xcom.row)) if in_store else "metadata database"
        stored = f"{xcom.object_bytes:,}" if in_store else "-"
        table.add_row(
            xcom.key if first == "XCom key" else xcom.task_id, xcom.type, f"{xcom.value_bytes:,}", where, stored
        )
    return table


def save_picture(file: Path) -> None:
    """Save what was printed so far as SVG, in a font of the viewer's own: no picture of ours loads anything."""
    svg = console.export_svg(title="make demo")
    file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def sentence(name: str, xcom: StoredXCom) -> str:
    """Say in a sentence what the table proves about one XCom."""
    kind = "path" if isinstance(xcom.row, str) else "reference"
    if xcom.object_bytes is None:
        return f"{name} has {xcom.value_bytes:,} bytes: the metadata database holds the value itself."
    return (
        f"{name} has {xcom.value_bytes:,} bytes: the metadata database holds only a {kind} of "
        f"{len(json.dumps(xcom.row)):,} characters, and the object of {xcom.object_bytes:,} bytes is in the store."
    )


def referred(row: Any) -> list[str]:
    """Return the object storage paths that a row refers to: none if it holds the value itself."""
    if isinstance(row, dict) and row.get("kind") == "reference":  # of the custom class
        return list(row["paths"])
    return [row] if isinstance(row, str) and row.startswith(os.environ[PATH].split("://")[0] + "://") else []


def read_xcoms(dag_id: str) -> list[StoredXCom]:
    """Read a Dag's rows from the metadata database, and the objects behind them from the store."""
    ObjectStoragePath, XCom, XComEncoder = load_airflow()  # noqa: N806 - they are classes
    with sqlite3.connect(f"file:{HOME}/airflow.db?mode=ro", uri=True) as database:
        query = "SELECT task_id, key, value FROM xcom WHERE dag_id = ? ORDER BY length(value)"
        rows = database.execute(query, [dag_id]).fetchall()
    xcoms = []
    for task_id, key, stored in rows:
        row = json.loads(stored)
        size = sum(ObjectStoragePath(path).stat().st_size for path in referred(row)) or None
        # Airflow 2 hands its backend the bytes of the column, Airflow 3 what their JSON says.
        value = XCom.deserialize_value(SimpleNamespace(key=key, value=stored if AIRFLOW_2 else row))
        # The custom class says how many bytes its format made of the value: of a table that is no JSON.
        of_custom_class = isinstance(row, dict) and referred(row)
        encoded = row["decoded_size"] if of_custom_class else len(json.dumps(value, cls=XComEncoder))
        xcoms.append(StoredXCom(task_id, key, row, type(value).__name__, encoded, size))
    return xcoms


@contextmanager
def web_ui() -> Iterator[str]:
    """Start all of Airflow with its web UI, which on loopback needs no login, and yield the address of the UI."""
    port = free_port()
    url = f"http://localhost:{port}"
    if AIRFLOW_2:
        (HOME / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = True\n')
        os.environ.update(
            {
                "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
                "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
                "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
            }
        )
    else:
        os.environ.update(
            {
                "AIRFLOW__API__HOST": "127.0.0.1",
                "AIRFLOW__API__PORT": str(port),
                "AIRFLOW__CORE__PARALLELISM": "2",  # the default is 32 processes
                "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # seconds: a task fails at once on a busy machine
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            }
        )
    # In a session of its own, so that Ctrl-C reaches it once, from here, after the web UI was used.
    process = Process("Airflow", [str(BIN / "airflow"), "standalone"], PROJECT, os.environ, log_file())
    process.end_signal = signal.SIGINT  # by which it ends its own processes
    try:
        wait_until_healthy(url, process, seconds=300)
        yield url
    finally:
        process.stop()


def wait_until_healthy(url: str, process: Process, seconds: float) -> None:
    """Wait until scheduler and metadata database report themselves healthy.

    :raises SystemExit: if Airflow ends, or is not healthy after ``seconds``
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.running():
        try:
            health = httpx.get(f"{url}{REST.health}").json()
            if health["scheduler"]["status"] == health["metadatabase"]["status"] == "healthy":
                return
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(1)
    sys.exit(f"Airflow did not start: see {log_file()}")


def trigger(url: str, dag_id: str) -> str:
    """Run a Dag as a person would, through the REST API, wait for its end, and return the run ID.

    :raises SystemExit: if the run does not succeed within 300 seconds
    """
    dag = f"{url}{REST.api}/dags/{dag_id}"
    with httpx.Client(headers=REST.headers(url), timeout=60) as api:
        deadline = time.monotonic() + 300
        while api.get(dag).status_code == httpx.codes.NOT_FOUND and time.monotonic() < deadline:
            time.sleep(1)  # Airflow has not read the file yet
        api.patch(dag, json={"is_paused": False}).raise_for_status()
        run_id = str(api.post(f"{dag}/dagRuns", json=REST.new_run).raise_for_status().json()["dag_run_id"])
        while time.monotonic() < deadline:
            state = api.get(f"{dag}/dagRuns/{quote(run_id)}").json()["state"]
            if state == "success":
                return run_id
            if state == "failed":
                break
            time.sleep(1)
    sys.exit(f"The run {run_id} did not succeed: see {url} and {log_file()}")


def xcom_page(url: str, dag_id: str, run_id: str) -> str:
    """Return the address at which the web UI shows the XComs of a run."""
    task_id = {"astro_sdk_xcom": "simulate", "dataframe_xcom_test": "make_frame"}.get(dag_id, "push_objects")
    return url + REST.xcom_page.format(dag_id=dag_id, task_id=task_id, run_id=quote(run_id))


def keep_open(url: str, pages: list[str]) -> None:
    """Say where to click, and wait for Ctrl-C."""
    console.print(f"\nAirflow is open at [cyan]{url}[/]. The XComs of this run:")
    for page in pages:
        console.print(f"[cyan]{page}[/]", soft_wrap=True)
    console.print("Press Ctrl-C to end it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("\nEnding Airflow and the object store.")


def interrupt(*_: object) -> NoReturn:
    """End as by Ctrl-C, once: another signal would interrupt what ends the processes."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for ending in ENDINGS:
        signal.signal(ending, interrupt)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. All that was started has ended.")
