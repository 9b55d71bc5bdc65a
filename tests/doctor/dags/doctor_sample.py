"""Pushes a small and a big value, so that the doctor has real rows and objects to look at."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import dag, task
from pendulum import datetime


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
def doctor_sample() -> None:
    @task
    def push_small():  # type: ignore[no-untyped-def] # an annotation would infer multiple_outputs
        return {"a": 23}

    @task
    def push_big():  # type: ignore[no-untyped-def]
        return ["big"] * 1000

    push_small()
    push_big()


doctor_sample()
