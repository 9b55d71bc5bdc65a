"""Two deployments with one bucket, one prefix, the same Dags and run IDs: neither deletes what the other wrote."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from e2e.rows.conftest import Project
from tools.airflow import HOST, Airflow
from tools.processes import Process, free_port, listens

DAGS = Path(__file__).parent / "dags"
NAMES = ("production", "staging")


class Pair:
    """Two deployments, each with a metadata database of its own, and the bucket that both write to."""

    def __init__(self, folder: Path, python: Path, project: Path, airflow: str, stack: ExitStack) -> None:
        """Start the store and, on Airflow 3, both API servers; the stack ends them."""
        self.folder, port = folder, free_port()
        command = [str(python.parent / "moto_server"), "-p", str(port)]
        store = Process("moto", command, folder, dict(os.environ), folder / "moto.log")
        stack.callback(store.stop)
        store.wait_for(lambda: listens(HOST, port), 120)
        self.bucket = f"http://{HOST}:{port}/shared"
        requests.put(self.bucket, timeout=60).raise_for_status()
        extra = {"endpoint_url": f"http://{HOST}:{port}", "region_name": "us-east-1"}
        conn = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
        settings = {
            "AIRFLOW__CORE__XCOM_BACKEND": "include.xcom_backend.XComBackend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "s3://shared@shared/xcom",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "2000",
            "AIRFLOW_CONN_SHARED": json.dumps(conn),
        }
        production = Airflow(folder / NAMES[0], python, project, DAGS, airflow, settings)
        staging = Airflow(folder / NAMES[1], python, project, DAGS, airflow, settings, production.database)
        self.deployments = production, staging
        self.apis = [""] if airflow == "2" else list(NAMES)
        for deployment in self.deployments if airflow != "2" else ():
            stack.callback(deployment.stop)
            deployment.serve()
        for name, deployment in zip(NAMES, self.deployments, strict=True) if airflow != "2" else ():
            deployment.until(lambda: bool(deployment.token()), "the API server does not answer")  # noqa: B023
            api = {"conn_type": "generic", "host": deployment.url, "password": deployment.token()}
            for one in self.deployments:
                one.settings[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(api)

    def objects(self) -> set[str]:
        """Return the keys of all objects of the bucket."""
        return set(re.findall("<Key>(.*?)</Key>", requests.get(self.bucket, timeout=60).text))


@pytest.fixture(scope="module", params=["3", "2"])
def pair(request: pytest.FixtureRequest, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two deployments of which nothing has run yet."""
    python, made = project(request.param)
    with ExitStack() as stack:
        yield Pair(tmp_path_factory.mktemp("two"), python, made, request.param, stack)


def check(reports: str, apis: list[str], own: str) -> None:
    """Check that a cleanup kept all, and refused to ask the API of another deployment."""
    for api, report in zip(apis, json.loads(reports), strict=True):
        if api in {"", own}:
            counts = {"of_another_deployment": 1, "named_by_a_row": 1, "orphans": 0, "deleted": 0}
            assert report | counts == report
        else:
            assert "must lead to this deployment's own API" in report["refused"]


def test_neither_deletes_the_objects_of_the_other(pair: Pair) -> None:
    production, staging = pair.deployments
    with_each = ("clean_with", {"connections": pair.apis})
    [row] = production.take(("shared_name", {}))
    first = row["paths"]

    row, reports = staging.take(("shared_name", {}), with_each)
    assert len(pair.objects()) == 2, "each deployment wrote one object, and all are there"
    assert len({key.rpartition("/")[0] for key in pair.objects()}) == 1, "both into one folder"
    check(reports, pair.apis, "staging")

    # What no row names any more goes, and only that; where nobody can be asked, age decides.
    gone = ("shared_name", None)
    reports, last = production.take(with_each, gone, ("clean_with", {"connections": [pair.apis[0], ""]}))
    check(reports, pair.apis, "production")
    assert [(report["of_another_deployment"], report["deleted"]) for report in json.loads(last)] == [(1, 1), (1, 0)]
    assert [f"s3://shared@shared/{key}" for key in pair.objects()] == row["paths"] != first
