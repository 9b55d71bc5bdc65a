"""Runs every test on real Airflow with its own metadata database, and on an object store that stands for the real one.

Settings come from the process, then `.env`, then `.env.example`, as in a deployment. The object storage path and its
connection are always replaced, and all other connections and cloud credentials taken away, before Airflow is imported:
no test can reach the real bucket.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from object_stores import ObjectStore, open_store

PROJECT = Path(__file__).parent.parent
DAG_FOLDERS = (PROJECT / "dags", PROJECT / "tests" / "sample_dags")
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
MIRROR = "AIRFLOW__XCOM_BACKEND__MIRROR"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
XCOM_SETTINGS = (
    "AIRFLOW__CORE__XCOM_BACKEND",
    "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES",
    "AIRFLOW__COMMON_IO__",
    "AIRFLOW__XCOM_BACKEND__",
)
TAKEN_AWAY = ("AIRFLOW", "AWS_", "AZURE_", "GOOGLE_", "GCP_")

STORES = pytest.StashKey[list[ObjectStore]]()
running = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the store, then point this process at it and at an empty metadata database."""
    settings = project_settings()
    home = running.enter_context(tempfile.TemporaryDirectory(prefix="airflow-", ignore_cleanup_errors=True))
    stores = config.stash[STORES] = list(open_stores(settings))
    for name in [name for name in os.environ if name.startswith(TAKEN_AWAY)]:
        del os.environ[name]
    os.environ.update({name: value for name, value in settings.items() if name.startswith(XCOM_SETTINGS)})
    os.environ.update(
        {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle(folder) for folder in DAG_FOLDERS]),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )
    for variable, store in zip((PATH, MIRROR), stores, strict=False):
        os.environ[variable] = store.path
        connection_id = urlsplit(store.path).username
        if store.connection and connection_id:
            os.environ[f"AIRFLOW_CONN_{connection_id.upper()}"] = store.connection


def pytest_unconfigure() -> None:
    """Stop the store and remove the metadata database."""
    running.close()


def pytest_report_header(config: pytest.Config) -> str:
    """Say which store stands for the real one, so that nobody takes a folder for a cloud."""
    return f"XCom object store: {' and '.join(store.name for store in config.stash[STORES])}"


def open_stores(settings: dict[str, str]) -> Iterator[ObjectStore]:
    """Start the store of the object storage path and, if there is one, of the mirror."""
    primary = running.enter_context(open_store(settings[PATH]))
    yield primary
    mirror = settings.get(MIRROR)
    if not mirror:
        return
    if urlsplit(mirror).username and urlsplit(mirror).username == urlsplit(settings[PATH]).username:
        yield ObjectStore("another folder of it", f"{primary.path}-mirror", primary.connection)
    else:
        yield running.enter_context(open_store(mirror))


def project_settings() -> dict[str, str]:
    """Return the settings that this project runs with.

    Inside the Runtime image python-dotenv and `.env` may be absent: there `docker --env-file` has put all of `.env`
    into the process.
    """
    with suppress(ImportError):
        from dotenv import dotenv_values

        files = dotenv_values(PROJECT / ".env.example") | dotenv_values(PROJECT / ".env")
        return {name: value or "" for name, value in files.items()} | dict(os.environ)
    return dict(os.environ)


def bundle(folder: Path) -> dict[str, Any]:
    """Return the Dag bundle of a folder, as ``AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST`` wants it."""
    return {
        "name": folder.name,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder)},
    }


@pytest.fixture(scope="session", autouse=True)
def metadata_database() -> None:
    """Create the tables of the metadata database, once."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def set_threshold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Return a function that sets the threshold in bytes for one test: the backend remembers it, so it must forget."""
    from airflow.providers.common.io.xcom import backend

    remembered: list[Any] = [backend._get_threshold]
    with suppress(ImportError):
        from include.xcom_backend.settings import settings

        remembered.append(settings)

    def forget() -> None:
        for function in remembered:
            function.cache_clear()

    def set_to(size: int) -> None:
        monkeypatch.setenv(THRESHOLD, str(size))
        forget()

    yield set_to
    forget()
