"""Pushes one XCom of as many bytes as the run's configuration says: more than one request carries."""

from __future__ import annotations

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None)
def large_xcom() -> None:
    @task
    def push() -> None:
        context = get_current_context()
        size = (context["dag_run"].conf or {})["size"]
        context["ti"].xcom_push(key="large_obj", value="x" * size)

    push()


large_xcom()
