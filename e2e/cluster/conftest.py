"""What the tests of the cluster share: a cluster on S3, and where they write down what they saw."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.cluster import Cluster, running_cluster
from tools.environments import ROOT

HERE = Path(__file__).parent
RESULTS = ROOT / "records" / "cluster.json"
RECORDING = os.environ.get("XCOM_TEMPLATE_RECORD") == "1"

Record = Callable[[str, Any], None]


def pytest_configure() -> None:
    """Let whoever ends the tests with SIGTERM end what they started too, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the cluster where its lock does not hold."""
    if sys.version_info < (3, 11):
        reason = f"requirements/cluster.txt is for Python 3.11 and newer, this is {platform.python_version()}"
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def s3() -> Iterator[Cluster]:
    """Yield a cluster of a project with the custom class on S3, with the Dags of the load."""
    with running_cluster({"cloud": "aws", "xcom_backend": "custom"}, dags=sorted(HERE.glob("dags/*.py"))) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def record() -> Record:
    """Return what prints a result and, when `make record ONLY=cluster` runs, keeps it in ``records/cluster.json``."""

    def write(name: str, result: Any) -> None:
        print(f"{name}: {json.dumps(result)}")
        if RECORDING:
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            results[name] = result
            RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")

    return write


def pytest_sessionfinish(exitstatus: int) -> None:
    """Write docs/reference/cluster.md anew from what was recorded."""
    if RECORDING and exitstatus == 0:
        from tools.pages.cluster import write_page

        write_page(json.loads(RESULTS.read_text()))
