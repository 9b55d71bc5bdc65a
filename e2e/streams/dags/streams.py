"""What real runs map over Chunks in every way that Airflow has, and pass on as files. FAN_OUT is a number of items."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException, dag, get_current_context, task

from include.xcom_backend import Chunks, XComFile

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:  # Airflow 2.11
    from airflow.operators.bash import BashOperator

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
FEW = 3


def item(number: int) -> bytes:
    """Return 1 MB that says which item it is."""
    return bytes([number % 256]) * 1_000_000


def number_of(data: bytes) -> int:
    """Return which item it is, if it is whole."""
    if data != item(data[0]):
        raise AssertionError(data[:20])
    return data[0]


def even(data: bytes) -> int:
    """Skip odd items: Airflow's way to filter."""
    if number_of(data) % 2:
        raise AirflowSkipException
    return data[0]


@dag(schedule=None, start_date=START)
def fan_out() -> None:
    """One item for each task instance."""

    @task
    def make():  # type: ignore[no-untyped-def]
        count = int(os.environ["FAN_OUT"])
        return Chunks(map(item, range(count)), length=count)

    @task
    def check(part: Any) -> None:
        if part != item(get_current_context()["ti"].map_index):
            raise AssertionError(part[:20])

    check.expand(part=make())


@dag(schedule=None, start_date=START)
def ways() -> None:
    """Each way takes what it needs: FEW items, and for the pairs of `zip` twice as many."""

    @task
    def make():  # type: ignore[no-untyped-def]
        return Chunks(map(item, range(FEW)), length=FEW)

    @task
    def make_kwargs():  # type: ignore[no-untyped-def]
        return Chunks(({"x": item(number)} for number in range(FEW)), length=FEW)

    @task
    def check(x: Any) -> None:
        index = get_current_context()["ti"].map_index
        numbers = [one if isinstance(one, int) else number_of(one) for one in (x if isinstance(x, tuple) else (x,))]
        if set(numbers) != {index}:
            raise AssertionError(f"{numbers} for {index}")

    @task
    def pick(everything: Any, place: int) -> None:
        if len(everything) != FEW or number_of(everything[place]) != place:
            raise AssertionError(place)

    made = make()
    check.override(task_id="kwargs").expand_kwargs(make_kwargs())
    check.override(task_id="map").expand(x=made.map(number_of))
    check.override(task_id="filter").expand(x=made.map(even))
    check.override(task_id="zip").expand(x=made.zip(made))
    pick.partial(everything=made).expand(place=list(range(FEW)))


@dag(schedule=None, start_date=START)
def files() -> None:
    """A file from Python, and one that a command of a shell pushed and printed the row of."""

    @task
    def write():  # type: ignore[no-untyped-def]
        path = Path(tempfile.gettempdir(), "report.csv")
        path.write_text("from Python")
        return XComFile(path)

    from_shell = BashOperator(
        task_id="shell",
        bash_command="printf 'from a shell' > report.txt && "
        f"{sys.executable} -W ignore -m include.xcom_backend push report.txt",
        output_processor=json.loads,
    )

    @task
    def read(file: Any, other: Any) -> None:
        # Both are local copies in the folder for temporary files until the task ends.
        if (Path(file).read_text(), Path(other).read_text()) != ("from Python", "from a shell"):
            raise AssertionError(file)
        if len([*Path(tempfile.gettempdir()).glob("xcom-*/report.*")]) != 2:
            raise AssertionError("no local copies")

    read(write(), from_shell.output)


fan_out()
ways()
files()
