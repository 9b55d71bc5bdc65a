"""Two Dags: `write_values` leaves XComs of many types with Airflow 2, `read_values` pulls them with Airflow 3."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
from airflow.providers.common.compat.sdk import dag, get_current_context, task

VALUES: dict[str, Any] = {
    "small dict": {"a": 23},
    "big dict": {"numbers": list(range(10_000))},
    "text": "plain text",
    "text like a number": "42",
    "text like JSON": '{"a": 1}',
    "number": 4.5,
    "nothing": None,
    "big text": "x" * 5_000,
    "tuple": (1, "two"),
    "time": datetime(2026, 11, 20, tzinfo=timezone.utc),
    "decimal": Decimal("0.10"),
    "small DataFrame": pd.DataFrame({"n": [1, 2], "s": ["a", "b"]}),
    "big DataFrame": pd.DataFrame({"n": range(2_000), "s": [f"row {number}" for number in range(2_000)]}),
}


def verdict(pulled: Any, pushed: Any) -> str:
    """Return ``equal``, or what came instead."""
    if isinstance(pushed, pd.DataFrame):
        same = isinstance(pulled, pd.DataFrame) and pulled.to_dict("list") == pushed.to_dict("list")
    else:
        same = type(pulled) is type(pushed) and pulled == pushed
    return "equal" if same else f"not equal: {type(pulled).__name__} {str(pulled)[:60]}"


@dag(schedule=None, tags=["upgrade"])
def write_values() -> None:
    @task
    def write() -> None:
        for key, value in VALUES.items():
            get_current_context()["ti"].xcom_push(key=key, value=value)

    write()


@dag(schedule=None, tags=["upgrade"])
def read_values() -> None:
    @task
    def read() -> dict[str, str]:
        """Return the verdict about each value of the run that the configuration names."""
        ti = get_current_context()["ti"]
        old = {"dag_id": "write_values", "run_id": get_current_context()["dag_run"].conf["run_id"], "task_ids": "write"}
        verdicts = {}
        for key, pushed in VALUES.items():
            try:
                verdicts[key] = verdict(ti.xcom_pull(key=key, **old), pushed)
            except Exception as error:
                verdicts[key] = f"{type(error).__name__}: {str(error)[:80]}"
        ti.xcom_push(key="verdicts", value=json.dumps(verdicts))  # text, which stays in the row as it is
        return verdicts

    read()


write_values()
read_values()
