"""Real runs on real Airflow: what lands where, what a second try removes, and what only the cleanup finds."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from custom_xcom import Configure, objects, push, reference
from dag_runs import FinishedRun, referred, run_dag

from include.xcom_backend.compat import AIRFLOW_2


@pytest.fixture
def store(configure: Configure, tmp_path: Path) -> str:
    """Send values above 1,000 bytes to a fresh folder: its objects can be made to look old."""
    path = f"file://{tmp_path}/runs"
    configure(path=path, threshold=1000, purge_failures="raise")
    return path


def all_referred(run: FinishedRun) -> list[str]:
    """Return the paths that the rows of a run name."""
    return sorted(path for row in run.rows().values() for path in referred(row))


def paths(store: str) -> list[str]:
    """Return the paths of all objects of a store."""
    return [f"{store}/{key}" for key in objects(store)]


def test_values_arrive_and_rows_hold_references(base: str, configure: Configure) -> None:
    configure(threshold=1000)
    run = run_dag("probe_values")
    assert run.state == "success"
    rows = run.rows()
    assert rows["numbers", -1, "return_value"] == [1, 2, 3]
    assert rows["make", -1, "return_value"]["codec"] == "msgpack"
    assert [rows["grow", index, "return_value"]["map_index"] for index in range(3)] == [0, 1, 2]
    assert all_referred(run) == paths(base)


def test_data_frame_arrives_as_parquet(base: str, configure: Configure) -> None:
    for library in ("numpy", "pandas", "pyarrow"):
        pytest.importorskip(library)
    configure(threshold=1000)
    run = run_dag("dataframe_xcom_test")
    assert run.state == "success"
    row = run.row("return_value", "make_frame")
    assert (row["codec"], row["summary"]["shape"]) == ("pandas", [1000, 3])
    assert row["paths"][0].endswith(".parquet")


def test_second_try_removes_what_the_first_one_pushed(store: str) -> None:
    run = run_dag("probe_retry")
    assert run.state == "success"
    if AIRFLOW_2 or keeps_tries():
        return  # the retry itself is what is shown; which rows stay differs
    assert set(run.rows()) == {("twice", -1, "progress"), ("twice", -1, "return_value")}
    assert all_referred(run) == paths(store)


def keeps_tries() -> bool:
    """Tell whether this Airflow gives each try rows of its own, as 3.4 does."""
    from airflow.sdk.bases import xcom

    return hasattr(xcom, "XComCoordinate")


def age(store: str, days: float = 30) -> None:
    """Make every object look old."""
    then = time.time() - days * 86_400
    for path in Path(store.removeprefix("file://")).rglob("*"):
        os.utime(path, (then, then))


class Rows:
    """Answers from this test's own database, as the REST API of Airflow 3 or the database of Airflow 2 would."""

    def row(self, coordinates: Any) -> Any:
        """Return the row's value."""
        from include.xcom_backend.cleanup import MISSING

        run = FinishedRun(coordinates.dag_id, coordinates.run_id, "")
        return run.rows().get((coordinates.task_id, coordinates.map_index, coordinates.key), MISSING)


def test_cleanup_removes_orphans_and_nothing_that_a_row_names(store: str) -> None:
    from include.xcom_backend.cleanup import clean

    run = run_dag("probe_same_key")
    assert run.state == "success"
    push(["x" * 2000], run_id="deleted", dag_id="probe_same_key")
    foreign = Path(store.removeprefix("file://"), "somebody/elses/file.csv")
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    assert len(objects(store)) == 4

    report = clean(Rows(), dry_run=False)
    assert (report.orphans, report.young) == (0, 3)
    age(store)
    report = clean(Rows())
    assert (report.orphans, report.deleted, report.named_by_a_row, report.not_ours) == (2, 0, 1, 1)
    assert report.orphan_bytes > 2000
    assert len(objects(store)) == 4
    assert clean(Rows(), dry_run=False, dags=["other*"]).deleted == 0
    assert clean(Rows(), dry_run=False, dags=["other", "probe"]).looked_at == 0
    assert clean(Rows(), dags=["probe_same_key"]).orphans == 2
    report = clean(Rows(), dry_run=False, max_per_dag=1)
    assert (report.deleted, report.over_the_limit) == (1, 1)
    report = clean(Rows(), dry_run=False)
    assert (report.deleted, report.failed) == (1, 0)
    assert sorted(paths(store)) == sorted([*all_referred(run), f"{store}/somebody/elses/file.csv"])

    assert clean(None, dry_run=False).deleted == 0
    age(store, days=91)
    assert clean(None, dry_run=False).deleted == 1


@pytest.mark.parametrize("way", ["db clean", "delete the run"])
def test_what_airflow_deletes_without_a_hook_stays_until_the_cleanup(way: str, store: str) -> None:
    import pendulum
    from airflow.models.dagrun import DagRun
    from airflow.utils.db_cleanup import run_cleanup
    from airflow.utils.session import create_session

    from include.xcom_backend.cleanup import choose_rows, clean

    run = run_dag("probe_values")
    if way == "db clean":
        tomorrow = pendulum.now("UTC").add(days=1)
        run_cleanup(clean_before_timestamp=tomorrow, table_names=["xcom"], confirm=False, skip_archive=True)
    else:
        with create_session() as session:
            session.delete(session.query(DagRun).filter_by(dag_id=run.dag_id, run_id=run.run_id).one())
    assert run.rows() == {}
    assert len(objects(store)) == 4
    age(store)
    rows: Any = choose_rows("", "", "") if AIRFLOW_2 else Rows()
    assert clean(rows, dry_run=False).deleted == 4
    assert objects(store) == []


def test_row_with_another_connection_name_still_protects_its_object(store: str) -> None:
    from include.xcom_backend.cleanup import _names

    row = reference(push(["x" * 2000]))
    [key] = objects(store)
    assert _names(row | {"paths": [f"s3://old_name@bucket/{key}"]}, key)
    assert not _names(row | {"paths": [f"s3://b/{key}x"]}, key)
    assert not _names("text", key)


@pytest.mark.skipif(AIRFLOW_2, reason="tasks of Airflow 2 ask the database itself")
def test_cleanup_asks_the_rest_api(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    from include.xcom_backend import cleanup
    from include.xcom_backend.reference import Coordinates, XComBackendError

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x" * 64)
    run = run_dag("probe_same_key")
    monkeypatch.setattr(httpx, "Client", lambda base_url, timeout: TestClient(create_app(), base_url=base_url))
    conn = {"conn_type": "generic", "host": "http://testserver", "login": "admin", "password": "any"}
    monkeypatch.setenv("AIRFLOW_CONN_XCOM_CLEANUP_API", json.dumps(conn))

    with pytest.raises(XComBackendError, match="this very deployment"):
        cleanup.RestRows("xcom_cleanup_api", "probe_same_key", "another run")
    rest = cleanup.choose_rows("xcom_cleanup_api", "probe_same_key", run.run_id)
    assert rest is not None
    live = Coordinates("probe_same_key", run.run_id, "push_twice", -1, "again")
    assert rest.row(live) == run.row("again", "push_twice")
    assert rest.row(Coordinates("probe_same_key", run.run_id, "push_twice", -1, "none")) is cleanup.MISSING
    assert rest.row(Coordinates("probe_same_key", "gone", "push_twice", -1, "again")) is cleanup.MISSING
    age(store)
    report = cleanup.clean(rest, dry_run=False)
    assert (report.deleted, report.named_by_a_row) == (1, 1)
    assert cleanup.choose_rows("not_defined", "x", "y") is None
    assert cleanup.choose_rows("", "x", "y") is None


def test_cleanup_dag_runs_dry_by_default(store: str) -> None:
    push(["x" * 2000])
    age(store, days=400)
    run = run_dag("xcom_cleanup", connection_id="")
    assert run.state == "success"
    row = run.row("return_value", "clean_up")
    assert (row["orphans"], row["deleted"], row["dry_run"]) == (1, 0, True)
    assert len(objects(store)) == 1
