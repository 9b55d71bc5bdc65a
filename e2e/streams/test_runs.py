"""Real runs of each Airflow, with its scheduler: what mapped task instances take from the store, counted there."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tools.airflow import Airflow
from tools.baking import ROOT, bake
from tools.environments import project_environment
from tools.network import open_network
from tools.processes import Process
from tools.servers import PostgreSQL

REQUIREMENTS = [ROOT / "requirements" / name for name in ("class.in", "rows.in")]
ITEM = 1_000_000
FEW = 3  # as in dags/streams.py
# Task instances of the fan-out; `make record ONLY=streams` takes 1,000.
COUNTS = {"3": int(os.environ.get("FAN_OUT", "20")), "2": 10, "next": 10}


@dataclass
class Site:
    """A running Airflow, and a store that counts."""

    airflow: Airflow
    count: int
    store: str
    folder: Path

    def run(self, dag_id: str) -> tuple[int, int]:
        """Run a Dag to its good end, and return how many bytes and requests its tasks took from the store."""
        before = self.counts()
        assert self.airflow.run(dag_id, "run", "2024-02-01T00:00:00+00:00") == "success", self.airflow.logs(dag_id)
        after = self.counts()
        return after["given"] - before["given"], after["GET"] - before["GET"]

    def counts(self) -> dict[str, int]:
        """Return what the store has counted."""
        return {"given": 0, "GET": 0, **requests.get(f"{self.store}/-/counts", timeout=60).json()}

    def states(self, dag_id: str, task_id: str) -> list[str]:
        """Return the state of each task instance of a task."""
        question = "SELECT state FROM task_instance WHERE dag_id = ? AND task_id = ?"
        return sorted(str(state) for (state,) in self.airflow.query(question, dag_id, task_id))


@pytest.fixture(scope="module", params=COUNTS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Return an Airflow with a scheduler on PostgreSQL, and a project of the custom class on a store that counts."""
    with tempfile.TemporaryDirectory(prefix="streams-") as name, open_network(0, isolate=False) as network:
        folder = Path(name)
        folder.chmod(0o755)  # for the user of PostgreSQL
        answers = {"cloud": "aws", "airflow": request.param.replace("next", "3"), "xcom_backend": "custom"}
        project = bake(folder, folder / "bake", answers, accept_hooks=False)
        requirements = [project / "requirements-dev.txt", *REQUIREMENTS]
        python = project_environment(f"rows-{request.param}", requirements, request.param)
        (folder / "tmp").mkdir()
        command = [sys.executable, str(ROOT / "benchmarks" / "fast_s3.py")]
        store = Process("store", command, folder, os.environ, folder / "port")
        server = PostgreSQL(folder / "postgresql", network)
        try:
            store.wait_for(lambda: (folder / "port").read_text().endswith("\n"), 60)
            endpoint = f"http://127.0.0.1:{int((folder / 'port').read_text())}"
            extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
            connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
            settings = {
                "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
                "AIRFLOW__CORE__PARALLELISM": "2",
                "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # seconds, on the busiest machine
                "AIRFLOW__CORE__XCOM_BACKEND": "include.xcom_backend.XComBackend",
                "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "s3://counted@bucket/xcom",
                "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
                "AIRFLOW_CONN_COUNTED": json.dumps(connection),
                "FAN_OUT": str(COUNTS[request.param]),
                "TMPDIR": str(folder / "tmp"),
            }
            dags = Path(__file__).parent / "dags"
            airflow = Airflow(folder / "deployment", python, project, dags, request.param, settings, server=server)
            airflow.seconds = max(600, 6 * COUNTS[request.param])
            try:
                airflow.start()
                yield Site(airflow, COUNTS[request.param], endpoint, folder)
            finally:
                airflow.stop()
        finally:
            server.process.stop()
            store.stop()


def test_each_task_instance_takes_its_item(site: Site) -> None:
    given, requests_made = site.run("fan_out")
    print(f"{site.count} task instances took {given:,} bytes in {requests_made:,} requests")
    assert site.count * ITEM < given <= 1.05 * site.count * ITEM
    assert requests_made == 3 * site.count  # index, page, item
    # The scheduler knew how many before one of them ran.
    assert site.states("fan_out", "check") == ["success"] * site.count


def test_every_way_to_map_takes_what_it_needs(site: Site) -> None:
    given, _ = site.run("ways")
    assert 6 * FEW * ITEM < given <= 1.05 * 6 * FEW * ITEM
    for task_id in ("kwargs", "map", "zip", "pick"):
        assert site.states("ways", task_id) == ["success"] * FEW
    assert site.states("ways", "filter") == ["skipped", "success", "success"]


def test_files_pass_from_python_and_from_a_shell_and_local_copies_go(site: Site) -> None:
    site.run("files")
    assert not [*(site.folder / "tmp").glob("xcom-*")]
