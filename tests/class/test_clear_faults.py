"""clear() on real Airflow 2 when things go wrong: a store that refuses or is silent, a row of another task."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from airflow.models.xcom import XCom
from airflow.utils.session import create_session
from dag_runs import FinishedRun, run_dag
from sqlalchemy import event
from test_clear import clear, grown

CUSTOM = os.environ["AIRFLOW__CORE__XCOM_BACKEND"] == "include.xcom_backend.XComBackend"


@pytest.fixture
def run(set_threshold: Callable[[int], None]) -> FinishedRun:
    """Run three mapped tasks whose values go to the store."""
    set_threshold(1000)
    return run_dag("mapped_values")


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Return what is asked of the table xcom."""
    from airflow.settings import engine

    asked: list[str] = []

    def listen(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "xcom" in statement:
            asked.append(statement.split()[0])

    event.listen(engine, "before_cursor_execute", listen)
    yield asked
    event.remove(engine, "before_cursor_execute", listen)


def test_the_database_is_asked_once(run: FinishedRun, statements: list[str]) -> None:
    clear(run, "grow")
    assert statements == ["SELECT", "DELETE"]


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no store delete anything."""

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError("not allowed here")

    if CUSTOM:
        stores = import_module("include.xcom_backend.stores")
        for kind in (stores.LocalStore, stores.BucketStore, stores.FsspecStore):
            for method in ("delete", "_delete_batch"):
                monkeypatch.setattr(kind, method, fail, raising=False)
    else:
        from airflow.providers.common.io.xcom import backend

        for method in ("rm_file", "_rm_file"):
            monkeypatch.setattr(backend._get_base_path().fs, method, fail, raising=False)


@pytest.mark.skipif(CUSTOM, reason="test_custom_stores.py has it")
def test_store_that_never_answers_ends_at_the_deadline(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.providers.common.io.xcom import backend

    fs = backend._get_base_path().fs
    if not getattr(fs, "async_impl", False):
        pytest.skip("the store is a folder here")

    async def wait(*_: Any, **__: Any) -> None:
        await asyncio.sleep(600)

    monkeypatch.setattr(fs, "_rm_file", wait)
    monkeypatch.setenv("AIRFLOW__XCOM_BACKEND__RETRY_DEADLINE", "1")
    use(monkeypatch, "log")
    with caplog.at_level("ERROR"):
        clear(run, "grow")
    assert caplog.text.count("FSTimeoutError") >= 3


def test_store_that_refuses_is_logged_and_stops_only_when_told_so(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(monkeypatch)
    paths, rows = grown(run, 0, 1, 2), run.rows()
    use(monkeypatch, "raise")
    with pytest.raises(RuntimeError, match="not allowed here"):
        clear(run, "grow")
    assert run.rows() == rows
    use(monkeypatch, "log")
    with caplog.at_level("ERROR"):
        clear(run, "grow")
    assert set(run.rows()) == {("numbers", -1, "return_value")}
    assert sorted(run.objects()) == paths
    for path in paths:
        assert f"Cannot delete {path}: PermissionError: not allowed here" in caplog.text


def use(monkeypatch: pytest.MonkeyPatch, failures: str) -> None:
    """Say what a failure does."""
    monkeypatch.setenv("AIRFLOW__XCOM_BACKEND__PURGE_FAILURES", failures)
    if CUSTOM:
        from include.xcom_backend.settings import settings

        settings.cache_clear()


def test_row_that_names_an_object_of_another_task_deletes_nothing(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "log")
    victim = grown(run, 0)
    with create_session() as session:
        row = session.query(XCom).filter_by(run_id=run.run_id, task_id="numbers")
        theirs = session.query(XCom.value).filter_by(run_id=run.run_id, task_id="grow", map_index=0).scalar()
        row.update({"value": theirs}, synchronize_session=False)
    clear(run, "numbers")
    assert set(victim) <= set(run.objects())
