"""Pushes a big XCom, fails in its first try, and runs again: before 3.4 Airflow removes the first try's object."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import dag, get_current_context, task


@dag(schedule=None, tags=["test"])
def fails_once() -> None:
    @task(retries=1, retry_delay=timedelta(0))
    def push() -> None:
        ti = get_current_context()["ti"]
        ti.xcom_push(key="big_obj", value=["x" * 100_000, ti.try_number])
        if ti.try_number == 1:
            raise RuntimeError("the first try fails on purpose, after its push")

    push()


fails_once()
