"""Dags that load the XCom backend: many tasks push, one pulls all and looks at each value. Trigger with ``count``."""

from __future__ import annotations

import hashlib
import random
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import dag, get_current_context, task

TEXT_CHARACTERS = 200_000
FRAME_ROWS = 1_250_000  # of two columns with 8 bytes a number: 20 MB


def make_text(number: int) -> dict[str, Any]:
    """Return the value that the task of this number pushes: 200 KB of hexadecimal digits, and the number."""
    return {"number": number, "text": random.Random(number).randbytes(TEXT_CHARACTERS // 2).hex()}  # noqa: S311


def make_frame(number: int) -> Any:
    """Return the DataFrame that the task of this number pushes: 20 MB in memory, 17 MB as Parquet."""
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(number).random((FRAME_ROWS, 2)), columns=["a", "b"])


def hash_of(value: Any) -> str:
    """Return the SHA-256 of all that the value is made of."""
    if isinstance(value, dict):
        return hashlib.sha256(f"{sorted(value.items())}".encode()).hexdigest()
    names = f"{list(value.columns)} {list(value.dtypes)} {value.index}"
    return hashlib.sha256(names.encode() + value.to_numpy().tobytes()).hexdigest()


def memory() -> dict[str, int]:
    """Return what this process has in memory, and the most that it ever had, in KiB."""
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}


def check(values: Any, make: Any) -> dict[str, Any]:
    """Compare the hash of each pulled value with that of a value made anew, one at a time.

    :raises ValueError: that names the values which are not what their task pushed
    """
    before = memory()
    wrong, count = [], 0
    for number, value in enumerate(values):
        count += 1
        if hash_of(value) != hash_of(make(number)):
            wrong.append(number)
    if wrong or count != get_current_context()["params"]["count"]:
        raise ValueError(f"{count} values came; wrong are {wrong}")
    return {"values": count, "before_kib": before["VmRSS"], "peak_kib": memory()["VmHWM"]}


def load(dag_id: str, make: Any, count: int) -> None:
    """Make a Dag that fans out into ``count`` tasks and comes together in one."""

    @dag(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        params={"count": count},
        max_active_tasks=32,
    )
    def fan_out() -> None:
        @task
        def numbers() -> list[int]:
            return list(range(get_current_context()["params"]["count"]))

        @task
        def push(number: int):  # type: ignore[no-untyped-def]  # an annotation "-> dict" would store it twice
            return make(number)

        @task
        def reduce(values: Any):  # type: ignore[no-untyped-def]
            return check(values, make)

        reduce(push.expand(number=numbers()))

    fan_out()


load("load_texts", make_text, 200)
load("load_frames", make_frame, 30)
