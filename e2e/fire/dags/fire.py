"""Dags that are hurt: one task pushes a value that names its run, the next pulls it and writes down what it got."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import dag, get_current_context, task

FOLDER = Path(os.environ["FIRE_FOLDER"])
NUMBERS = 30_000  # 200 KB of JSON
LONG = "x" * 244
UMLAUTS = "Zürich_ночь_東京"


def name_of(run_id: str) -> str:
    return hashlib.sha256(run_id.encode()).hexdigest()[:16]


def value_of(run_id: str, try_number: int) -> dict[str, Any]:
    """Return the value that only this try of this run pushes."""
    first = int(name_of(run_id)[:6], 16)
    return {"run": run_id, "try": try_number, "numbers": list(range(first, first + NUMBERS))}


def wait_at(gate: str, run_id: str) -> None:
    """Wait, if the case wants it, until it opens this gate."""
    if gate in os.environ.get("FIRE_GATES", ""):
        (FOLDER / "gates" / f"{name_of(run_id)}.{gate}.waiting").touch()
        end = time.monotonic() + 600
        while time.monotonic() < end and not (FOLDER / "gates" / f"{name_of(run_id)}.{gate}.open").exists():
            time.sleep(0.1)


def in_parts(value: dict[str, Any], kind: str) -> Any:
    """Return a value as Chunks, or as a file."""
    from include.xcom_backend import Chunks, XComFile

    if kind == "chunks":
        numbers = value.pop("numbers")
        return Chunks([value, *(numbers[start : start + 1000] for start in range(0, NUMBERS, 1000))])
    path = Path(tempfile.mkdtemp(), "value.json")
    path.write_text(json.dumps(value))
    return XComFile(path)


def whole(got: Any) -> Any:
    """Return the value that Chunks or a file hold."""
    if type(got).__name__ == "PulledChunks":
        first, *parts = got
        return {**first, "numbers": [number for part in parts for number in part]}
    return json.loads(got.read()) if type(got).__name__ == "PulledFile" else got


def push_value(key: str | None = None, kind: str = ""):  # type: ignore[no-untyped-def]
    context = get_current_context()
    run_id, ti = str(context["run_id"]), context["ti"]
    wait_at("push", run_id)
    value = value_of(run_id, ti.try_number)
    if kind:
        value = in_parts(value, kind)
    if key is None:
        return value
    return ti.xcom_push(key=key, value=value)


def pull_value(push_task: str, key: str = "return_value") -> None:
    context = get_current_context()
    run_id, ti = str(context["run_id"]), context["ti"]
    wait_at("pull", run_id)
    got = whole(ti.xcom_pull(task_ids=push_task, key=key))
    try_number = got["try"] if isinstance(got, dict) and isinstance(got.get("try"), int) else 0
    verdict = {"right": got == value_of(run_id, try_number), "try": try_number, "type": type(got).__name__}
    verdict["start"] = str(got)[:120]
    results = FOLDER / "results" / f"{name_of(run_id)}.json"
    with results.open("a") as file:
        file.write(json.dumps(verdict) + "\n")


def make(
    dag_id: str, push_id: str = "push", pull_id: str = "pull", key: str | None = None, retries: int = 0, kind: str = ""
) -> None:
    def fire() -> None:
        pushed = task(push_value, task_id=push_id)(key, kind)
        pulled = task(pull_value, task_id=pull_id, retries=0)(push_id, key or "return_value")
        pushed >> pulled

    dag(dag_id, schedule=None, default_args={"retries": retries, "retry_delay": timedelta(seconds=1)})(fire)()


def show_text(text: str) -> None:
    print(text)


def fire_template() -> None:
    shown = task(show_text, task_id="show")("the run is {{ ti.xcom_pull(task_ids='push')['run'] }}")
    task(push_value, task_id="push")() >> shown


dag("fire_template", schedule=None)(fire_template)()
make("fire")
make("fire_retry", retries=2)
make("fire_chunks", kind="chunks")
make("fire_file", kind="file")
make(UMLAUTS, f"{UMLAUTS}_push", f"{UMLAUTS}_pull", key=f"{UMLAUTS} ключ")
make(f"d{LONG}.long", f"t{LONG}.push", f"t{LONG}.pull", key="k" * 250)
make("fire..", "..push", "..")
make("fire_path", key="../../../../etc/passwd")
make("fire_url", key="what?#is&this")
make("fire_sql", key="'; DROP TABLE xcom; -- {{ 1 }} %s \\ \n")
