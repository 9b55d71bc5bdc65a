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
from dag_runs import FinishedRun, run_dag
from packaging.version import Version

COMPRESSION = os.environ.get("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION")
THRESHOLD = int(os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"])

# From 3.4 on Airflow keeps what an earlier attempt pushed, row and object.
KEEPS_ATTEMPTS = Version(version("apache-airflow")) >= Version("3.4.0.dev0")

SetThreshold = Callable[[int], None]


def is_reference(row: Any) -> bool:
    """Whether a row of the metadata database names an object in the store."""
    return isinstance(row, str) and row.startswith(os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"])


def decode(stored: bytes) -> Any:
    """Return the value of an object's bytes, by fsspec and json alone: no part of Airflow has a hand in it."""
    if COMPRESSION:
        stored = fsspec.compression.compr[COMPRESSION](io.BytesIO(stored), mode="rb").read()
    return json.loads(stored)


def pushed_objects(run: FinishedRun) -> dict[str, Any]:
    """Return the two rows of the Dag custom_xcom_backend_test by XCom key, after a look at the run's state."""
    assert run.state == "success"
    return {key: run.row(key, "push_objects") for key in ("small_obj", "big_obj")}


def test_small_object_stays_in_the_database_and_big_object_goes_to_the_store(set_threshold: SetThreshold) -> None:
    set_threshold(1000)
    run = run_dag("custom_xcom_backend_test")
    rows = pushed_objects(run)
    assert rows["small_obj"] == {"a": 23}
    assert is_reference(rows["big_obj"])
    assert run.objects() == [rows["big_obj"]]

    stored = ObjectStoragePath(rows["big_obj"]).read_bytes()
    value = decode(stored)
    assert value == {"numbers": list(range(10_000))}
    assert bool(COMPRESSION) == (len(stored) < len(json.dumps(value)))


def test_the_threshold_of_this_project_is_the_one_that_decides() -> None:
    rows = pushed_objects(run_dag("custom_xcom_backend_test"))
    assert is_reference(rows["small_obj"]) == (0 <= THRESHOLD <= len('{"a": 23}'))
    assert is_reference(rows["big_obj"]) == (THRESHOLD >= 0)


@pytest.mark.parametrize(
    ("size", "goes_to_the_store"),
    [(499, False), (500, True), (501, True)],  # the provider's rule: equality goes to the store
)
def test_a_value_is_judged_by_the_bytes_of_its_json(
    size: int, goes_to_the_store: bool, set_threshold: SetThreshold
) -> None:
    set_threshold(500)
    run = run_dag("sized_value", size=size)
    assert run.state == "success"
    assert is_reference(run.row("sized", "push")) == goes_to_the_store
    assert len(run.objects()) == int(goes_to_the_store)


def test_threshold_minus_one_keeps_all_in_the_database(set_threshold: SetThreshold) -> None:
    set_threshold(-1)
    run = run_dag("custom_xcom_backend_test")
    assert not any(map(is_reference, pushed_objects(run).values()))
    assert run.objects() == []


def test_threshold_zero_puts_all_into_the_store(set_threshold: SetThreshold) -> None:
    set_threshold(0)
    run = run_dag("custom_xcom_backend_test")
    assert sorted(run.objects()) == sorted(pushed_objects(run).values())


def test_a_task_that_runs_again_leaves_no_object_that_nothing_refers_to(set_threshold: SetThreshold) -> None:
    set_threshold(1000)
    run = run_dag("fails_once")
    assert run.state == "success"
    objects = run.objects()
    objects.remove(run.row("big_obj", "push"))
    assert len(objects) == (1 if KEEPS_ATTEMPTS else 0)


def test_a_string_that_looks_like_json_comes_back_as_a_string(set_threshold: SetThreshold) -> None:
    set_threshold(1000)
    assert run_dag("looks_like_json").state == "success"
