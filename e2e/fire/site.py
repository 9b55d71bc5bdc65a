"""All of Airflow as separate processes, a real S3 server, and what the cases need to hurt them: the burning site."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from tools.processes import free_port
from tools.proxy import HOST, Fault, Proxy

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
BACKENDS = {
    "provider": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "custom": "include.xcom_backend.XComBackend",
}
TAKEN_AWAY = ("AIRFLOW", "AWS_", "GOOGLE_", "AZURE_", "GCP_", "PYTHON")
CONNECTION_ID = "fire"
ACCESS_KEY, SECRET = "fire", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
DEADLINE = 20  # seconds: RETRY_DEADLINE of the custom class
BOUND = 180.0  # seconds after which a run that does not end counts as hanging
PATIENCE = 400.0  # seconds for what has to come, on the busiest machine
OVER = threading.Event()  # set when pytest ends before the cases have


def until(what: Callable[[], Any], seconds: float, message: str) -> Any:
    """Return the first true answer of ``what``.

    :raises TimeoutError: with the message, if there is none after ``seconds``
    """
    end = time.monotonic() + seconds
    while True:
        with suppress(requests.RequestException, KeyError):  # the API server may be away
            if answer := what():
                return answer
        if OVER.is_set() or time.monotonic() > end:
            raise TimeoutError(f"{message}, after {seconds:.0f} seconds")
        time.sleep(0.5)


def listens(port: int) -> bool:
    """Whether something listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def name_of(run_id: str) -> str:
    """Return the name of a run's files."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:16]


class Site:
    """Airflow and a store, running until ``close``."""

    def __init__(self, folder: Path, project: Path, python: Path, rclone: Path) -> None:
        """Prepare folders and settings; ``start`` begins."""
        self.folder, self.python, self.rclone = folder, python, rclone
        self.running = ExitStack()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.api_port = free_port()
        self.api = f"http://{HOST}:{self.api_port}"
        self.http = requests.Session()
        for name in ("spool/provider", "spool/custom", "runs", "pids", "gates", "results", "stores", "home"):
            (folder / name).mkdir(parents=True)
        shutil.copytree(HERE / "dags", folder / "dags")
        self.settings = {name: value for name, value in os.environ.items() if not name.startswith(TAKEN_AWAY)} | {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-" * 4,
            "AIRFLOW__API__SECRET_KEY": "only-for-this-test",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.api}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "executor.FileExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            # Run IDs with all that a user may allow.
            # Airflow's own log of a Dag of 250 characters has a name that no file system takes.
            "AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE": (
                "dag_id={{ ti.dag_id[:60] }}/run_id={{ ti.run_id[:60] }}/task_id={{ ti.task_id[:60] }}/"
                "attempt={{ try_number|default(ti.try_number) }}.log"
            ),
            "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": "(?s).+",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__XCOM_BACKEND__RETRY_DEADLINE": str(DEADLINE),
            "AWS_EC2_METADATA_DISABLED": "true",
            "FIRE_FOLDER": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(project), str(HERE)]),
            "PYTHONWARNINGS": "ignore",
        }

    def start(self) -> None:
        """Start PostgreSQL, the store, Airflow and one worker for each backend."""
        self.settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self.running.enter_context(postgresql())
        self.running.callback(self.end_all)
        migrate = self.airflow("migrate", "db", "migrate")
        if migrate.wait(timeout=300):
            raise RuntimeError(f"airflow db migrate failed: {self.log('migrate')}")
        self.airflow("dag-processor", "dag-processor")
        self.start_api_server()
        self.start_scheduler()
        for backend, path in BACKENDS.items():
            worker = [str(self.python), str(HERE / "worker.py"), str(self.folder / "spool" / backend)]
            self.process(f"worker-{backend}", worker, {"AIRFLOW__CORE__XCOM_BACKEND": path})
        until(lambda: len(self.get("/dags?limit=50")["dags"]) >= 11, PATIENCE, f"no Dags: {self.log('dag-processor')}")

    def start_store(self, port: int, folder: Path) -> None:
        """Start an S3 server, which checks signatures, on a folder with a folder for each bucket.

        One for each run: what is done to it then happens to nobody else. It forgets within 300 ms what it knew of its
        folders, so that objects can be hurt as files; with no memory at all, it stands still when two come at once.
        """
        command = [str(self.rclone), "serve", "s3", f"--addr={HOST}:{port}", f"--auth-key={ACCESS_KEY},{SECRET}"]
        command += ["--vfs-cache-mode=off", "--dir-cache-time=300ms", f"--config={os.devnull}", str(folder)]
        self.process(f"store-{port}", command)
        until(lambda: listens(port), 60, f"the store does not listen: {self.log(f'store-{port}')}")

    def start_api_server(self) -> None:
        """Start the API server and sign in."""
        self.airflow("api-server", "api-server", "--host", HOST, "--port", str(self.api_port), "--workers", "1")
        token = until(
            lambda: requests.get(f"{self.api}/auth/token", timeout=5).json()["access_token"],
            120,
            f"no API server: {self.log('api-server')}",
        )
        self.http.headers["Authorization"] = f"Bearer {token}"

    def start_scheduler(self) -> None:
        """Start the scheduler."""
        self.airflow("scheduler", "scheduler", "--skip-serve-logs")

    def airflow(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of the Airflow CLI."""
        return self.process(name, [str(self.python.parent / "airflow"), *arguments])

    def process(self, name: str, command: list[str], settings: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, so that Ctrl-C reaches pytest alone."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**self.settings, **(settings or {})}, stdout=log, stderr=log, start_new_session=True
            )
        return self.processes[name]

    def log(self, name: str) -> str:
        """Return the end of what a process printed."""
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace")[-3000:] if file.exists() else ""

    def get(self, path: str, **parameters: Any) -> Any:
        """Return an answer of the REST API."""
        answer = self.http.get(f"{self.api}/api/v2{path}", params=parameters, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Change something by the REST API."""
        answer = self.http.request(method, f"{self.api}/api/v2{path}", json=body, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def kill(self, name: str) -> None:
        """Kill a process that was started here and all of its session, at once."""
        kill_session(self.processes[name].pid)
        self.processes[name].wait()

    def end_all(self) -> None:
        """End by its ID each process that was started, and the tasks that the workers forked."""
        for process in self.processes.values():
            for pid in session_of(process.pid):
                with suppress(OSError):
                    os.kill(pid, signal.SIGTERM)
        for file in (self.folder / "pids").iterdir():
            kill_session(int(file.read_text()))
        for process in self.processes.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                kill_session(process.pid)
                process.wait()

    def close(self) -> None:
        """End everything."""
        self.running.close()


def session_of(leader: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, OSError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


def kill_session(leader: int) -> None:
    """Kill a process and all of its session with SIGKILL, the leader first: nobody can tell what happened."""
    for pid in sorted(session_of(leader), key=lambda pid: pid != leader):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL server on loopback and yield the URL of its database."""
    from tools.debian import program

    initdb, pg_ctl = program("initdb", "postgresql"), program("pg_ctl", "postgresql")
    port = free_port()
    # Not in pytest's temporary folder: that is for the user who runs pytest alone.
    data = Path(tempfile.mkdtemp(prefix="xcom-fire-"))
    # PostgreSQL refuses to run as root: then it runs as the user that its package made.
    as_root = os.geteuid() == 0
    user = ["su", "postgres", "-s", "/bin/sh", "-c"] if as_root else ["/bin/sh", "-c"]
    if as_root:
        shutil.chown(data, "postgres")

    def run(command: str) -> None:
        subprocess.run([*user, command], cwd=data, check=True, stdout=subprocess.DEVNULL)

    run(f"{initdb} --pgdata={data}/db --auth=trust --username=airflow --encoding=UTF8 --locale=C --no-sync")
    options = f"-p {port} -c listen_addresses={HOST} -c unix_socket_directories={data} -c fsync=off"
    run(f"{pg_ctl} --pgdata={data}/db --wait --log={data}/log --options='{options}' start")
    try:
        yield f"postgresql+psycopg2://airflow@{HOST}:{port}/postgres"
    finally:
        run(f"{pg_ctl} --pgdata={data}/db --mode=immediate stop")
        shutil.rmtree(data)


class Run:
    """One run of a Dag with one backend, with a bucket and a proxy of its own."""

    def __init__(self, site: Site, backend: str, name: str, dag_id: str = "fire", run_id: str = "") -> None:
        """Make the bucket, start the proxy, and write the settings of the run's tasks."""
        self.site, self.backend, self.dag_id = site, backend, dag_id
        self.run_id = f"{backend}-{run_id or name}"
        self.name = name_of(self.run_id)
        self.bucket = f"{backend}-{self.name}"
        self.root = site.folder / "stores" / self.name
        self.folder = self.root / self.bucket
        self.folder.mkdir(parents=True)
        self.port = free_port()
        site.start_store(self.port, self.root)
        self.proxy = Proxy(f"http://{HOST}:{self.port}")
        self.proxy.start()
        self.bound = BOUND
        self.pushes = 1  # objects that a row should name at the end
        self.environment: dict[str, str] = {}
        self.push_id, self.pull_id, self.key = "push", "pull", "return_value"
        self.set()

    def connection(self, port: int, login: str = ACCESS_KEY, password: str = SECRET, **extra: Any) -> str:
        """Return a connection to a store on loopback as JSON."""
        extra = {"endpoint_url": f"http://{HOST}:{port}", "region_name": "us-east-1", **extra}
        return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": extra})

    def set(self, **variables: str) -> None:
        """Change the environment of tasks that start from now on."""
        path = f"s3://{CONNECTION_ID}@{self.bucket}/xcom"
        self.environment = {
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": path,
            f"AIRFLOW_CONN_{CONNECTION_ID.upper()}": self.connection(self.proxy.port),
            **self.environment,
            **variables,
        }
        (self.site.folder / "runs" / f"{self.name}.json").write_text(json.dumps(self.environment))

    def gates(self, *names: str) -> None:
        """Let tasks wait before they push or pull, until ``open`` or the end of the case."""
        self.set(FIRE_GATES=",".join(names))

    def wait_for_gate(self, name: str) -> None:
        """Return when a task waits."""
        waiting = self.site.folder / "gates" / f"{self.name}.{name}.waiting"
        until(waiting.exists, PATIENCE, f"{self.run_id}: nobody waits at {name}: {self.states()} {self.reason()}")

    def open(self, name: str) -> None:
        """Let a task that waits go on, when the store has seen what happened to its files."""
        time.sleep(0.6)
        (self.site.folder / "gates" / f"{self.name}.{name}.open").touch()

    @property
    def path(self) -> str:
        """The run's path in the REST API."""
        return f"/dags/{quote(self.dag_id, safe='')}/dagRuns/{quote(self.run_id, safe='')}"

    def trigger(self) -> None:
        """Trigger the Dag as a user would."""
        dag = f"/dags/{quote(self.dag_id, safe='')}"
        self.site.send("POST", f"{dag}/dagRuns", {"logical_date": None, "dag_run_id": self.run_id})

    def tasks(self) -> list[dict[str, Any]]:
        """Return the run's task instances."""
        return list(self.site.get(f"{self.path}/taskInstances")["task_instances"])

    def states(self) -> dict[str, str]:
        """Return the state of each task."""
        with suppress(requests.RequestException):
            return {task["task_id"]: task["state"] for task in self.tasks()}
        return {}

    def wait_until(self, task_id: str, *states: str, seconds: float = PATIENCE) -> None:
        """Return when a task is in one of these states."""
        until(
            lambda: self.states().get(task_id) in states,
            seconds,
            f"{self.run_id}: {task_id} is not {' or '.join(states)}: {self.states()} {self.reason()}",
        )

    def finish(self) -> bool:
        """Wait for the end of the run and tell whether it came by itself within the bound; else end it."""
        try:
            until(lambda: self.site.get(self.path)["state"] in {"success", "failed"}, self.bound, "")
        except TimeoutError:
            self.abort()
            return False
        return True

    def abort(self) -> None:
        """End the tasks of the run, and tell Airflow so."""
        with suppress(RuntimeError, requests.RequestException):
            self.site.send("PATCH", self.path, {"state": "failed"})
        for file in (self.site.folder / "pids").glob(f"{self.name}.*"):
            kill_session(int(file.read_text()))

    def kill_task(self, task_id: str, try_number: int = 1) -> None:
        """Kill a task and its supervisor with SIGKILL, as when the machine goes away."""
        file = self.site.folder / "pids" / f"{self.name}.{task_id[:80]}.{try_number}"
        kill_session(int(file.read_text()))

    def stop_store(self) -> None:
        """Kill the store."""
        self.site.kill(f"store-{self.port}")

    def start_store(self) -> None:
        """Start the store again, on the same port and folder."""
        self.site.start_store(self.port, self.root)

    def hurt(self, kind: str, **options: Any) -> Fault:
        """Let the proxy do this from now on."""
        self.proxy.fault = Fault(kind, **options)
        return self.proxy.fault

    def objects(self) -> list[Path]:
        """Return the files of the run's objects in the store's folder."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and ".rclone" not in path.name)

    def row(self) -> Any:
        """Return what the database holds for the pushed value, None if nothing."""
        key = quote(self.key, safe="")
        task = quote(self.push_id, safe="")
        try:
            entry = self.site.get(f"{self.path}/taskInstances/{task}/xcomEntries/{key}", deserialize="false")
        except requests.HTTPError:
            return None
        value = entry["value"]
        if isinstance(value, str):
            with suppress(ValueError):
                value = json.loads(value)
        return value

    def named(self) -> list[str]:
        """Return the object storage paths that the row names."""
        row = self.row()
        if isinstance(row, str) and row.startswith("s3://"):
            return [row]
        return list(row["paths"]) if isinstance(row, dict) and row.get("kind") == "reference" else []

    def lost(self) -> list[str]:
        """Return the paths that the row names and the store does not have."""
        keys = {str(path.relative_to(self.root)) for path in self.objects()}
        return [path for path in self.named() if path.startswith("s3://fire@") and path.partition("@")[2] not in keys]

    def verdicts(self) -> list[dict[str, Any]]:
        """Return what the pulls wrote down."""
        file = self.site.folder / "results" / f"{self.name}.json"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def log_lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield task ID and each line of the logs of the run's tasks, the first task's first try first."""
        logs = self.site.folder / "home" / "logs"
        files = [file for file in logs.rglob("attempt=*.log") if f"run_id={self.run_id[:60]}/" in str(file)]
        for file in sorted(files, key=lambda file: file.stat().st_mtime):
            for line in file.read_text(errors="replace").splitlines():
                with suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        yield file.parent.name.removeprefix("task_id="), entry

    def reason(self) -> str:
        """Return the last error that a task of this run logged: kind and message."""
        reason = ""
        for _, entry in self.log_lines():
            if chain := entry.get("error_detail"):  # the error itself, then what caused it
                reason = f"{chain[0]['exc_type']}: {chain[0]['exc_value']}"
        return reason

    def messages(self, level: str) -> list[str]:
        """Return what the tasks logged at a level."""
        return [str(entry.get("event")) for _, entry in self.log_lines() if entry.get("level") == level]

    def close(self) -> None:
        """End the proxy, and let all that waits go on."""
        for name in ("push", "pull"):
            self.open(name)
        self.proxy.close()
        self.stop_store()


def clean(text: str, run: Run) -> str:
    """Return a message without what differs from run to run: ports, folders, hashes, tokens and times."""
    text = text.replace(str(run.site.folder), "…").replace(run.bucket, "bucket").replace(run.run_id, "RUN")
    text = re.sub(r"XCom '.{1,300}?' of task '[^']*', Dag '[^']*', run 'RUN'", "XCom …", text)
    text = re.sub(r"\.(?:[0-9a-f]{12}-[0-9a-f]{12}|[0-9a-f]{16})\.", ".….", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", text)
    text = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", text)
    text = re.sub(r"\b\d{1,3}(,\d{3})+ bytes", "N bytes", text)
    text = re.sub(r"xcom/[^ '\"]*[^ '\":,]", "xcom/…", text)
    text = re.sub(r"in [\d.]+ s$", "", text)
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit("This is a part of make e2e ONLY=fire.")
