"""An XCom that goes to object storage, with names that any deployment has, and a cleanup that asks several APIs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

START = datetime(2024, 1, 1, tzinfo=timezone.utc)


@dag(schedule=None, start_date=START)
def shared_name() -> None:
    """Push one value."""

    @task
    def push() -> list[str]:
        return ["x" * 5000]

    push()


@dag(schedule=None, start_date=START, params={"connections": Param([], type="array")})
def clean_with() -> None:
    """Clean up with each of some connections, whatever the age, and tell what came of it."""

    @task
    def clean_up() -> str:
        from include.xcom_backend.cleanup import choose_rows, clean
        from include.xcom_backend.reference import XComBackendError

        context: Any = get_current_context()
        told: list[dict[str, Any]] = []
        for connection in context["params"]["connections"]:
            try:
                rows = choose_rows(connection)
                told.append(vars(clean(rows, dry_run=False, age_days=-1, blind_age_days=-1)))
            except XComBackendError as error:
                told.append({"refused": str(error)})
        return json.dumps(told)  # as text, for who reads the row

    clean_up()


shared_name()
clean_with()
