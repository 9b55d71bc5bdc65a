"""An XCom that goes to object storage, pushed with a run ID that any deployment has."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc))
def shared_name() -> None:
    """Push one value."""

    @task
    def push() -> list[str]:
        return ["x" * 5000]

    push()


shared_name()
