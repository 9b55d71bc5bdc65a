"""Runs Dags one after the other in this process, and prints what the last task of each returned, as one line of JSON.

Argument: a list of steps as JSON. A step is the ID of a Dag and its configuration; with ``null`` for that, its XComs
are deleted from the metadata database instead, as by ``airflow db clean``.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import Any

from airflow.models import DagBag
from airflow.utils.session import create_session

xcom: Any = import_module("airflow.models.xcom")
airflow_2 = not hasattr(xcom, "XComModel")
model = xcom.BaseXCom if airflow_2 else xcom.XComModel
dags: Any = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags
told = []
for number, (dag_id, conf) in enumerate(json.loads(sys.argv[1])):
    if conf is None:
        with create_session() as session:
            session.query(model).filter_by(dag_id=dag_id).delete()
        continue
    when = datetime(2024, 2, 1, tzinfo=timezone.utc) + timedelta(days=number)
    dates = {"execution_date": when} if airflow_2 else {"logical_date": when, "run_after": when}  # of the run ID
    run = dags[dag_id].test(**dates, run_conf=conf)
    assert str(run.state) == "success", f"{dag_id}: {run.state}"  # noqa: S101
    with create_session() as session:
        rows = session.query(model.value).filter_by(dag_id=dag_id, run_id=run.run_id, key="return_value")
        row = rows.one()[0]
    told.append(json.loads(row) if isinstance(row, bytes) else row)
print("TOLD", json.dumps(told))
