"""What Remote Execution Agents do: workers with the emitted image and values run the Dag, with no way to the database.

Astro's own agents need an account. Airflow's Edge executor is the same thing in the open: workers that get their tasks
by HTTP from the API server and speak to nothing else of Airflow. Each is started with what `Dockerfile.client` copies,
what `remote-execution/values.yaml` sets, and a home of its own; of the control plane it knows URL and token.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tools.background import BUCKET, PATIENCE, bucket, keys_in, rows_of, running, trigger, wait_for
from tools.baking import ROOT, Answers, Bake, Install, environment_of_a_project, run
from tools.processes import free_port

AGENTS = Path(__file__).parent / "agents"
DAG = "custom_xcom_backend_test"
QUEUES = ("first", "second")
BACKENDS: dict[str, Answers] = {
    "object_storage": {"cloud": "aws", "remote_execution": True},
    "custom": {"cloud": "aws", "remote_execution": True, "xcom_backend": "custom"},
}


@dataclass(frozen=True)
class ControlPlane:
    """The API server, scheduler and metadata database: where they are, and what an agent must know of them."""

    url: str
    home: Path
    token: str
    programs: Path

    @property
    def database(self) -> Path:
        """The metadata database, a file that is in no agent's environment."""
        return self.home / "airflow.db"

    def rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        """Return what the metadata database answers."""
        return rows_of(self.database, query, *parameters)


@pytest.fixture(scope="module")
def programs(bake: Bake, install: Install) -> Path:
    """The programs of an environment with the packages of both backends and the Edge executor."""
    return install("agents", bake(**BACKENDS["custom"]) / "requirements-dev.txt", ROOT / "requirements" / "agents.in")


@pytest.fixture(scope="module")
def store(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bucket that the bakes name, in a moto server. The server's URL."""
    with bucket(programs, tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture(scope="module")
def control_plane(bake: Bake, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane. It knows nothing of the XCom backend, the store and its connection."""
    home = tmp_path_factory.mktemp("control-plane")
    shutil.copytree(AGENTS / "config", home / "config")
    port, token = free_port(), "the-token-of-the-agents-of-this-test"
    plane = ControlPlane(f"http://127.0.0.1:{port}", home, token, programs)
    project = bake(**BACKENDS["custom"])
    bundle = {"classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": f"{project}/dags"}}
    variables = {
        **environment_of_a_project(programs, home),
        **of_all(plane),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([{"name": "dags-folder", **bundle}]),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{plane.database}",
        "AIRFLOW__EDGE__API_ENABLED": "True",
        "PYTHONPATH": str(project),
    }
    done = run(programs / "airflow", "db", "migrate", env=variables, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    api_server = ("api-server", "--host", "127.0.0.1", "--workers", "1")
    with ExitStack() as processes:
        for arguments in (api_server, ("scheduler",), ("dag-processor",)):
            log = home / f"{arguments[0]}.log"
            processes.enter_context(running(log, variables, programs / "airflow", *arguments))
        wait_for(lambda: healthy(plane), "the control plane", home)
        yield plane


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_agents_pass_values_through_the_bucket_alone(
    backend: str, bake: Bake, control_plane: ControlPlane, store: str, tmp_path: Path
) -> None:
    project = bake(**BACKENDS[backend])
    with ExitStack() as processes:
        for queue in QUEUES:
            home = tmp_path / queue
            variables = agent_environment(project, home, control_plane, store)
            assert_no_database(variables, control_plane, home)
            worker = ("edge", "worker", "--queues", queue, "--edge-hostname", f"{backend}-{queue}")
            processes.enter_context(running(home / "log", variables, control_plane.programs / "airflow", *worker))
        run_id = trigger(control_plane.url, DAG, control_plane.home)
        wait_for(lambda: state_of(control_plane, run_id) in ("success", "failed"), "the run", tmp_path)
        said = "\n".join(log.read_text(errors="replace") for log in sorted(tmp_path.rglob("*.log")))
        assert state_of(control_plane, run_id) == "success", said

    ran = "SELECT task_id, hostname FROM task_instance WHERE run_id = ?"
    hosts = dict(control_plane.rows(ran, run_id))
    assert hosts == {"push_objects": f"{backend}-first", "pull_objects": f"{backend}-second"}
    pulled = "\n".join(log.read_text(errors="replace") for log in (tmp_path / "second").rglob("attempt=1.log"))
    for key in ("small_obj", "big_obj"):
        assert f"{key} came back whole from object storage" in pulled
    rows = control_plane.rows("SELECT key, value FROM xcom WHERE run_id = ? ORDER BY key", run_id)
    assert {key for key, _ in rows} >= {"big_obj", "small_obj"}
    stored = keys_in(store)
    for key, row in rows:
        (path,) = paths_in(json.loads(row))
        assert path.removeprefix(f"s3://my_aws_conn@{BUCKET}/") in stored, f"{key}: {row}"


def agent_environment(project: Path, home: Path, plane: ControlPlane, store: str) -> dict[str, str]:
    """Return the environment of an agent, after copying into its home what its image would hold.

    In place of what nobody has here: the image's folder is one of the home, the connection is the emulator's.
    """
    dockerfile = (project / "Dockerfile.client").read_text()
    for source, target in re.findall(r"^COPY (\w+) /(\S+)$", dockerfile, re.MULTILINE):
        shutil.copytree(project / source, home / target)
    (path,) = re.findall(r"^ENV PYTHONPATH=(/[^$]+)\$", dockerfile, re.MULTILINE)
    values = yaml.safe_load((project / "remote-execution" / "values.yaml").read_text())
    connection = {"conn_type": "aws", "login": "test", "password": "test"}
    extra = {"endpoint_url": store, "region_name": "us-east-1"}
    return {
        **environment_of_a_project(plane.programs, home),
        **{entry["name"]: entry["value"] for entry in values["commonEnv"]},
        **of_all(plane),
        "AIRFLOW_CONN_MY_AWS_CONN": json.dumps({**connection, "extra": extra}),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__XCOM_BACKEND": values["xcomBackend"],
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": values["dagBundleConfigList"].replace(path, f"{home}{path}"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/no/such/folder/airflow.db",
        "AIRFLOW__SECRETS__BACKEND": values["secretBackend"],
        "PYTHONPATH": f"{home}{path}",
    }


def of_all(plane: ControlPlane) -> dict[str, str]:
    """Return the settings that control plane and agents share: where the API is, and what opens it."""
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": plane.token,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{plane.url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "airflow.providers.edge3.executors.EdgeExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__EDGE__API_URL": f"{plane.url}/edge_worker/v1/rpcapi",
        "AIRFLOW__EDGE__JOB_POLL_INTERVAL": "1",
        "AIRFLOW__EDGE__HEARTBEAT_INTERVAL": "5",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",  # seconds: machines are slow at times
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def assert_no_database(variables: Mapping[str, str], plane: ControlPlane, home: Path) -> None:
    """Fail if an agent's environment names the metadata database, or Airflow reaches one with it."""
    assert not [name for name, value in variables.items() if str(plane.home) in value]
    done = run(plane.programs / "airflow", "db", "check", "--retry", "0", env=dict(variables), cwd=home)
    assert done.returncode != 0
    assert "unable to open database file" in done.stdout + done.stderr


def state_of(plane: ControlPlane, run_id: str) -> str:
    """Return the state of a run, such as ``success``."""
    ((state,),) = plane.rows("SELECT state FROM dag_run WHERE run_id = ?", run_id)
    return str(state)


def paths_in(row: Any) -> list[str]:
    """Return the object storage paths that a row of the metadata database names: a path, or a reference with some."""
    return list(row["paths"]) if isinstance(row, dict) else [row]


def healthy(plane: ControlPlane) -> bool:
    """Whether the API server says that it, the scheduler and the Dag processor are healthy."""
    try:
        health = requests.get(f"{plane.url}/api/v2/monitor/health", timeout=60).json()
    except (requests.RequestException, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))
