"""An Airflow of a few processes, of any version: enough to ask what its scheduler and API server do."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from tools.processes import Process, free_port, processes_in
from tools.servers import PostgreSQL

HOST = "127.0.0.1"
STEPS = Path(__file__).with_name("probes") / "run_steps.py"
AIRFLOW_2 = {"AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"}
AIRFLOW_3 = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": "2",
    "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
}


class Airflow:
    """One deployment: a home, a metadata database, and the processes that were started in it."""

    seconds = 600  # that anything may take on a busy machine

    def __init__(
        self,
        folder: Path,
        python: Path,
        project: Path,
        dags: Path,
        airflow: str,
        settings: dict[str, str],
        migrated: Path | None = None,
        server: PostgreSQL | None = None,
        prefix: str = "",
    ):
        """Make the database; nothing runs yet.

        :param folder: an empty folder for its home, its database and its logs
        :param airflow: the answer to the template's question of this name, or ``next``
        :param settings: environment variables for every process
        :param migrated: an SQLite database to copy, which is quicker than to migrate one
        :param server: holds the metadata database in place of SQLite
        :param prefix: the path of the web UI behind a proxy, such as ``/airflow``
        """
        self.folder, self.python, self.airflow_2, self.server = folder, python, airflow == "2", server
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}{prefix}"
        self.database = folder / "airflow.db"
        self.processes: dict[str, Process] = {}
        (folder / "home").mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "PYTEST"))}
        self.settings = {
            **kept,
            **(AIRFLOW_2 if self.airflow_2 else AIRFLOW_3),
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url if server else f"sqlite:///{self.database}",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(project),
            "PYTHONWARNINGS": "ignore",
            **settings,
        }
        if migrated:
            shutil.copy(migrated, self.database)
        else:
            self.command("db", "migrate")

    def command(self, *arguments: str) -> str:
        """Run a command of the Airflow CLI and return what it printed.

        :raises RuntimeError: with the end of that, if it fails
        """
        command = [str(self.python.parent / "airflow"), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.settings, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"`airflow {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def start(self, **settings: str) -> None:
        """Start all that runs a Dag, with more settings than before."""
        self.settings |= settings
        if not self.airflow_2:
            self.serve()
            self.until(lambda: bool(self.token()), "the API server does not answer")
            self._launch("dag-processor")
        self._launch("scheduler", "--skip-serve-logs")

    def serve(self) -> None:
        """Start the API server of Airflow 3."""
        self._launch("api-server", "--host", HOST, "--port", str(self.port), "--workers", "1")

    def _launch(self, name: str, *arguments: str) -> None:
        command = [str(self.python.parent / "airflow"), name, *arguments]
        self.processes[name] = Process(name, command, self.folder, self.settings, self.folder / f"{name}.log")

    def restart_scheduler(self, **settings: str) -> None:
        """Start the scheduler, and with it all tasks, anew with other settings."""
        self.settings |= settings
        self.processes["scheduler"].stop()
        self._launch("scheduler", "--skip-serve-logs")

    def stop(self) -> None:
        """End every process that was started here.

        :raises RuntimeError: if one is left all the same
        """
        for process in reversed(self.processes.values()):
            process.stop()
        if left := processes_in(self.folder):
            raise RuntimeError(f"processes {left} still run in {self.folder}")

    def token(self) -> str:
        """Return a token of the REST API, or nothing as long as it does not answer."""
        try:
            return str(requests.get(f"{self.url}/auth/token", timeout=5).json()["access_token"])
        except (requests.RequestException, ValueError, KeyError):
            return ""

    def get(self, path: str) -> dict[str, Any]:
        """Return an answer of the REST API."""
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token()}"}
        answer = requests.request(method, f"{self.url}/api/v2{path}", headers=headers, timeout=60, **options)
        answer.raise_for_status()
        return dict(answer.json())

    def query(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows of the metadata database, or change it: from PostgreSQL each value comes as text."""
        if self.server:
            for number in range(len(values)):
                query = query.replace("?", f":'value_{number}'", 1)
            given = {f"value_{number}": str(value) for number, value in enumerate(values)}
            return [tuple(row) for row in self.server.query(query, **given)]
        with closing(sqlite3.connect(self.database, timeout=30)) as database, database:
            return database.execute(query, values).fetchall()

    def until(self, true: Callable[[], bool], message: str) -> None:
        """Wait until something is true.

        :raises TimeoutError: with the message and the ends of all logs, if it is not after ``seconds``
        """
        end = time.monotonic() + self.seconds
        while not true():
            if time.monotonic() > end:
                tails = "\n".join(f"{name}:\n{process.tail(15)}" for name, process in self.processes.items())
                raise TimeoutError(f"{message}\n{tails}")
            time.sleep(0.5)

    def take(self, *steps: tuple[str, dict[str, Any] | None]) -> list[Any]:
        """Run Dags without a scheduler, in one process, and return what the rows of their results hold.

        :param steps: see ``tools/probes/run_steps.py``
        :raises RuntimeError: with the end of what it printed, if a run fails
        """
        command = [str(self.python), str(STEPS), json.dumps(steps)]
        done = subprocess.run(command, cwd=self.folder, env=self.settings, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("TOLD "):
                return list(json.loads(line.removeprefix("TOLD ")))
        raise RuntimeError((done.stdout + done.stderr)[-5000:])

    def run(self, dag_id: str, run_id: str, date: str) -> str:
        """Trigger a Dag, wait for the end of its run, and return its state.

        :param date: the logical date, which no other run of this Dag may have
        """
        self.until(lambda: self.query("SELECT 1 FROM serialized_dag WHERE dag_id = ?", dag_id) != [], f"no {dag_id}")
        option = "--exec-date" if self.airflow_2 else "--logical-date"
        self.command("dags", "trigger", dag_id, "--run-id", run_id, option, date)
        return self.wait(dag_id, run_id)

    def clear(self, dag_id: str, run_id: str, task_id: str, date: str) -> None:
        """Clear a task of a run that has ended, so that the scheduler decides on it again.

        :param date: the logical date of the run
        :raises RuntimeError: if it is not one task instance that is cleared
        """
        if self.airflow_2:
            self.command("tasks", "clear", dag_id, "-t", f"^{task_id}$", "-s", date, "-e", date, "-y")
            return
        wanted: dict[str, Any] = {"dag_run_id": run_id, "task_ids": [task_id], "dry_run": False, "only_failed": False}
        cleared = self._ask("POST", f"/dags/{dag_id}/clearTaskInstances", json=wanted)["total_entries"]
        if cleared != 1:
            raise RuntimeError(f"{cleared} task instances were cleared, not 1")

    def wait(self, dag_id: str, run_id: str) -> str:
        """Wait for the end of a run and return its state."""
        question = "SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ? AND state IN ('success', 'failed')"
        self.until(lambda: self.query(question, dag_id, run_id) != [], f"{run_id} of {dag_id} does not end")
        return str(self.query(question, dag_id, run_id)[0][0])

    def logs(self, dag_id: str) -> str:
        """Return the ends of the logs of all tasks of a Dag, and of the processes."""
        files = [*(self.folder / "home" / "logs").rglob(f"dag_id={dag_id}/**/*.log"), *self.folder.glob("*.log")]
        return "\n".join(f"{file}:\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    def state(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the state of a task instance."""
        question = "SELECT state FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ?"
        return str(self.query(question, dag_id, run_id, task_id)[0][0])
