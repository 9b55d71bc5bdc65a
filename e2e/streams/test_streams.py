"""1,000 mapped task instances over Chunks of 1 MB take 1,000 MB from the store, and a file takes little memory."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.baking import ROOT, bake, run
from tools.environments import project_environment, python_path

COUNT, MEBIBYTES = 1000, int(os.environ.get("STREAM_MEBIBYTES", "1024"))


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of an S3 server that counts."""
    command = [sys.executable, str(ROOT / "benchmarks" / "fast_s3.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.terminate()


def test_each_gets_its_item_and_a_file_needs_little_memory(endpoint: str, tmp_path: Path) -> None:
    project = bake(tmp_path, tmp_path / "output", {"cloud": "aws", "xcom_backend": "custom"}, accept_hooks=False)
    python = project_environment("aws-custom", [project / "requirements-dev.txt"])
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(("AIRFLOW", "AWS_"))}
    environment = kept | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_MY_AWS_CONN": json.dumps(connection),
        "AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT": "of the tests",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "s3://my_aws_conn@bucket/xcom",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
        "COUNTS": f"{endpoint}/-/counts",
        "PYTHONPATH": python_path(project),
    }
    probe = Path(__file__).parent / "probe.py"
    arguments = ("-W", "ignore", probe, str(COUNT), str(MEBIBYTES))
    done = run(python, *arguments, cwd=tmp_path, env=environment, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout.splitlines()[-1])
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["chunks"]["bytes"] <= 1.05 * COUNT * 1_000_000
    assert seen["list"]["bytes"] >= 3 * COUNT * 1_000_000
    assert seen["file"]["bytes"] == MEBIBYTES * 2**20
    assert filecmp.cmp(tmp_path / "big.bin", tmp_path / "copy.bin", shallow=False)
    assert seen["file"]["peak_mb"] <= 300
