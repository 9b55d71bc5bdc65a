"""Counts what becomes of compressed XComs, with either backend: `make record ONLY=compression`.

Bakes a project and runs `dags/compression_dags.py` on real Airflow, once with each backend, against emulators of S3 and
Google Cloud Storage, some of them slow or refusing. Then it looks into the buckets, prints a table, and writes
records/compression.json. Exits 1 if a push with the project's backend, or one without compression, did
not become what it should.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from tools.demo.start import bake
from tools.environments import project_environment
from tools.pages.compression import RECORD, result
from tools.processes import free_port
from tools.proxy import HOST, Fault, proxy

ROOT = Path(__file__).parent.parent

BACKENDS = {
    "provider": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "emitted": "include.xcom_object_storage.XComObjectStorageBackend",
}
# The scheme, and what the proxy before the store does to uploads.
STORES = ("s3", "gs", "gs-slow", "s3-403", "gs-403")
UPLOADS = ("PUT", "POST")
FAULTS = {
    "slow": Fault("late", UPLOADS, seconds=0.3),
    "403": Fault("status", UPLOADS, status=403, code="AccessDenied"),
}
COMPRESSIONS = ("none", "gzip", "zip", "bz2", "xz")
PROVIDERS = [f"apache-airflow-providers-{name}" for name in ("common-io", "amazon", "google")]
PACKAGES = ["apache-airflow", *PROVIDERS, "fsspec", "s3fs", "gcsfs", "moto", "gcp-storage-emulator"]
TAKEN_AWAY = ("AIRFLOW", "AWS_", "GOOGLE_", "GCP_")


@dataclass(frozen=True)
class Store:
    """A store as tasks reach it, by path and connection, and as this script does, past any proxy."""

    name: str
    path: str
    connection: str
    files: Any


@dataclass(frozen=True)
class Push:
    """What became of one push."""

    backend: str
    store: str
    compression: str
    state: str
    in_bucket: str
    pulled: str
    logged: str

    @property
    def is_right(self) -> bool:
        """Whether the value is there, or the task failed because the store refused it."""
        right = ("failed", "no row", "nothing") if self.store.endswith("403") else ("success", "yes", "value")
        return (self.state, self.in_bucket, self.pulled) == right


def main() -> int:
    """Return 0 if each push with the project's backend, and each without compression, became what it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="pushes for each backend, store and compression")
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)  # set when it starts itself in the project
    arguments = parser.parse_args()
    if arguments.project is None:
        start_in_project(arguments.runs)
    started = time.monotonic()
    pushes = measure(arguments.project, arguments.runs)
    about = {"runs": arguments.runs, "backends": BACKENDS, "python": platform.python_version()}
    record = {**about, "versions": {name: version(name) for name in PACKAGES}, "pushes": list(map(astuple, pushes))}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"\n{result(record)}\n\nWritten to {os.path.relpath(RECORD)} after {time.monotonic() - started:.0f} seconds.")
    checked = [push for push in pushes if push.backend == "emitted" or push.compression == "none"]
    wrong = [push for push in checked if not push.is_right]
    for push in wrong:
        print(f"Not what it should be: {push}")
    return 1 if wrong else 0


def start_in_project(runs: int) -> NoReturn:
    """Bake, install what the projects of both clouds need, and go on as this script in that environment."""
    print("Baking, and installing what both clouds need into .venv-proof (the first time about 1 minute)", flush=True)
    answers = {"compression": "gzip"}
    projects = [bake({**answers, "cloud": cloud, "project_slug": f"xcom-proof-{cloud}"}) for cloud in ("aws", "gcp")]
    python = project_environment("proof", [project / "requirements-dev.txt" for project in projects])
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(projects[0] / "tests")])
    os.execv(python, [str(python), __file__, f"--runs={runs}", f"--project={projects[0]}"])  # noqa: S606


def measure(project: Path, runs: int) -> list[Push]:
    """Run the Dags with each backend, and return what became of each push."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as on Ctrl-C, all that was started ends too
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto need not tell each request
    home = project / ".airflow-proof"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    compressions = [compression for compression in COMPRESSIONS for _ in range(runs)]
    with open_stores() as stores, closing(Airflow(home, project, stores)) as airflow:
        airflow.start("db", "migrate").wait()
        for backend, name in BACKENDS.items():
            print(f"Running the Dags with {name} (log: {os.path.relpath(home)}/airflow.log)", flush=True)
            paths = {f"{backend}-{store.name}": store.path for store in stores}
            proof = {"paths": paths, "compressions": compressions, "results": str(home)}
            airflow.run_dags({"AIRFLOW__CORE__XCOM_BACKEND": name, "PROOF": json.dumps(proof)})
        cases = [(backend, store) for backend in BACKENDS for store in stores]
        return [push for case in cases for push in look(airflow, *case, compressions)]


@contextmanager
def open_stores() -> Iterator[list[Store]]:
    """Start the emulators that the tests of the project use, and the proxies that make them worse."""
    import fsspec
    from object_stores import open_store

    with ExitStack() as running:
        stores = []
        emulators = {scheme: running.enter_context(open_store(f"{scheme}://ID@bucket/xcom")) for scheme in ("s3", "gs")}
        for name in STORES:
            scheme, _, fault = name.partition("-")
            emulator, connection_id = emulators[scheme], name.replace("-", "_")
            extra = json.loads(emulator.connection)["extra"]
            endpoint = extra["endpoint_url" if scheme == "s3" else "gcs.endpoint"]
            reached = endpoint
            if fault:
                before = running.enter_context(proxy(endpoint))
                before.fault, reached = FAULTS[fault], before.url
            login = {"key": "test", "secret": "test"} if scheme == "s3" else {"token": "anon"}
            files = fsspec.filesystem(scheme, endpoint_url=endpoint, **login)
            path = emulator.path.replace("ID@", f"{connection_id}@")
            stores.append(Store(name, path, emulator.connection.replace(endpoint, reached), files))
        yield stores


class Airflow:
    """Airflow's processes, each in a session of its own: Ctrl-C reaches this script alone, which then ends them all."""

    def __init__(self, home: Path, project: Path, stores: list[Store]) -> None:
        """Make all settings but the backend, with nothing of this machine's own Airflow and clouds."""
        self.home = home
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.settings = {name: value for name, value in os.environ.items() if not name.startswith(TAKEN_AWAY)} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "benchmarks" / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{self.port}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": str(project),
        }
        for store in stores:
            self.settings[f"AIRFLOW_CONN_{store.name.replace('-', '_').upper()}"] = store.connection

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of the Airflow CLI."""
        command = [str(Path(sys.executable).parent / "airflow"), *arguments]
        with (self.home / "airflow.log").open("ab") as log:
            output: dict[str, Any] = {"stdout": log, "stderr": log}
            process = subprocess.Popen(command, env=self.settings, start_new_session=True, **output)
        self.processes.append(process)
        return process

    def run_dags(self, settings: dict[str, str], seconds: float = 600) -> None:
        """Run each Dag once, each task in a supervised child process, then end Airflow.

        :raises SystemExit: if a process of Airflow ends early, or a Dag has not ended after ``seconds``
        """
        from object_stores import wait_for_port

        self.settings |= settings
        wanted = self.finished_runs() + len(STORES)
        services = [self.start("api-server", "--host", HOST, "--port", str(self.port), "--workers", "1")]
        services.append(self.start("dag-processor"))
        wait_for_port(self.port, seconds=120)
        services.append(self.start("scheduler", "--skip-serve-logs"))
        deadline = time.monotonic() + seconds
        while self.finished_runs() < wanted:
            if time.monotonic() > deadline or any(process.poll() is not None for process in services):
                sys.exit(f"Airflow ended, or the Dags did not in {seconds:.0f} seconds: see {self.home}/airflow.log")
            time.sleep(1)
        self.close()

    def finished_runs(self) -> int:
        """Count the Dag runs that have ended."""
        return len(self.query("SELECT 1 FROM dag_run WHERE state IN ('success', 'failed')"))

    def query(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        """Read from the metadata database. Not with mode=ro: that fails now and then when no writer is left."""
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as connection:
            return connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """End by its ID each process of the sessions started here: a task leads a process group of its own."""
        import psutil

        sessions = {process.pid for process in self.processes}
        for end in (signal.SIGTERM, signal.SIGKILL):
            for pid in psutil.pids():
                with suppress(OSError):  # it has just ended
                    if os.getsid(pid) in sessions:
                        os.kill(pid, end)
            for process in self.processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)
        self.processes.clear()


def look(airflow: Airflow, backend: str, store: Store, compressions: list[str]) -> list[Push]:
    """Return what became of the pushes to one store, by the metadata database, the bucket, the pulls and the logs."""
    dag_id = f"{backend}-{store.name}"
    states = dict(airflow.query("SELECT map_index, state FROM task_instance WHERE task_id='push' AND dag_id=?", dag_id))
    rows = dict(airflow.query("SELECT map_index, value FROM xcom WHERE key='value' AND dag_id=?", dag_id))
    pulled = json.loads((airflow.home / f"{dag_id}.json").read_text())
    pushes = []
    for index, compression in enumerate(compressions):
        in_bucket = "no row"
        if index in rows:
            in_bucket = "yes" if store.files.exists(json.loads(rows[index]).partition("@")[2]) else "NO"
        logs = airflow.home.glob(f"logs/dag_id={dag_id}/*/task_id=push/map_index={index}/*.log")
        log = "".join(file.read_text() for file in logs)
        logged = next((words for words in ("Exception ignored in", "PermissionError", "OSError") if words in log), "")
        pushes.append(Push(backend, store.name, compression, states[index], in_bucket, pulled[index], logged))
    return pushes


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. All that was started has ended.")
