"""Two deployments with one bucket, one prefix, the same Dags and run IDs: neither deletes what the other wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from e2e.rows.airflow import HOST, Airflow
from e2e.rows.conftest import Project
from tools.processes import Process, free_port, listens

DAGS = Path(__file__).parent / "dags"
DATE = "2024-02-01T00:00:00+00:00"
RUN_ID = "nightly"
VARIABLE = "xcom_backend_deployment"
CLEAN = """
import json, sys
from include.xcom_backend.cleanup import choose_rows, clean
print("REPORT", json.dumps(vars(clean(choose_rows(sys.argv[1]), dry_run=False, age_days=-1, blind_age_days=-1))))
"""


class Pair:
    """Two deployments and the bucket that both write to."""

    def __init__(self, folder: Path, python: Path, project: Path, airflow: str) -> None:
        """Start the store and both deployments."""
        port = free_port()
        endpoint = f"http://{HOST}:{port}"
        self.store = Process(
            "moto", [str(python.parent / "moto_server"), "-p", str(port)], folder, dict(os.environ), folder / "moto.log"
        )
        self.store.wait_for(lambda: listens(HOST, port), 120)
        self.bucket = f"{endpoint}/shared"
        requests.put(self.bucket, timeout=60).raise_for_status()
        conn = {"conn_type": "aws", "login": "test", "password": "test"}
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        settings = {
            "AIRFLOW__CORE__XCOM_BACKEND": "include.xcom_backend.XComBackend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "s3://shared@shared/xcom",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
            "AIRFLOW_CONN_SHARED": json.dumps({**conn, "extra": extra}),
        }
        self.deployments = []
        for name in ("production", "staging"):
            self.deployments.append(Airflow(folder / name, python, project, DAGS, airflow, settings))
            self.deployments[-1].start()

    def keys(self) -> set[str]:
        """Return the keys of all objects."""
        return set(re.findall("<Key>(.*?)</Key>", requests.get(self.bucket, timeout=60).text))

    def clean(self, own: Airflow, other: Airflow | None) -> dict[str, Any]:
        """Run the cleanup of a deployment with the REST API of another, or with none, and return its report.

        :raises RuntimeError: with the end of what it printed, if it refuses
        """
        conn = {"conn_type": "generic", "host": other.url, "password": other.token()} if other else {}
        settings = {**own.settings, "AIRFLOW_CONN_API": json.dumps(conn)}
        if not own.airflow_2:  # outside of a task nobody can ask the database, so it gets what a task is told
            settings[f"AIRFLOW_VAR_{VARIABLE}".upper()] = own.get(f"/variables/{VARIABLE}")["value"]
        command = [str(own.python), "-c", CLEAN, "api" if other else ""]
        done = subprocess.run(command, cwd=own.folder, env=settings, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("REPORT "):
                return dict(json.loads(line.removeprefix("REPORT ")))
        raise RuntimeError((done.stdout + done.stderr)[-2000:])

    def stop(self) -> None:
        """End everything."""
        for deployment in self.deployments:
            deployment.stop()
        self.store.stop()


@pytest.fixture(scope="module", params=["3", "2"])
def pair(request: pytest.FixtureRequest, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two deployments that have run the same Dag with the same run ID."""
    python, made = project(request.param)
    running = Pair(tmp_path_factory.mktemp("two"), python, made, request.param)
    try:
        for deployment in running.deployments:
            assert deployment.run("shared_name", RUN_ID, DATE) == "success"
        yield running
    finally:
        running.stop()


def test_neither_deletes_the_objects_of_the_other(pair: Pair) -> None:
    production, staging = pair.deployments
    before = pair.keys()
    assert len(before) == 2, "each deployment wrote one object, both into the same folder"
    assert len({key.rpartition("/")[0] for key in before}) == 1
    apis = [None] if production.airflow_2 else [None, production, staging]
    for own in (production, staging):
        for api in apis[1:]:
            if api is own:
                report = pair.clean(own, api)
                assert (report["of_another_deployment"], report["named_by_a_row"], report["deleted"]) == (1, 1, 0)
            else:
                with pytest.raises(RuntimeError, match="this deployment's own API"):
                    pair.clean(own, api)
        assert pair.keys() == before

    # What no row names any more goes, and only that.
    production.command("dags", "delete", "shared_name", "-y")
    report = pair.clean(production, None if production.airflow_2 else production)
    assert (report["of_another_deployment"], report["deleted"]) == (1, 1)
    [left] = pair.keys()
    assert left in before
    report = pair.clean(staging, None if staging.airflow_2 else staging)
    assert (report["named_by_a_row"], report["deleted"]) == (1, 0)
    # With nobody to ask, age alone decides: of its own objects only.
    if not production.airflow_2:
        assert pair.clean(production, None)["deleted"] == 0
        assert pair.keys() == {left}
