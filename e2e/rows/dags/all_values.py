"""Pushes every kind of value that comes back exactly, and pulls each in another process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from airflow.providers.common.compat.sdk import dag, get_current_context, task


def expressions() -> Iterator[tuple[str, str]]:
    """Yield a key and how Python writes the value."""
    from values import rows

    for number, (_, expected, expression) in enumerate(rows()):
        if expected == "exact":
            yield f"value_{number}", expression


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc))
def all_values() -> None:
    """Two tasks: an XCom for each value; and a file, named by ``TOLD``: how many are right, and the wrong ones."""

    @task
    def push() -> None:
        from values import make

        for key, expression in expressions():
            get_current_context()["ti"].xcom_push(key, make(expression))

    @task
    def pull() -> None:
        from try_values import same
        from values import make

        wrong, right = [], 0
        for key, expression in expressions():
            back = get_current_context()["ti"].xcom_pull(task_ids="push", key=key)
            if same(back, make(expression)):
                right += 1
            else:
                wrong.append(f"{expression} came back as {back!r}"[:500])
        Path(os.environ["TOLD"]).write_text(json.dumps([right, wrong]))

    push() >> pull()


all_values()
