"""Measures how the custom class grows: with the size of a value, and with the number of objects under one run.

The project's own Python starts this in the project's folder, beside an S3 server that counts requests. It prints JSON:
for each size or number the median seconds of each action, by the clock and of this process's CPU time, and the requests
that the server saw.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

SIZES = [10**power for power in range(3, 10)]  # 1 KB to 1 GB
NUMBERS = [100, 300, 1000, 3000, 10_000]
ROUNDS = 3  # of which the median counts; the biggest value and the great numbers are measured once
VALUE = "x" * 500
NAMES = {"dag_id": "growth", "run_id": "manual__2026-11-20", "task_id": "push", "key": "return_value"}
OTHER_DAG = 2500  # objects of another Dag beside those that are looked at


def main(endpoint: str) -> None:
    """Print what was measured against the server at this address."""
    os.environ["AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT"] = "growth"  # outside of a task nobody can ask the database
    from include.xcom_backend import XComBackend

    counts = Counts(endpoint)
    XComBackend.purge(SimpleNamespace(value=push(XComBackend, VALUE, 0)))  # imports, connects
    sizes = [of_size(XComBackend, size, counts) for size in SIZES]
    for index in range(OTHER_DAG):
        XComBackend.serialize_value(VALUE, **{**NAMES, "dag_id": "other", "map_index": index})
    numbers = [of_number(XComBackend, number, counts) for number in NUMBERS]
    print(json.dumps({"sizes": sizes, "numbers": numbers}))


class Counts:
    """The requests that the server has seen."""

    def __init__(self, endpoint: str):
        """Remember the address of the server."""
        self.url = f"{endpoint}/-/counts"

    def now(self) -> dict[str, int]:
        """Return the number of requests by their method, and of those to list."""
        with urllib.request.urlopen(self.url) as answer:  # noqa: S310
            seen = json.load(answer)
        return {name: seen.get(name, 0) for name in ("PUT", "GET", "HEAD", "POST", "DELETE", "list")}

    def during(self, action: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
        """Return what the action returns, and its seconds and requests."""
        before, started, burned = self.now(), time.perf_counter(), time.process_time()
        result = action()
        seconds, cpu, after = time.perf_counter() - started, time.process_time() - burned, self.now()
        requests = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        return result, {"seconds": seconds, "cpu": cpu, "requests": requests}


def push(backend: Any, value: Any, index: int) -> Any:
    """Return the row of a value."""
    return backend.serialize_value(value, **NAMES, map_index=index)


def purge_each(backend: Any, rows: list[Any]) -> None:
    """Purge one row after the other, as Airflow 3 does when tasks start again."""
    for row in rows:
        backend.purge(SimpleNamespace(value=row))


def of_size(backend: Any, size: int, counts: Counts) -> dict[str, Any]:
    """Return what it takes to push, pull and purge a value of this many bytes."""
    rounds: list[dict[str, Any]] = []
    for _ in range(1 if size >= 10**9 else ROUNDS):
        value = os.urandom(min(size, 10**6)) * max(1, size // 10**6)
        row, pushed = counts.during(partial(push, backend, value, 0))
        pulled, got = counts.during(partial(backend.deserialize_value, SimpleNamespace(value=row)))
        if pulled != value:
            raise ValueError(f"{len(value)} bytes did not come back as they were pushed")
        del pulled
        _, purged = counts.during(partial(backend.purge, SimpleNamespace(value=row)))
        rounds.append({"bytes": len(value), "push": pushed, "pull": got, "purge": purged})
    return middle(rounds)


def of_number(backend: Any, number: int, counts: Counts) -> dict[str, Any]:
    """Return what it takes to list, clean up and purge this many objects of one run."""
    from include.xcom_backend import settings
    from include.xcom_backend.backend import purge_rows
    from include.xcom_backend.cleanup import clean
    from include.xcom_backend.stores import open_store

    store = open_store(settings.settings().readable[0])
    options = {"blind_age_days": 0, "max_per_dag": 10**9, "dags": [NAMES["dag_id"]]}
    rounds = []
    for _ in range(ROUNDS if number < 3000 else 1):
        rows = [push(backend, VALUE, index) for index in range(number)]
        listed, listing = counts.during(lambda: sum(1 for _ in store.list(f"{NAMES['dag_id']}/")))
        looked, looking = counts.during(lambda: clean(None, **options).looked_at)
        _, one_by_one = counts.during(partial(purge_each, backend, rows))
        rows = [push(backend, VALUE, index) for index in range(number)]
        _, at_once = counts.during(partial(purge_rows, [(row, None) for row in rows]))
        for index in range(number):
            push(backend, VALUE, index)
        deleted, cleaning = counts.during(lambda: clean(None, dry_run=False, **options).deleted)
        if not listed == looked == deleted == number:
            raise ValueError(f"of {number} objects {listed} were listed, {looked} looked at, {deleted} deleted")
        measured = {"list": listing, "cleanup, dry run": looking, "cleanup": cleaning}
        rounds.append({"objects": number, **measured, "purge one by one": one_by_one, "purge at once": at_once})
    return middle(rounds)


def middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one round, with the medians of all."""
    result = rounds[-1]
    for name, measured in result.items():
        if isinstance(measured, dict):
            for unit in ("seconds", "cpu"):
                measured[unit] = statistics.median(one[name][unit] for one in rounds)
    return result


if __name__ == "__main__":
    main(sys.argv[1])
