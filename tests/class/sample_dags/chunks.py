"""Dags that map tasks over Chunks in every way that Airflow has, and one that passes files on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException, dag, task

from include.xcom_backend import Chunks, XComFile, XComFolder

COUNT, BYTES = 8, 100_000


def item(number: int) -> bytes:
    """Return an item of 100 KB that says which one it is."""
    return bytes([number]) * BYTES


def first(data: bytes) -> int:
    """Return the number of an item."""
    return data[0]


def even(data: bytes) -> int:
    """Return the number of an item, and skip odd ones: Airflow's way to filter."""
    if data[0] % 2:
        raise AirflowSkipException
    return data[0]


@task
def number(data: bytes):  # type: ignore[no-untyped-def]
    """Say which item it is, and how long."""
    return data[0] + len(data)


@dag(schedule=None, tags=["test"])
def probe_chunks() -> None:
    """One item for each task instance."""

    @task
    def make():  # type: ignore[no-untyped-def]
        return Chunks(item(number) for number in range(COUNT))

    number.expand(data=make())


@dag(schedule=None, tags=["test"])
def probe_list() -> None:
    """The same with a list."""

    @task
    def make():  # type: ignore[no-untyped-def]
        return [item(number) for number in range(COUNT)]

    number.expand(data=make())


@dag(schedule=None, tags=["test"])
def probe_chunks_ways() -> None:
    """Each way to map gets what a list would give it."""

    @task
    def make():  # type: ignore[no-untyped-def]
        return Chunks([item(number) for number in range(2)])

    @task
    def make_kwargs():  # type: ignore[no-untyped-def]
        return Chunks({"x": number, "y": item(number)} for number in range(2))

    @task
    def same(x: Any, y: Any = None):  # type: ignore[no-untyped-def]
        return [x if type(x) is int else list(map(first, x)) if type(x) is tuple else x[0], y and len(y)]

    @task
    def whole(everything: Any, place: int):  # type: ignore[no-untyped-def]
        return [len(everything), everything[place][0], [part[0] for part in everything[place:]]]

    made = make()
    same.override(task_id="kwargs").expand_kwargs(make_kwargs())
    same.override(task_id="map").expand(x=made.map(first))
    same.override(task_id="filter").expand(x=made.map(even))
    same.override(task_id="zip").expand(x=made.zip(made))
    same.override(task_id="product").expand(x=made, y=["a", "bb"])
    whole.partial(everything=made).expand(place=[0, 1])


@dag(schedule=None, tags=["test"])
def probe_files() -> None:
    """A file and a folder go from task to task, and through a template."""

    @task
    def write():  # type: ignore[no-untyped-def]
        Path("probe-files").mkdir(exist_ok=True)
        Path("probe-files", "a.txt").write_text("from a file")
        return XComFile("probe-files/a.txt")

    @task
    def write_folder():  # type: ignore[no-untyped-def]
        Path("probe-folder").mkdir(exist_ok=True)
        Path("probe-folder", "a.txt").write_text("from a file")
        return XComFolder("probe-folder")

    @task
    def read(file: Any, folder: Any):  # type: ignore[no-untyped-def]
        if os.fspath(file) == "probe-files/a.txt" or folder["a.txt"].read() != b"from a file":
            raise AssertionError(file)
        return Path(file).read_text()

    @task.bash
    def shell() -> str:
        pull = "python -W ignore -m include.xcom_backend pull '{{ ti.xcom_pull(task_ids=\"write\") }}' --to copy.txt"
        return f'cd "$PROJECT" && {pull} >&2 && cat copy.txt && rm copy.txt'

    file = write()
    read(file, write_folder()) >> shell()


probe_chunks()
probe_list()
probe_chunks_ways()
probe_files()
