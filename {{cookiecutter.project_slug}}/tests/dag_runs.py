"""Runs a Dag to its end on real Airflow, and tells what it left in the metadata database and in the store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from airflow.models import DagBag
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow.utils.session import create_session
from conftest import DAG_FOLDERS, MIRROR, PATH
from sqlalchemy import select

xcom: Any = import_module("airflow.models.xcom")
XComModel = xcom.XComModel if hasattr(xcom, "XComModel") else xcom.BaseXCom  # Airflow 3, Airflow 2


@dataclass(frozen=True)
class FinishedRun:
    """A finished Dag run."""

    dag_id: str
    run_id: str
    state: str

    def row(self, key: str, task_id: str) -> Any:
        """Return what the metadata database holds for an XCom: the value itself, or a reference to an object."""
        query = select(XComModel.value).filter_by(dag_id=self.dag_id, run_id=self.run_id, task_id=task_id, key=key)
        with create_session() as session:
            return from_row(session.scalars(query).one())

    def rows(self) -> dict[tuple[str, int, str], Any]:
        """Return what the metadata database holds for all XComs of this run, by task ID, map index and key."""
        columns = (XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value)
        query = select(*columns).filter_by(dag_id=self.dag_id, run_id=self.run_id)
        with create_session() as session:
            found = session.execute(query).all()
        return {(task_id, index, key): from_row(row) for task_id, index, key, row in found}

    def objects(self) -> list[str]:
        """Return the object storage paths of all objects of this run that are in the store, or in both stores."""
        bases = [ObjectStoragePath(os.environ[name]) for name in (PATH, MIRROR) if os.environ.get(name)]
        for base in bases:
            base.fs.invalidate_cache()
        paths = (path for base in bases if base.exists() for path in base.rglob("*"))
        return [str(path) for path in paths if self.run_id in path.parts and path.is_file()]


def from_row(row: Any) -> Any:
    """Return the JSON value that a row holds: Airflow 2 keeps it as bytes."""
    return json.loads(row) if isinstance(row, bytes) else row


def referred(row: Any) -> list[str]:
    """Return the object storage paths that a row of the metadata database refers to: none if it holds the value."""
    if isinstance(row, str) and row.startswith(os.environ[PATH]):
        return [row]
    return list(row["paths"]) if isinstance(row, dict) and row.get("kind") == "reference" else []


def run_dag(dag_id: str, **conf: Any) -> FinishedRun:
    """Run a Dag with this configuration, as ``airflow dags test`` does: real tasks, real rows, no scheduler."""
    dag_run = load_dags()[dag_id].test(run_conf=conf)
    return FinishedRun(dag_id, dag_run.run_id, str(dag_run.state))


@cache
def load_dags() -> dict[str, Any]:
    """Return all Dags of the project and of the tests by ID."""
    bags = [DagBag(str(folder)) for folder in DAG_FOLDERS]
    return {dag_id: dag for bag in bags for dag_id, dag in bag.dags.items()}
