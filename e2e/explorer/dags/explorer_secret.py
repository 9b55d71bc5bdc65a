"""A Dag whose XComs a user who may only read the other one must never see."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["explorer"])
def explorer_secret() -> None:
    """Push a secret."""

    @task
    def push() -> str:
        return "the secret of the other Dag " * 100

    push()


explorer_secret()
