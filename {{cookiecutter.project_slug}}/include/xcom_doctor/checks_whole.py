"""The whole way, by doing: values through the configured class and back; and what lies in the store from before."""

from __future__ import annotations

import inspect
import json
import re
import uuid
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from include.xcom_doctor import database, probe
from include.xcom_doctor.checks_class import own_classes
from include.xcom_doctor.checks_path import set_path
from include.xcom_doctor.model import NotAskedError, Outcome, check, finding, ok, plural, warning
from include.xcom_doctor.situation import CUSTOM_BACKEND, Situation

MARGIN = 16  # bytes to either side of the threshold, for classes that count a few more or less than the provider
TOO_LONG = 32 * 1024 * 1024  # bytes; a larger value would not be done before the deadline


@check
def roundtrip_small(situation: Situation) -> Outcome:
    """A list with a string, of threshold - 16 bytes."""
    threshold = situation.threshold or 0
    if threshold < 0 or situation.is_default_backend:
        return _pass(situation, 1000, stored=False)
    if threshold <= 2 * MARGIN:
        raise NotAskedError(f"threshold {threshold}: there is no value under it")
    return _pass(situation, min(threshold, TOO_LONG) - MARGIN, stored=False)


@check
def roundtrip_big(situation: Situation) -> Outcome:
    """The same of threshold + 16 bytes."""
    if situation.is_default_backend:
        raise NotAskedError("the default class sends nothing to a bucket")
    if (situation.threshold or 0) > TOO_LONG:
        raise NotAskedError(f"a value over {situation.threshold} bytes would take too long to try")
    return _pass(situation, (situation.threshold or 0) + MARGIN, stored=True)


def push(situation: Situation, value: Any, run_id: str) -> Any:
    """What the row would hold, by the hook that this Airflow calls (3.4: store_value; before: serialize_value)."""
    cls = situation.backend
    if hasattr(cls, "_store"):
        coordinate = import_module("airflow.sdk.bases.xcom").XComCoordinate
        return cls._store(coordinate(probe.DAG_ID, run_id, "roundtrip"), -1, "return_value", value)
    names = {"key": "return_value", "task_id": "roundtrip", "dag_id": probe.DAG_ID, "run_id": run_id, "map_index": -1}
    taken = inspect.signature(cls.serialize_value).parameters  # an older class takes fewer
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
    return cls.serialize_value(value, **{name: names[name] for name in names if takes_all or name in taken})


def pull(situation: Situation, stored: Any) -> Any:
    """The value again, by the hook that this Airflow calls."""
    cls = situation.backend
    row = SimpleNamespace(value=stored, key="return_value", dag_id=probe.DAG_ID, task_id="roundtrip", map_index=-1)
    return cls._load(row) if hasattr(cls, "_load") else cls.deserialize_value(row)


def purge(situation: Situation, stored: Any, run_id: str) -> None:
    """Delete the object as Airflow does before a task runs again."""
    value = json.loads(stored) if isinstance(stored, bytes) else stored
    names = {"key": "return_value", "dag_id": probe.DAG_ID, "task_id": "roundtrip", "run_id": run_id, "map_index": -1}
    situation.backend.purge(SimpleNamespace(value=value, **names))


def _pass(situation: Situation, size: int, stored: bool) -> Outcome:
    """Push, pull, compare and purge; what is left is deleted by the end of the examination at the latest."""
    allowed = situation.env.get("AIRFLOW__XCOM_BACKEND__ALLOWED_CODECS", "")
    if situation.is_custom_backend and allowed and not re.search(r"\b(json|msgpack)\b", allowed):
        raise NotAskedError(f"ALLOWED_CODECS={allowed} allows no plain data, and this check would push some")
    # Plain data, as most XComs are; four bytes are JSON's quotes and brackets.
    value, run_id = ["x" * max(size - 4, 1)], f"{probe.NAME}{uuid.uuid4()}"
    stores = [situation, *([situation.mirror] if situation.mirror else [])]
    if not situation.is_default_backend:
        for store in stores:
            store.traces.runs.append(run_id)
    try:
        row = push(situation, value, run_id)
        back = pull(situation, row)
        went = value[0] not in (row.decode() if isinstance(row, bytes) else str(row))
        if back != value:
            is_path = isinstance(back, str) and "://" in back
            what = "its path" if is_path else f"{type(back).__name__} of another content"
            return finding(f"pushed {size} bytes and pulled {what} ({_place(went)})")
        if went is not stored:
            where = f"{_place(went)}, not to {_place(stored)}"
            return finding(f"{size} bytes with threshold {situation.threshold} went to {where}")
        if went:
            purge(situation, row, run_id)
            if left := [name for store in stores for name in probe.remove_run(store, run_id)]:
                fix = "let purge of the class delete what its reference names"
                return finding(f"purge left {', '.join(left)}", fix)
        for store in stores:
            store.traces.runs.clear()
        return ok(f"{size} bytes, by {situation.backend_name}: in {_place(went)}, and back, equal")
    except Exception as error:
        told = f"{type(error).__name__}: {probe.diagnose(error).text}"
        return finding(f"{size} bytes through {situation.backend_name}: {told}")


def _place(stored: bool) -> str:
    return "the bucket" if stored else "the database"


@check
def references_missing(situation: Situation) -> Outcome:
    """Compare the rows with the listing."""
    rows, _ = database.references(situation)
    base = situation.path.in_rows
    if elsewhere := [row for row in rows if not row.url.startswith(base)]:
        old = elsewhere[0].url.partition(f"/{elsewhere[0].dag_id}/")[0]
        seen = f"{_rows(len(elsewhere))} to {old}, and the base path is {situation.path.text}"
        return finding(seen, f"{set_path(old)}, or clear the tasks that pushed these values")
    there = probe.objects(situation)
    missing = [row for row in rows if row.url.removeprefix(base) not in there]
    if missing:
        tasks = ", ".join(sorted({f"{row.dag_id}.{row.task_id} ({row.run_id})" for row in missing})[:5])
        what = "an object that is" if len(missing) == 1 else "objects that are"
        seen = f"{len(missing)} of {_rows(len(rows))} to {what} gone: {tasks}"
        task = f"{missing[0].dag_id} --task-regex '^{missing[0].task_id}$'"
        return finding(seen, f"airflow tasks clear {task} --downstream")
    return ok("no row refers to an object" if not rows else f"{plural(len(rows), 'row')}, each with its object")


@check
def references_orphans(situation: Situation) -> Outcome:
    """Compare the listing with the runs, and with the rows."""
    rows, runs = database.references(situation)
    dags, base = database.known_dags(situation), situation.path.in_rows
    used = {row.url.removeprefix(base) for row in rows}
    orphans = {
        name: size
        for name, size in probe.objects(situation).items()
        if _is_the_doctors(name) or (name.partition("/")[0] in dags and name not in used and not _has_run(name, runs))
        if name.rpartition("/")[2] != situation.traces.left.rpartition("/")[2]
    }
    if not orphans:
        return ok("every object belongs to a run")
    folders = sorted({"/".join(name.split("/")[:2]) for name in orphans})
    shown = ", ".join(folders[:3]) + (" …" if len(folders) > 3 else "")
    seen = f"{plural(len(orphans), 'object')}, {plural(sum(orphans.values()), 'byte')}, of runs that are gone: {shown}"
    if all(map(_is_the_doctors, orphans)):
        remove = "\n".join(
            situation.cloud.remove.format(bucket=situation.path.bucket, key=_key(situation, name)) for name in orphans
        )
        return warning(f"{plural(len(orphans), 'object')} of a doctor that was stopped: {shown}", remove)
    return warning(seen, "trigger the Dag xcom_cleanup" if CUSTOM_BACKEND in own_classes() else "")


def _rows(count: int) -> str:
    return "1 row refers" if count == 1 else f"{count:,} rows refer"


def _key(situation: Situation, name: str) -> str:
    return "/".join(part for part in (situation.path.prefix, name) if part)


def _is_the_doctors(name: str) -> bool:
    return f"/{probe.NAME}" in f"/{name}"


def _has_run(name: str, runs: set[tuple[str, str]]) -> bool:
    """Keys begin with Dag ID and run ID, in the provider's class as in the custom one, which quotes them."""
    if CUSTOM_BACKEND in own_classes():
        own = import_module("include.xcom_backend.reference").parse_object_key(name)
        if own:
            return (own.dag_id, own.run_id) in runs
    dag_id, _, rest = name.partition("/")
    return any(rest.startswith(f"{run_id}/") for dag, run_id in runs if dag == dag_id)


@check
def path_shared(situation: Situation) -> Outcome:
    """First-level folders whose Dag this metadata database has never heard of."""
    known = database.known_dags(situation) | {probe.DAG_ID}
    try:
        entries = probe.names_in(situation, situation.path.plain)
    except FileNotFoundError:
        entries = {}
    foreign = sorted({name for name, kind in entries.items() if kind == "directory"} - known)
    if not foreign:
        return ok("every folder below the path belongs to a Dag of this deployment")
    names = ", ".join(foreign[:5]) + (" …" if len(foreign) > 5 else "")
    own = f"{situation.path.text.rstrip('/')}/<name of this deployment>"
    return warning(
        f"{plural(len(foreign), 'folder')} of Dags that this deployment never had: {names}",
        f"{set_path(own)}; or, if no other deployment uses them, delete these folders",
    )
