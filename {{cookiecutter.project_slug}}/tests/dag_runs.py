"""Runs a Dag to its end on real Airflow, and tells what it left in the metadata database and in the store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from airflow.models import DagBag
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath
from airflow.utils.session import create_session
from conftest import DAG_FOLDERS, MIRROR, PATH
from sqlalchemy import text

ROW = text("SELECT value FROM xcom WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task_id AND key = :key")
ROWS = text("SELECT task_id, map_index, key, value FROM xcom WHERE dag_id = :dag_id AND run_id = :run_id")


@dataclass(frozen=True)
class FinishedRun:
    """A finished Dag run."""

    dag_id: str
    run_id: str
    state: str

    def row(self, key: str, task_id: str) -> Any:
        """Return what the metadata database holds for an XCom: the value itself, or a reference to an object."""
        names = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": task_id, "key": key}
        with create_session() as session:
            return json.loads(session.execute(ROW, names).scalar_one())

    def rows(self) -> dict[tuple[str, int, str], Any]:
        """Return what the metadata database holds for all XComs of this run, by task ID, map index and key."""
        with create_session() as session:
            found = session.execute(ROWS, {"dag_id": self.dag_id, "run_id": self.run_id}).all()
        return {(task_id, index, key): json.loads(value) for task_id, index, key, value in found}

    def objects(self) -> list[str]:
        """Return the object storage paths of all objects of this run that are in the store, or in both stores."""
        bases = [ObjectStoragePath(os.environ[name]) for name in (PATH, MIRROR) if os.environ.get(name)]
        for base in bases:
            base.fs.invalidate_cache()
        paths = (path for base in bases if base.exists() for path in base.rglob("*"))
        return [str(path) for path in paths if self.run_id in path.parts and path.is_file()]


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
def load_dags() -> dict[str, DAG]:
    """Return all Dags of the project and of the tests by ID."""
    bags = [DagBag(str(folder)) for folder in DAG_FOLDERS]
    return {dag_id: dag for bag in bags for dag_id, dag in bag.dags.items()}
