"""A whole Airflow on this machine, for as long as a test needs it: every component a process, two workers apart.

    with running_cluster({"cloud": "aws", "xcom_backend": "custom"}) as cluster:
        run = cluster.run("custom_xcom_backend_test")

The workers share no folder: each has its own home, its own copy of the project and its own temporary folder, as from
an image. Where the machine allows it each also has its own network, and sees nothing in the folders of the others.
What all have in common are the installed packages, and the object store.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from dotenv import dotenv_values

from tools.baking import Answers, bake
from tools.environments import ROOT, project_environment
from tools.network import Network, Place, open_network
from tools.processes import Process, free_port
from tools.servers import PostgreSQL, Redis, Store

HERE = Path(__file__).parent
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
BACKEND = "AIRFLOW__CORE__XCOM_BACKEND"
# What `xcom_backend: object_storage` gives, and what Airflow has without any setting.
USER = "admin"
SECONDS = 240  # that Airflow may take to start, on a busy machine


class RunFailedError(Exception):
    """A run of a Dag did not succeed. Its text has the states of the tasks and the log of the first that failed."""


@dataclass(frozen=True)
class Run:
    """One run of a Dag, and how long it took from the request to its end, in seconds."""

    dag_id: str
    run_id: str
    state: str
    seconds: float


class Cluster:
    """All processes of one Airflow: what runs where, and how a user reaches it."""

    def __init__(self, folder: Path, network: Network, python: Path, project: Path, settings: Mapping[str, str]):
        """Start the servers and Airflow, and wait until every component says that it is healthy.

        :param folder: an empty folder for all files of the cluster
        :param settings: environment variables over those of the project's ``.env``
        """
        self.folder, self.network, self.python = folder, network, python
        self.processes: dict[str, Process] = {}
        self.password = secrets.token_urlsafe(16)
        self.port, self._log_port = free_port(), free_port()
        self.url = f"http://{network.servers.address}:{self.port}"
        self._token = ""
        self._project = project
        self._chosen = settings
        self._hidden: list[Path] = []

    def start(self) -> None:
        """Start everything.

        :raises RuntimeError: if something does not start: with the end of what it printed
        """
        servers, workers = self.network.servers, self.network.workers
        self.database = PostgreSQL(self.folder / "postgresql", self.network)
        self.processes["postgresql"] = self.database.process
        redis = Redis(self.folder / "redis", servers)
        self.processes["redis"] = redis.process
        emitted = {name: value or "" for name, value in dotenv_values(self._project / ".env").items()}
        self.store = Store(self.folder / "store", servers, self.python, self._project, emitted[PATH])
        self.processes["store"] = self.store.process
        self.settings = {**emitted, **self._settings(redis.url), **self._chosen}
        homes = [self._furnish(place) for place in (servers, *workers)]
        self._hidden = [path for path in self.folder.iterdir() if path.is_dir()]
        self.airflow("db", "migrate")
        for name in ("api-server", "scheduler", "dag-processor"):
            self._launch(name, servers, homes[0], "airflow", name)
        self._launch("triggerer", servers, homes[0], "airflow", "triggerer", "--skip-serve-logs")
        for place, home in zip(workers, homes[1:], strict=True):
            self._start_worker(place, home)
        self.wait_until_healthy()

    def _settings(self, redis: str) -> dict[str, str]:
        connection_id = urlsplit(self.store.path).username or ""
        return {
            PATH: self.store.path,
            f"AIRFLOW_CONN_{connection_id.upper()}": self.store.connection,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # the emulator speaks no gRPC
            "AWS_EC2_METADATA_DISABLED": "true",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "cluster_hostname.address",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "servers" / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database.url,
            "AIRFLOW__API__HOST": self.network.servers.address,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__DEFAULT_WRAP": "True",  # whole lines of logs in pictures
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__CELERY__BROKER_URL": redis,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.database.url}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self._log_port),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def _furnish(self, place: Place) -> Path:
        """Make the folder of a place: a home, a copy of the project, and a temporary folder."""
        home = self.folder / place.name
        home.mkdir()
        shutil.copytree(self._project, home / "project")
        shutil.copy(HERE / "cluster_hostname.py", home)
        (home / "tmp").mkdir()
        if place == self.network.servers:
            (home / "passwords.json").write_text(json.dumps({USER: self.password}))
        return home

    def environment(self, place: Place) -> dict[str, str]:
        """Return the environment of all processes of a place."""
        home = self.folder / place.name
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "PYTEST"))}
        return {
            **kept,
            **self.settings,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "project" / "dags"),
            "CLUSTER_ADDRESS": place.address,
            "HOME": str(home),
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{home / 'project'}{os.pathsep}{home}",
            "TMPDIR": str(home / "tmp"),
        }

    def _launch(self, name: str, place: Place, home: Path, program: str, *arguments: str) -> None:
        command = [*self._wall(place, home), str(self.python.parent / program), *arguments]
        log = self.folder / f"{name}.log"
        self.processes[name] = Process(name, command, home / "project", self.environment(place), log)

    def _wall(self, place: Place, home: Path) -> list[str]:
        """Return the start of a command line that runs a program in a place, with the folders of the others empty."""
        if not place.enter:
            return []
        # `ip netns exec` gives its program a mount table of its own: nobody else sees these.
        cover = 'while [ "$1" != -- ]; do mount -t tmpfs -o ro,size=4k none "$1" || exit; shift; done; shift; exec "$@"'
        others = [str(path) for path in self._hidden if path != home] if place in self.network.workers else []
        return [*place.enter, "sh", "-c", cover, "sh", *others, "--"]

    def _start_worker(self, place: Place, home: Path) -> None:
        options = ["--skip-serve-logs", "--without-gossip", "--without-mingle", "--celery-hostname", place.name]
        options += ["--queues", f"default,{place.name}"]  # its own one, for tasks that a test wants on this worker
        self._launch(place.name, place, home, "airflow", "celery", "worker", *options)
        # Airflow's own server of logs, but on this address only, and alive when the worker is not.
        serve = ["airflow.utils.serve_logs.log_server:get_app", "--factory", "--log-level", "warning"]
        self._launch(
            f"{place.name}-logs", place, home, "uvicorn", *serve, "--host", place.address, "--port", str(self._log_port)
        )

    def restart_workers(self, settings: Mapping[str, str]) -> None:
        """Start both workers anew with other settings, such as another XCom backend."""
        self.settings = {**self.settings, **settings}
        for place in self.network.workers:
            for name in (place.name, f"{place.name}-logs"):
                self.processes[name].stop()
            self.processes[place.name].log.unlink()
        for place in self.network.workers:
            self._start_worker(place, self.folder / place.name)
        self.wait_until_healthy()

    def airflow(self, *arguments: str) -> str:
        """Run a command of the Airflow CLI where the scheduler is, and return what it printed.

        :raises RuntimeError: with the end of what it printed, if it fails
        """
        place = self.network.servers
        command = [*place.enter, str(self.python.parent / "airflow"), *arguments]
        folder = self.folder / place.name / "project"
        done = subprocess.run(command, cwd=folder, env=self.environment(place), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"`airflow {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def wait_until_healthy(self) -> None:
        """Wait until the API server, the scheduler, the Dag processor, the triggerer and each worker are healthy.

        :raises RuntimeError: if one ends before, or after four minutes: with the end of what it printed
        """
        self.processes["api-server"].wait_for(self._answers, SECONDS)
        for name, component in (
            ("scheduler", "scheduler"),
            ("dag-processor", "dag_processor"),
            ("triggerer", "triggerer"),
        ):
            self.processes[name].wait_for(lambda component=component: self._is_healthy(component), SECONDS)  # type: ignore[misc]
        for place in self.network.workers:
            worker = self.processes[place.name]
            worker.wait_for(lambda worker=worker: " ready" in worker.log.read_text(errors="replace"), SECONDS)  # type: ignore[misc]

    def health(self) -> dict[str, Any]:
        """Return what the API server says of itself and the other components."""
        return dict(requests.get(f"{self.url}/api/v2/monitor/health", timeout=30).json())

    def _answers(self) -> bool:
        try:
            return "metadatabase" in self.health()
        except (requests.RequestException, ValueError):
            return False

    def _is_healthy(self, component: str) -> bool:
        return self._answers() and self.health()[component]["status"] == "healthy"

    # As a user

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask the REST API, such as ``api("GET", "dags/my_dag")``, and return its answer, whatever it is."""
        for _ in range(2):
            headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
            answer = requests.request(method, f"{self.url}/api/v2/{path}", headers=headers, timeout=60, **options)
            if answer.status_code != 401:
                break
            login = {"username": USER, "password": self.password}
            self._token = requests.post(f"{self.url}/auth/token", json=login, timeout=60).json()["access_token"]
        return answer

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Trigger a Dag by the REST API, after Airflow has read its file, and return the run ID.

        :raises RuntimeError: if Airflow does not know the Dag after four minutes
        """
        path = f"dags/{quote(dag_id, '')}"
        self.processes["dag-processor"].wait_for(lambda: self.api("GET", path).status_code == 200, SECONDS)
        self.api("PATCH", path, json={"is_paused": False}).raise_for_status()
        answer = self.api("POST", f"{path}/dagRuns", json={"logical_date": None, "conf": dict(conf or {})})
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def wait(self, dag_id: str, run_id: str, seconds: float = 600) -> str:
        """Wait for the end of a run and return its state: success or failed.

        :raises TimeoutError: if it has not ended after ``seconds``: with the states of its tasks
        """
        deadline = time.monotonic() + seconds
        while (state := self._state(dag_id, run_id)) not in ("success", "failed"):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{run_id} of {dag_id} is {state} after {seconds} seconds: {self.states(dag_id, run_id)}"
                )
            time.sleep(0.5)
        return state

    def _state(self, dag_id: str, run_id: str) -> str:
        answer = self.api("GET", f"dags/{quote(dag_id, '')}/dagRuns/{quote(run_id, '')}")
        answer.raise_for_status()
        return str(answer.json()["state"])

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, seconds: float = 600) -> Run:
        """Trigger a Dag, and wait until its run has succeeded.

        :raises RunFailedError: if it fails
        :raises TimeoutError: if it has not ended after ``seconds``
        """
        run_id = self.trigger(dag_id, conf)
        started = time.monotonic()
        state = self.wait(dag_id, run_id, seconds)
        run = Run(dag_id, run_id, state, time.monotonic() - started)
        if state != "success":
            raise RunFailedError(f"{run}: {self.states(dag_id, run_id)}\n{self._first_failure(run)[-3000:]}")
        return run

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the states of the task instances of a run, by their names."""
        rows = self._instances("state", dag_id, run_id)
        return {task if index == "-1" else f"{task}[{index}]": state for task, index, state in rows}

    def workers_of(self, run: Run) -> dict[str, set[str]]:
        """Return the addresses of the workers that ran each task of a run."""
        found: dict[str, set[str]] = {}
        for task, _, address in self._instances("hostname", run.dag_id, run.run_id):
            found.setdefault(task, set()).add(address)
        return found

    def _instances(self, column: str, dag_id: str, run_id: str) -> list[list[str]]:
        query = f"SELECT task_id, map_index, {column} FROM task_instance WHERE dag_id = :'dag' AND run_id = :'run'"  # noqa: S608
        return self.database.query(query, dag=dag_id, run=run_id)

    def log(self, run: Run, task_id: str, map_index: int = -1, attempt: int = 1) -> str:
        """Return the log of a task as the web UI gets it: by the REST API, from the worker that ran it."""
        task = f"dags/{quote(run.dag_id, '')}/dagRuns/{quote(run.run_id, '')}/taskInstances/{quote(task_id, '')}"
        answer = self.api("GET", f"{task}/logs/{attempt}", params={"map_index": map_index, "full_content": True})
        answer.raise_for_status()
        return "\n".join(json.dumps(line) for line in answer.json()["content"])

    def _first_failure(self, run: Run) -> str:
        failed = [name for name, state in self.states(run.dag_id, run.run_id).items() if state == "failed"]
        if not failed:
            return "no task failed"
        task, _, index = failed[0].rstrip("]").partition("[")
        return self.log(run, task, int(index or -1))


@contextmanager
def running_cluster(
    answers: Answers,
    *,
    dags: Sequence[Path] = (),
    settings: Mapping[str, str] | None = None,
    isolate: bool = True,
) -> Iterator[Cluster]:
    """Bake a project, install what it needs, run a cluster of it, and remove all of that but the environment.

    :param answers: to the template's questions
    :param dags: Dag files besides those of the project
    :param settings: environment variables for every component, over those of the project's ``.env``
    :param isolate: False for loopback addresses in place of network namespaces
    """
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # for the user of PostgreSQL
        project = bake(folder, folder / "bake", answers, accept_hooks=False)
        for dag in dags:
            shutil.copy(dag, project / "dags")
        with tempfile.TemporaryDirectory(prefix="cluster-") as other:
            python = environment(str(answers.get("cloud", "aws")), Path(other))
        with open_network(2, isolate) as network:
            cluster = Cluster(folder, network, python, project, settings or {})
            try:
                cluster.start()
                yield cluster
            finally:
                for process in reversed(cluster.processes.values()):
                    process.stop()


def environment(cloud: str, folder: Path) -> Path:
    """Return the Python of an environment for clusters with this cloud: with what either backend needs.

    :param folder: an empty folder for the bake that names it
    """
    project = bake(folder, folder / "bake", {"cloud": cloud, "xcom_backend": "custom"}, accept_hooks=False)
    files = [project / "requirements-dev.txt", ROOT / "requirements" / "cluster.txt"]
    python = project_environment(f"cluster-{cloud}", files)
    if cloud == "azure":  # from inside a network namespace, npm would find no registry
        install = [str(python), "-c", "import object_stores; object_stores.install_azurite()"]
        subprocess.run(install, env={**os.environ, "PYTHONPATH": str(project / "tests")}, check=True)
    return python
