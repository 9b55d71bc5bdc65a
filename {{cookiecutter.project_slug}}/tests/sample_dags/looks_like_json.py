"""Pushes strings that look like JSON of another type, and pulls them back: they must still be strings."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import dag, get_current_context, task

STRINGS = ["42", "null", "true", "1e3", '{"a": 1}', '"quoted"', "[1, 2]"]


@dag(schedule=None, tags=["test"])
def looks_like_json() -> None:
    @task
    def push() -> None:
        for number, string in enumerate(STRINGS):
            get_current_context()["ti"].xcom_push(key=f"string_{number}", value=string)

    @task
    def pull() -> None:
        ti = get_current_context()["ti"]
        pulled = [ti.xcom_pull(task_ids="push", key=f"string_{number}") for number in range(len(STRINGS))]
        if pulled != STRINGS:
            raise ValueError(f"not what was pushed: {pulled}")

    push() >> pull()


looks_like_json()
