"""A control plane that hands its tasks to agents: workers that speak HTTP to its API server and know no database.

Astro's own agents need an account. Airflow's Edge executor is the same thing in the open: workers that get their tasks
by HTTP from the API server and speak to nothing else of Airflow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tools.background import BUCKET, PATIENCE, rows_of, running, trigger, wait_for
from tools.baking import ROOT, environment_of_a_project, run
from tools.processes import free_port

CONFIG = ROOT / "tools" / "probes" / "agents"
REQUIREMENTS = ROOT / "requirements" / "agents.in"
DAG = "custom_xcom_backend_test"
QUEUES = ("first", "second")


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

    def state_of(self, run_id: str) -> str:
        """Return the state of a run, such as ``success``."""
        ((state,),) = self.rows("SELECT state FROM dag_run WHERE run_id = ?", run_id)
        return str(state)

    def hosts_of(self, run_id: str) -> dict[str, str]:
        """Return the host on which each task of a run ran."""
        return dict(self.rows("SELECT task_id, hostname FROM task_instance WHERE run_id = ?", run_id))

    def keys_of(self, run_id: str) -> dict[str, str]:
        """Return the key in the bucket to which the row of each XCom of a run leads: a path, or a reference with one.

        :raises ValueError: if a row leads elsewhere
        """
        found = {}
        for name, text in self.rows("SELECT key, value FROM xcom WHERE run_id = ?", run_id):
            row = json.loads(text)
            (path,) = row["paths"] if isinstance(row, dict) else [row]
            start, _, found[name] = path.partition(f"{BUCKET}/")
            if start != "s3://my_aws_conn@":
                raise ValueError(f"{name}: {text}")
        return found

    def named_in(self, variables: Mapping[str, str]) -> list[str]:
        """Return which variables name a folder of the control plane, such as that of its database."""
        return [name for name, value in variables.items() if str(self.home) in value]

    def healthy(self) -> bool:
        """Whether the API server says that it, the scheduler and the Dag processor are healthy."""
        try:
            health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=60).json()
        except (requests.RequestException, ValueError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def run_the_dag(self, logs: Path) -> str:
        """Run the test Dag, wait until it ended, and return the run ID."""
        run_id = trigger(self.url, DAG, self.home)
        wait_for(lambda: self.state_of(run_id) in ("success", "failed"), "the run", logs)
        return run_id


@contextmanager
def control_plane(programs: Path, project: Path, home: Path, address: str = "127.0.0.1") -> Iterator[ControlPlane]:
    """Run a control plane for the Dags of a project. It knows nothing of the XCom backend, the store, its connection.

    :param programs: of an environment with the Edge executor
    :param home: an empty folder
    """
    shutil.copytree(CONFIG, home / "config")
    port, token = free_port(address), "the-token-of-the-agents-of-this-test"
    plane = ControlPlane(f"http://{address}:{port}", home, token, programs)
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
    run(programs / "airflow", "db", "migrate", env=variables, timeout=PATIENCE, check=True)
    api_server = ("api-server", "--host", address, "--workers", "1")
    with ExitStack() as processes:
        for arguments in (api_server, ("scheduler",), ("dag-processor",)):
            log = home / f"{arguments[0]}.log"
            processes.enter_context(running(log, variables, programs / "airflow", *arguments))
        wait_for(plane.healthy, "the control plane", home)
        yield plane


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


def of_an_agent(plane: ControlPlane, project: Path, store: str) -> dict[str, str]:
    """Return the settings of an agent: those of the project's Helm values, and as its connection the emulator's.

    :param store: the URL of a moto server
    """
    values = yaml.safe_load((project / "remote-execution" / "values.yaml").read_text())
    connection = {"conn_type": "aws", "login": "test", "password": "test"}
    extra = {"endpoint_url": store, "region_name": "us-east-1"}
    return {
        **{entry["name"]: entry["value"] for entry in values["commonEnv"]},
        **of_all(plane),
        "AIRFLOW_CONN_MY_AWS_CONN": json.dumps({**connection, "extra": extra}),
        "AIRFLOW__CORE__XCOM_BACKEND": values["xcomBackend"],
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": values["dagBundleConfigList"],
        "AIRFLOW__SECRETS__BACKEND": values["secretBackend"],
    }
