"""Hands values from the first worker to the second: what the second sees is the store, and no file of the first."""

from __future__ import annotations

import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import dag, get_current_context, task

TEXT = "handed over " * 5_000


def where() -> dict[str, str]:
    """Return the address of this worker, its Dag file, and a file in its temporary folder."""
    with tempfile.NamedTemporaryFile(prefix="hand_over", delete=False) as mine:
        mine.write(b"only on this worker")
    return {"worker": get_current_context()["ti"].hostname, "dag": __file__, "file": mine.name}


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc))
def hand_over() -> None:
    @task(queue="worker-1")
    def push():  # type: ignore[no-untyped-def]
        return {"from": where(), "text": TEXT}

    @task(queue="worker-2")
    def pull(pushed: Any):  # type: ignore[no-untyped-def]
        there, here = pushed["from"], where()
        return {
            "whole": pushed["text"] == TEXT,
            "workers": [there["worker"], here["worker"]],
            "dags": [there["dag"], here["dag"]],
            "sees_the_file": Path(there["file"]).exists(),
            "sees_the_dag": Path(there["dag"]).exists(),
        }

    pull(push())


hand_over()
