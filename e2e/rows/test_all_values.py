"""Every kind of value through a real API server and PostgreSQL, whose JSONB reorders keys and rewrites numbers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.rows.conftest import Project
from tools.airflow import Airflow
from tools.network import open_network
from tools.servers import PostgreSQL

ROOT = Path(__file__).parents[2]
DAGS = Path(__file__).parent / "dags"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
SETTINGS = {"AIRFLOW__CORE__XCOM_BACKEND": "include.xcom_backend.XComBackend", THRESHOLD: "-1"}


@pytest.fixture(scope="module", params=["3", "2", "next"])
def airflow(request: pytest.FixtureRequest, project: Project) -> Iterator[Airflow]:
    """Return a running Airflow on PostgreSQL, with a local folder as its store."""
    python, made = project(request.param)
    with tempfile.TemporaryDirectory(prefix="values-") as name, open_network(0, isolate=False) as network:
        folder = Path(name)
        folder.chmod(0o755)  # for the user of PostgreSQL
        server = PostgreSQL(folder / "postgresql", network)
        try:
            path = {"AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{folder}/store"}
            modules = [made, ROOT / "tests" / "class", ROOT / "tools" / "probes"]
            settings = {**SETTINGS, **path, "PYTHONPATH": os.pathsep.join(map(str, modules))}
            running = Airflow(folder / "deployment", python, made, DAGS, request.param, settings, server=server)
            try:
                running.start()
                yield running
            finally:
                running.stop()
        finally:
            server.process.stop()


@pytest.mark.parametrize("threshold", ["-1", "0"], ids=["inline", "stored"])
def test_every_value_comes_back_as_it_was_pushed(airflow: Airflow, threshold: str) -> None:
    told = airflow.folder / f"told{threshold}.json"
    airflow.restart_scheduler(**{THRESHOLD: threshold, "TOLD": str(told)})
    day = 2 + int(threshold)
    state = airflow.run("all_values", f"threshold{threshold}", f"2024-02-{day:02}T00:00:00+00:00")
    assert state == "success", airflow.logs("all_values")
    right, wrong = json.loads(told.read_text())
    assert wrong == []
    assert right >= 400
