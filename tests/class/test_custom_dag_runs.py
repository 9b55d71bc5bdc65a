"""Real runs on real Airflow: what lands where, what a second try removes, and what only the cleanup finds."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from custom_xcom import Configure, encoded, objects, pull, purge, push, reference
from dag_runs import FinishedRun, referred, run_dag

from include.xcom_backend.compat import AIRFLOW_2

DEPLOYMENT = "the deployment of these tests"


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

    def names(self, run: Any) -> list[bool | None]:
        """Tell which objects the rows name."""
        from include.xcom_backend.cleanup import _keys_of

        rows = FinishedRun(run[0].coordinates.dag_id, run[0].coordinates.run_id, "").rows().values()
        return [any(one.object.key in _keys_of(row) for row in rows) for one in run]


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give tests, which push outside of tasks too, the ID of a deployment that tasks find in the database."""
    from include.xcom_backend.deployment import own_mark

    monkeypatch.setenv("AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT", DEPLOYMENT)
    own_mark.cache_clear()
    yield
    own_mark.cache_clear()


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
    rows: Any = choose_rows("") if AIRFLOW_2 else Rows()
    assert clean(rows, dry_run=False).deleted == 4
    assert objects(store) == []


def test_row_with_another_connection_name_still_protects_its_object(store: str) -> None:
    from include.xcom_backend.cleanup import _keys_of

    row = reference(push(["x" * 2000]))
    [key] = objects(store)
    assert _keys_of(row | {"paths": [f"s3://old_name@bucket/{key}"]}) == {key}
    assert key not in _keys_of(row | {"paths": [f"s3://b/{key}x"]})
    assert _keys_of("text") == set()


def test_cleanup_touches_only_what_says_this_deployment(store: str) -> None:
    from include.xcom_backend.cleanup import clean
    from include.xcom_backend.deployment import mark_of

    push(["x" * 2000])
    [own] = objects(store)
    assert f".{mark_of(DEPLOYMENT)}-" in own
    folder = Path(store.removeprefix("file://"))
    foreign = folder / own.replace(mark_of(DEPLOYMENT), mark_of("another deployment"))
    unmarked = folder / re.sub(r"[0-9a-f]{12}-[0-9a-f]{12}", "0123456789abcdef", own)
    partial = (folder / own).with_name(f".{Path(own).name}.part")
    upload = folder / "other-app" / ".upload.part"
    upload.parent.mkdir()
    for file in (foreign, unmarked, partial, upload):
        file.write_text("not an orphan" if file != partial else "half of one")
    age(store, days=400)
    report = clean(None, dry_run=False)
    assert (report.of_another_deployment, report.of_no_known_deployment, report.not_ours) == (1, 1, 1)
    assert (report.deleted, report.failed) == (2, 0)
    assert {file for file in folder.rglob("*") if file.is_file()} == {foreign, unmarked, upload}


def test_a_push_without_a_known_deployment_is_kept_for_ever(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_backend import deployment
    from include.xcom_backend.cleanup import clean

    def refuse() -> str:
        raise PermissionError("no Variables for you")

    with monkeypatch.context() as patched:
        patched.setattr(deployment, "own_id", refuse)
        row = push(["x" * 2000])
    assert pull(row) == ["x" * 2000]
    age(store, days=400)
    report = clean(None, dry_run=False)
    assert (report.of_no_known_deployment, report.deleted) == (1, 0)


def test_an_id_that_airflow_does_not_tell_for_a_moment_is_not_replaced(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import Variable

    from include.xcom_backend.deployment import mark_of, own_mark
    from include.xcom_backend.reference import mark_of_key

    monkeypatch.delenv("AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT")
    Variable.delete("xcom_backend_deployment")
    assert run_dag("probe_same_key").state == "success"
    made = Variable.get("xcom_backend_deployment")
    before = objects(store)
    assert {mark_of_key(key) for key in before} == {mark_of(made)}

    backend = "airflow.secrets.metastore.MetastoreBackend"
    if not AIRFLOW_2:
        backend = "airflow.sdk.execution_time.secrets.execution_api.ExecutionAPISecretsBackend"
    own_mark.cache_clear()
    with monkeypatch.context() as patched:  # None is what Airflow takes every error for
        patched.setattr(f"{backend}.get_variable", lambda *args, **kwargs: None)
        assert run_dag("probe_same_key").state == "success"
    assert {mark_of_key(key) for key in set(objects(store)) - set(before)} == {""}
    assert Variable.get("xcom_backend_deployment") == made

    own_mark.cache_clear()
    before = objects(store)
    assert run_dag("probe_same_key").state == "success"
    assert {mark_of_key(key) for key in set(objects(store)) - set(before)} == {mark_of(made)}


def test_a_row_of_a_copied_database_purges_nothing_of_the_original(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_backend.deployment import own_mark

    row = push(["x" * 2000])
    monkeypatch.setenv("AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT", "the copy")
    own_mark.cache_clear()
    purge(row)
    assert pull(row) == ["x" * 2000]
    monkeypatch.setenv("AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT", DEPLOYMENT)
    own_mark.cache_clear()
    purge(row)
    assert objects(store) == []


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put Airflow's own REST API behind the connection, and return the paths that it is asked for."""
    if AIRFLOW_2:
        return []
    import httpx
    from airflow.api_fastapi.app import create_app
    from airflow.models import Variable
    from fastapi.testclient import TestClient

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x" * 64)
    asked: list[str] = []

    def client(base_url: str, timeout: float) -> Any:
        made = TestClient(create_app(), base_url=base_url)
        made.event_hooks["request"].append(lambda request: asked.append(request.url.path))
        return made

    monkeypatch.setattr(httpx, "Client", client)
    conn = {"conn_type": "generic", "host": "http://testserver", "login": "admin", "password": "any"}
    monkeypatch.setenv("AIRFLOW_CONN_XCOM_CLEANUP_API", json.dumps(conn))
    Variable.set("xcom_backend_deployment", DEPLOYMENT)
    return asked


@pytest.mark.skipif(AIRFLOW_2, reason="tasks of Airflow 2 ask the database itself")
def test_cleanup_asks_the_rest_api(store: str, api: list[str]) -> None:
    from airflow.models import Variable

    from include.xcom_backend import cleanup
    from include.xcom_backend.reference import XComBackendError

    run = run_dag("probe_same_key")
    Variable.set("xcom_backend_deployment", "another deployment")
    with pytest.raises(XComBackendError, match="own API"):
        cleanup.choose_rows("xcom_cleanup_api")
    Variable.set("xcom_backend_deployment", DEPLOYMENT)
    rest = cleanup.choose_rows("xcom_cleanup_api")
    assert rest is not None
    push(["x" * 2000], run_id=run.run_id, dag_id=run.dag_id, task_id="push_twice", key=".")  # no URL carries this key
    push(["x" * 2000], run_id=run.run_id, dag_id=run.dag_id, task_id="push_twice", key=".")
    push(["x" * 2000], run_id="..", dag_id=run.dag_id)  # nor this run
    age(store)
    report = cleanup.clean(rest, dry_run=False)
    assert (report.deleted, report.named_by_a_row, report.unclear) == (3, 1, 1)
    assert cleanup.choose_rows("not_defined") is None
    assert cleanup.choose_rows("") is None


@pytest.mark.skipif(AIRFLOW_2, reason="tasks of Airflow 2 ask the database itself")
def test_cleanup_asks_twice_a_run_at_most(store: str, api: list[str]) -> None:
    """100 objects and 151 rows in a run take two requests, so 100,000 objects of 1,000 such runs take 2,000."""
    from airflow.models.xcom import XComModel  # type: ignore[attr-defined, unused-ignore]
    from airflow.utils.session import create_session

    from include.xcom_backend.cleanup import choose_rows, clean

    run = run_dag("probe_same_key")
    names: Any = {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": "push_twice"}
    with create_session() as session:
        for number in range(150):
            row = push(["x" * 2000], key=f"key {number}", **names) if number < 100 else number
            XComModel.set(key=f"key {number}", value=row, map_index=-1, session=session, **names)
    age(store)
    rows = choose_rows("xcom_cleanup_api")
    api.clear()
    report = clean(rows, dry_run=False)
    assert (report.named_by_a_row, report.deleted, report.unclear) == (101, 1, 0)
    assert [path.rpartition("/")[2] for path in api] == ["xcomEntries"] * 2 + ["again"] * 2


def test_cleanup_keeps_what_the_passes_of_a_loop_wrote(store: str, api: list[str]) -> None:
    from include.xcom_backend.cleanup import choose_rows, clean

    if AIRFLOW_2 or not keeps_tries():
        pytest.skip("task loops come with Airflow 3.4")
    run = run_dag("probe_loop")
    assert run.state == "success"
    before = objects(store)
    age(store)
    report = clean(choose_rows("xcom_cleanup_api"), dry_run=False)
    assert objects(store) == before
    assert report.named_by_a_row + report.unclear == len(before) == 3


def test_cleanup_dag_runs_dry_by_default(store: str) -> None:
    push(["x" * 2000])
    age(store, days=400)
    run = run_dag("xcom_cleanup", connection_id="")
    assert run.state == "success"
    row = pull(encoded(run.row("return_value", "clean_up")))
    assert (row["orphans"], row["deleted"], row["dry_run"]) == (1, 0, True)
    assert len(objects(store)) == 1
