"""A branch and a short circuit, each with tasks to skip; the short circuit names 30, in more than 1,000 bytes."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import dag, task

START = datetime(2024, 1, 1, tzinfo=timezone.utc)


@dag(schedule=None, start_date=START)
def after_branch() -> None:
    """Take one of two ways."""

    @task.branch
    def choose() -> str:
        return "taken"

    @task
    def taken() -> None: ...

    @task
    def skipped() -> None: ...

    choose() >> [taken(), skipped()]


@dag(schedule=None, start_date=START)
def after_short_circuit() -> None:
    """Skip 30 tasks."""

    @task.short_circuit
    def choose() -> bool:
        return False

    @task
    def skipped() -> None: ...

    others = [task(task_id=f"skipped_with_a_name_of_some_length_{number}")(lambda: None)() for number in range(29)]
    choose() >> [skipped(), *others]


after_branch()
after_short_circuit()
