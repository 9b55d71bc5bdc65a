"""Checks of the whole path, by doing: values through the configured class and back, and where each of them went."""

from __future__ import annotations

import contextlib
import inspect
import json
import shutil
import uuid
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from include.xcom_doctor import probe
from include.xcom_doctor.clouds import LOCAL
from include.xcom_doctor.registry import Outcome, check, finding, ok, skip
from include.xcom_doctor.situation import Situation

MARGIN = 16  # bytes to either side of the threshold, for classes that count a few more or less than the provider
TOO_LONG = 32 * 1024 * 1024  # bytes; a larger value would not be done before the deadline


@check(
    "roundtrip.small",
    title="A value just under the threshold comes back, and stays in the database",
    symptom="Small values are lost, changed, or sent to the bucket",
    why="Small values are fastest in the row itself.",
    mend="read the error with: airflow dags test custom_xcom_backend_test",
    network=True,
    needs=("class.base", "threshold.number", "compression.known"),
    unless=("class.default", "rights.read", "mirror.connection", "custom.settings"),
)
def roundtrip_small(situation: Situation) -> Outcome:
    """A string of threshold - 16 bytes."""
    threshold = situation.threshold or 0
    if threshold <= 2 * MARGIN:
        if threshold < 0 or situation.is_default_backend:
            return _pass(situation, 1000, stored=False)
        return skip(f"threshold {threshold}: there is no value under it")
    return _pass(situation, min(threshold, TOO_LONG) - MARGIN, stored=False)


@check(
    "roundtrip.big",
    title="A value just over the threshold goes to the bucket and comes back",
    symptom="The next task gets a path instead of the value, or the value is in the database after all",
    why="This is the whole feature.",
    mend="read the error with: airflow dags test custom_xcom_backend_test",
    network=True,
    needs=("threshold.negative", "roundtrip.small", "rights.read", "rights.delete", "rights.list"),
    unless=("rights.overwrite", "compression.package", "compression.durable", "mirror.rights"),
)
def roundtrip_big(situation: Situation) -> Outcome:
    """A string of threshold + 16 bytes."""
    if situation.is_default_backend:
        return skip("the default class sends nothing to a bucket")
    if (situation.threshold or 0) > TOO_LONG:
        return skip(f"a value over {situation.threshold} bytes would take too long to try")
    return _pass(situation, (situation.threshold or 0) + MARGIN, stored=True)


def push(situation: Situation, value: Any, run_id: str) -> Any:
    """What the row would hold, by the hook that this Airflow calls (3.4: store_value; before: serialize_value)."""
    cls: Any = situation.backend
    where = {"key": "return_value", "task_id": "roundtrip", "dag_id": probe.DAG_ID, "run_id": run_id, "map_index": -1}
    if hasattr(cls, "_store"):
        coordinate = import_module("airflow.sdk.bases.xcom").XComCoordinate
        return cls._store(coordinate(probe.DAG_ID, run_id, "roundtrip"), -1, "return_value", value)
    return cls.serialize_value(value, **_taken(cls.serialize_value, where))


def pull(situation: Situation, stored: Any) -> Any:
    """The value again, by the hook that this Airflow calls."""
    cls: Any = situation.backend
    row = SimpleNamespace(value=stored, key="return_value", dag_id=probe.DAG_ID, task_id="roundtrip", map_index=-1)
    return cls._load(row) if hasattr(cls, "_load") else cls.deserialize_value(row)


def purge(situation: Situation, stored: Any, run_id: str) -> None:
    """Delete the object as Airflow does before a task runs again."""
    value = json.loads(stored) if isinstance(stored, bytes) else stored
    row = SimpleNamespace(
        value=value, key="return_value", dag_id=probe.DAG_ID, task_id="roundtrip", run_id=run_id, map_index=-1
    )
    cls: Any = situation.backend
    cls.purge(row)


def _pass(situation: Situation, size: int, stored: bool) -> Outcome:
    """Push, pull, compare, purge and prove that nothing is left; whatever happens, nothing stays behind."""
    value, run_id = "x" * max(size - 2, 1), f"{probe.NAME}{uuid.uuid4()}"  # two bytes are JSON's quotes
    try:
        row = push(situation, value, run_id)
        back = pull(situation, row)
        went = not _holds(row, value)
        if back != value:
            what = (
                "its path" if isinstance(back, str) and "://" in back else f"{type(back).__name__} of another content"
            )
            return finding(f"pushed {size} bytes and pulled {what} ({_place(went)})")
        if went is not stored:
            return finding(
                f"{size} bytes with threshold {situation.threshold} went to {_place(went)}, not to {_place(stored)}"
            )
        if went:
            purge(situation, row, run_id)
            if left := _left(situation, run_id):
                return finding(
                    f"purge left {', '.join(left)}", "let purge of the class delete what its reference names"
                )
        return ok(f"{size} bytes, by {situation.backend_name}: in {_place(went)}, and back, equal")
    except Exception as error:
        return finding(
            f"{size} bytes through {situation.backend_name}: {type(error).__name__}: {probe.diagnose(error).text}"
        )
    finally:
        _sweep(situation, run_id)


def _holds(row: Any, value: str) -> bool:
    """Whether the row holds the value itself."""
    text = row.decode() if isinstance(row, bytes) else row
    return text in (value, json.dumps(value)) or (isinstance(text, str) and value in text)


def _place(stored: bool) -> str:
    return "the bucket" if stored else "the database"


def _taken(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Only those keyword arguments that an older class takes."""
    parameters = inspect.signature(function).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def _left(situation: Situation, run_id: str) -> list[str]:
    """Objects of this very probe that are still there, in the mirror too."""
    return [name for store in _stores(situation) for name in probe.objects(store, own=run_id)]


def _stores(situation: Situation) -> list[Situation]:
    mirror = situation.notes.get("mirror that works")
    return [situation, mirror] if mirror else [situation]


def _sweep(situation: Situation, run_id: str) -> None:
    """Remove what a failed pass left; its own errors are those that the pass has already told."""

    def remove() -> None:
        for store in _stores(situation):
            for name in probe.objects(store, own=run_id):
                probe.store(store).rm_file(f"{store.path.plain}/{name}")

    probe.attempt(remove)
    for store in _stores(situation):
        if store.cloud is LOCAL:  # only here is a folder a thing of its own
            folder = Path(store.path.plain) / probe.DAG_ID
            shutil.rmtree(folder / run_id, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
