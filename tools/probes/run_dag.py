"""Runs a Dag of the folder that Airflow is set to, once, and prints its state and what its rows hold, as JSON.

Argument: the ID of the Dag.
"""

from __future__ import annotations

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

initdb()
run = DagBag("dags").dags[sys.argv[1]].test()
with create_session() as session:
    rows = session.execute(select(XComModel.task_id, XComModel.key, XComModel.value)).all()
print(json.dumps({"state": str(run.state), "rows": {f"{task_id} {key}": value for task_id, key, value in rows}}))
