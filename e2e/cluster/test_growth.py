"""How the custom class grows: requests are counted, times only written down."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest

from e2e.cluster.cluster import environment
from e2e.cluster.conftest import HERE, RECORDING, Record
from tools.baking import bake
from tools.environments import ROOT

PAGE = 1000  # the most objects of one answer of S3 to a listing
PART, MULTIPART = 2**24, 256 * 2**20  # bytes of a part, and from how many on there are parts


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, record: Record) -> dict[str, Any]:
    """Return what growth.py measured."""
    folder = tmp_path_factory.mktemp("growth")
    project = bake(folder, folder / "bake", {"cloud": "aws", "xcom_backend": "custom"}, accept_hooks=False)
    python = environment("aws", tmp_path_factory.mktemp("environment"))
    command = [sys.executable, str(ROOT / "benchmarks" / "fast_s3.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        settings = {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW_CONN_GROWTH": json.dumps(
                {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
            ),
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "s3://growth@bucket/xcom",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": str(project),
        }
        try:
            done = subprocess.run(
                [str(python), "-W", "ignore", str(HERE / "growth.py"), endpoint],
                cwd=project,
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                timeout=1800,
            )
        finally:
            server.terminate()
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    record("growth", result)
    if RECORDING:
        picture = [str(python), str(HERE / "plot.py"), str(ROOT / "docs" / "images" / "growth.svg")]
        subprocess.run(picture, input=json.dumps(result), text=True, check=True)
    return result


def test_a_push_a_pull_and_a_purge_list_nothing(measured: dict[str, Any]) -> None:
    for row in measured["sizes"]:
        size = row["bytes"]
        # In parts: one request that begins, one for each part, one that ends.
        parts = {"POST": 2, "PUT": math.ceil(size / PART)} if size >= MULTIPART else {"PUT": 1}
        assert row["push"]["requests"] == parts
        assert row["pull"]["requests"] == {"GET": 1}
        assert row["purge"]["requests"] == {"DELETE": 1}


def test_a_listing_asks_once_for_each_thousand_objects_of_the_dag(measured: dict[str, Any]) -> None:
    """The 2,500 objects of another Dag beside them are not listed."""
    for row in measured["numbers"]:
        pages = math.ceil(row["objects"] / PAGE)
        assert row["list"]["requests"] == {"GET": pages, "list": pages}
        assert row["cleanup, dry run"]["requests"] == {"GET": pages, "list": pages}
        assert row["cleanup"]["requests"] == {"GET": pages, "list": pages, "DELETE": row["objects"]}


def test_a_purge_lists_nothing(measured: dict[str, Any]) -> None:
    for row in measured["numbers"]:
        assert row["purge one by one"]["requests"] == row["purge at once"]["requests"] == {"DELETE": row["objects"]}
