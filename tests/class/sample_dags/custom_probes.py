"""Dags for the tests of include/xcom_backend: each reaches it in another way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag, get_current_context, task


@dag(schedule=None, tags=["test"])
def probe_values() -> None:
    """Values of every size and kind, and mapped tasks, arrive."""

    @task
    def make():  # type: ignore[no-untyped-def]
        return {"small": 1, "nested": [(1, 2), {"deep": "x" * 5000}]}

    @task
    def numbers():  # type: ignore[no-untyped-def]
        return [1, 2, 3]

    @task
    def grow(number: int):  # type: ignore[no-untyped-def]
        return f"{number}" * 3000

    @task
    def check(made: Any, grown: Any) -> None:
        if made != {"small": 1, "nested": [(1, 2), {"deep": "x" * 5000}]}:
            raise AssertionError(made)
        if list(grown) != ["1" * 3000, "2" * 3000, "3" * 3000]:
            raise AssertionError(grown)

    check(make(), grow.expand(number=numbers()))


@dag(schedule=None, tags=["test"])
def probe_retry() -> None:
    """The second try removes what the first one pushed."""

    @task(retries=1, retry_delay=timedelta(0))
    def twice():  # type: ignore[no-untyped-def]
        ti = get_current_context()["ti"]
        ti.xcom_push(key="progress", value=[f"try {ti.try_number}"] * 1000)
        if ti.try_number == 1:
            raise RuntimeError("the first try fails on purpose")
        return "done" * 1000

    twice()


@dag(schedule=None, tags=["test"])
def probe_same_key() -> None:
    """Push a key twice in one try: the last value counts, the first object is an orphan."""

    @task
    def push_twice() -> None:
        ti = get_current_context()["ti"]
        for number in (1, 2):
            ti.xcom_push(key="again", value=[number] * 1000)

    push_twice()


probe_values()
probe_retry()
probe_same_key()
