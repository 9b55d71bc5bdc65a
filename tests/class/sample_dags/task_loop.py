"""A Dag with a task loop, as Airflow 3.4 has them: each pass reads the big value of the one before."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import dag, get_current_context, task
from airflow.sdk import task_group


@task_group
def passes() -> Any:
    """Add one to what the pass before made."""

    @task
    def add_one():  # type: ignore[no-untyped-def]
        before = get_current_context()["loop"].previous  # type: ignore[typeddict-item, unused-ignore]  # new in 3.4
        return [0] * 1000 if before is None else [number + 1 for number in before]

    return add_one()


if hasattr(passes, "loop"):

    @dag(schedule=None, tags=["test"])
    def probe_loop() -> None:
        """Three passes."""
        passes.loop(max_iterations=3)  # type: ignore[attr-defined, unused-ignore]

    probe_loop()
