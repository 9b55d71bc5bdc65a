"""Pushes one XCom whose JSON has exactly as many bytes as the run's configuration asks for, and pulls it back."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import dag, get_current_context, task


def sized_value_of_this_run() -> list[str]:
    """Return a list whose JSON, such as ``["xxx"]``, has as many bytes as the run's ``size`` says (4 or more)."""
    conf = get_current_context()["dag_run"].conf or {}
    return ["x" * (conf["size"] - 4)]


@dag(schedule=None, tags=["test"])
def sized_value() -> None:
    @task
    def push() -> None:
        get_current_context()["ti"].xcom_push(key="sized", value=sized_value_of_this_run())

    @task
    def pull() -> None:
        pulled = get_current_context()["ti"].xcom_pull(task_ids="push", key="sized")
        if pulled != sized_value_of_this_run():
            raise ValueError(f"not what was pushed: {str(pulled)[:200]}")

    push() >> pull()


sized_value()
