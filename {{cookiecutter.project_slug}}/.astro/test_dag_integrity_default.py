"""Every Dag of this project loads, also without its connections and variables: `astro dev parse` runs this.

The Astro CLI writes a file of this name where there is none; the one of CLI 1.45 fails on Airflow 3.3, whose DagBag has
no `include_examples`. This one does the same job on Airflow 2 and 3. Files named in `dag_integrity_exceptions.txt` may
fail.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

PROJECT = Path(__file__).parent.parent
HOME = tempfile.TemporaryDirectory(prefix="airflow-", ignore_cleanup_errors=True)

# Before Airflow is imported: nothing here may reach a real metadata database, or load a real XCom backend.
os.environ.update(
    {
        "AIRFLOW_HOME": HOME.name,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME.name}/airflow.db",
    }
)

from airflow.models import DagBag  # noqa: E402
from airflow.providers.common.compat.sdk import BaseHook, Connection, Variable  # noqa: E402


def exceptions() -> set[str]:
    """Return the paths of the Dag files that are allowed to fail, relative to the project."""
    lines = (PROJECT / ".astro" / "dag_integrity_exceptions.txt").read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


@pytest.fixture
def no_environment() -> Iterator[None]:
    """Answer every look-up of a connection or variable with a stand-in: parsing must not depend on the real ones."""

    def any_variable(key: str, default: object = None, default_var: object = None, **_: object) -> object:
        found = default if default_var is None else default_var  # Airflow 3 says default, Airflow 2 default_var
        return f"MOCKED_{key.upper()}" if found is None else found

    def any_connection(conn_id: str) -> Connection:
        return Connection(conn_id=conn_id, conn_type="generic")

    with (
        mock.patch.object(Variable, "get", any_variable),
        mock.patch.object(BaseHook, "get_connection", any_connection),
    ):
        yield


@pytest.mark.usefixtures("no_environment")
def test_every_dag_file_loads() -> None:
    errors = DagBag(str(PROJECT / "dags")).import_errors
    broken = {str(Path(path).relative_to(PROJECT)): error for path, error in errors.items()}
    assert not {path: error for path, error in broken.items() if path not in exceptions()}
