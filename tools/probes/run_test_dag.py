"""Runs the project's test Dag once with the settings of this process, and prints what its rows hold, as JSON."""

from __future__ import annotations

import json

from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

initdb()
run = DagBag("dags").dags["custom_xcom_backend_test"].test()
with create_session() as session:
    rows = session.execute(select(XComModel.key, XComModel.value).filter_by(task_id="push_objects")).all()
print(json.dumps({"state": str(run.state), "rows": {key: value for key, value in rows if key != "return_value"}}))
