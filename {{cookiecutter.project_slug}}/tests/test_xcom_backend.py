"""Where XComs go: the rules of the configured XCom backend, seen in the metadata database and in the store."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from conftest import THRESHOLD
from dag_runs import FinishedRun, referred, run_dag
from packaging.version import Version

COMPRESSION = os.environ.get("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION")
CUSTOM = os.environ["AIRFLOW__CORE__XCOM_BACKEND"] == "include.xcom_backend.XComBackend"

# From 3.4 on Airflow keeps what an earlier attempt pushed, row and object.
KEEPS_ATTEMPTS = Version(version("apache-airflow")) >= Version("3.4.0.dev0")

SetThreshold = Callable[[int], None]


def goes_to_the_store(size: int, threshold: int) -> bool:
    """Tell whether a value of so many bytes goes to the store; at the threshold itself the backends differ."""
    if threshold <= 0:
        return threshold == 0
    return size > threshold if CUSTOM else size >= threshold


def decode(stored: bytes) -> Any:
    """Return the value of an object's bytes, by fsspec and json alone: no part of Airflow has a hand in it."""
    if COMPRESSION:
        stored = fsspec.compression.compr[COMPRESSION](io.BytesIO(stored), mode="rb").read()
    return json.loads(stored)


def rows_of(run: FinishedRun) -> dict[str, Any]:
    """Return the two rows of the Dag custom_xcom_backend_test by XCom key, after a look at the run's state."""
    assert run.state == "success"
    return {key: run.row(key, "push_objects") for key in ("small_obj", "big_obj")}


def test_small_object_stays_in_the_database_and_big_object_goes_to_the_store(set_threshold: SetThreshold) -> None:
    set_threshold(1000)
    run = run_dag("custom_xcom_backend_test")
    rows = rows_of(run)
    assert rows["small_obj"] == {"a": 23}
    assert referred(rows["big_obj"])
    assert sorted(run.objects()) == sorted(referred(rows["big_obj"]))

    for path in run.objects():
        stored = ObjectStoragePath(path).read_bytes()
        value = decode(stored)
        assert value == {"numbers": list(range(10_000))}
        assert not COMPRESSION or len(stored) < len(json.dumps(value, separators=(",", ":")))


def test_the_threshold_of_this_project_is_the_one_that_decides() -> None:
    threshold = int(os.environ[THRESHOLD])
    rows = rows_of(run_dag("custom_xcom_backend_test"))
    assert bool(referred(rows["small_obj"])) == goes_to_the_store(len('{"a": 23}'), threshold)
    assert bool(referred(rows["big_obj"])) == (threshold >= 0)


@pytest.mark.parametrize("size", [499, 500, 501])
def test_a_value_is_judged_by_its_bytes(size: int, set_threshold: SetThreshold) -> None:
    set_threshold(500)
    run = run_dag("sized_value", size=size)
    assert run.state == "success"
    paths = referred(run.row("sized", "push"))
    assert bool(paths) == goes_to_the_store(size, 500)
    assert sorted(run.objects()) == sorted(paths)


def test_threshold_minus_one_keeps_all_in_the_database(set_threshold: SetThreshold) -> None:
    set_threshold(-1)
    run = run_dag("custom_xcom_backend_test")
    assert not any(map(referred, rows_of(run).values()))
    assert run.objects() == []


def test_threshold_zero_puts_all_into_the_store(set_threshold: SetThreshold) -> None:
    set_threshold(0)
    run = run_dag("custom_xcom_backend_test")
    paths = [referred(row) for row in rows_of(run).values()]
    assert all(paths)
    assert sorted(run.objects()) == sorted(path for both in paths for path in both)


def test_a_task_that_runs_again_leaves_no_object_that_nothing_refers_to(set_threshold: SetThreshold) -> None:
    set_threshold(1000)
    run = run_dag("fails_once")
    assert run.state == "success"
    paths = set(referred(run.row("big_obj", "push")))
    earlier = set(run.objects()) - paths
    assert paths <= set(run.objects())
    assert len(earlier) == (len(paths) if KEEPS_ATTEMPTS else 0)


def test_a_string_that_looks_like_json_comes_back_as_a_string(set_threshold: SetThreshold) -> None:
    set_threshold(1000)
    assert run_dag("looks_like_json").state == "success"
