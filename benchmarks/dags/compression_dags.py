"""The Dags of compression_proof.py: for each store, tasks that push as their last statement, then one that pulls."""

# Where Airflow is not installed, its decorators have no types.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

VALUE = list(range(4000))  # 22,890 bytes of JSON
PROOF: dict[str, Any] = json.loads(os.environ["PROOF"])


def configure(path: str, compression: str = "none") -> None:
    """Set what `.env` would set. The backend reads it at its first use in this process, which is the task's own."""
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = path
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"] = compression.replace("none", "")


@task
def push(path: str, compression: str, ti: Any = None) -> None:
    """Push, and end."""
    configure(path, compression)
    ti.xcom_push("value", VALUE)


@task(trigger_rule="all_done")
def pull(path: str, ti: Any = None) -> None:
    """Pull from every push, and write down what came."""
    configure(path)
    pulled = [outcome(ti, map_index) for map_index in range(len(PROOF["compressions"]))]
    Path(PROOF["results"], f"{ti.dag_id}.json").write_text(json.dumps(pulled))


def outcome(ti: Any, map_index: int) -> str:
    """Say what a pull from one push gives."""
    try:
        value = ti.xcom_pull(task_ids="push", key="value", map_indexes=map_index)
    except Exception as error:
        return type(error).__name__
    if value == VALUE:
        return "value"
    return "nothing" if value is None else "PATH STRING" if isinstance(value, str) else type(value).__name__


def make(dag_id: str, path: str) -> None:
    """Make the Dag of one store: it runs once, as soon as the scheduler sees it."""

    @dag(dag_id=dag_id, schedule="@once", start_date=datetime(2026, 1, 1), catchup=False)
    def proof() -> None:
        push.partial(path=path).expand(compression=PROOF["compressions"]) >> pull(path)

    proof()


for dag_id, path in PROOF["paths"].items():
    make(dag_id, path)
