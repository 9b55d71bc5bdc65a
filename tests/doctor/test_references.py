"""Findings in what is already there: real runs, their rows and objects, then one thing taken away."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any

import pytest
import sqlalchemy
from conftest import BACKEND, PATH, PROVIDER, THRESHOLD, forget

CUSTOM = "include.xcom_backend.XComBackend"


@pytest.fixture
def ran(on_s3: Any) -> Any:
    """A deployment whose Dag has run once: a small value in the database, a big one in the bucket."""
    clean_database()
    forget()
    on_s3.run_id = run_dag()
    assert len(keys(on_s3)) == 1
    yield on_s3
    clean_database()


def run_dag() -> str:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models import DagBag
    options: dict[str, Any] = (
        {"include_examples": False} if "include_examples" in inspect.signature(DagBag).parameters else {}
    )
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], **options)
    run = bag.dags["doctor_sample"].test()
    assert run.state == "success"
    return str(run.run_id)


def clean_database() -> None:
    """Delete the runs as `airflow db clean` does: rows only."""
    engine = sqlalchemy.create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    tables = sqlalchemy.inspect(engine).get_table_names()
    with engine.begin() as connection:
        for table in ("xcom", "xcom_v1", "xcom_v2", "task_instance", "dag_run"):
            if table in tables:
                connection.execute(sqlalchemy.delete(sqlalchemy.table(table)))
    engine.dispose()


def keys(patient: Any) -> list[str]:
    return [one["Key"] for one in patient.s3.list_objects_v2(Bucket=patient.bucket).get("Contents", [])]


def test_a_run_that_is_whole(ran: Any) -> None:
    ran.is_healthy()
    assert ran.of("warning") == {}
    assert ran.of("ok")["references.missing"].seen == "1 row, each with its object"
    assert ran.of("ok")["threshold.reach"].seen == "1000 bytes; 1 of 2 XComs in the bucket"


def test_row_whose_object_is_missing(ran: Any) -> None:
    (key,) = keys(ran)
    body = ran.s3.get_object(Bucket=ran.bucket, Key=key)["Body"].read()
    ran.s3.delete_object(Bucket=ran.bucket, Key=key)
    found = ran.has("references.missing", "1 of 1 row refers to an object that is gone: doctor_sample.push_big")
    assert found.fix == "airflow tasks clear doctor_sample --task-regex '^push_big$' --downstream"
    ran.s3.put_object(Bucket=ran.bucket, Key=key, Body=body)
    ran.is_healthy()


def test_row_that_is_pushed_again(ran: Any) -> None:
    """Clearing and running again is the fix; here as a second run of the same Dag."""
    ran.s3.delete_object(Bucket=ran.bucket, Key=keys(ran)[0])
    ran.has("references.missing")
    clean_database()
    run_dag()
    ran.is_healthy()


def test_base_path_that_has_changed(ran: Any) -> None:
    path = ran.settings[PATH]
    ran.set(**{PATH: path + "-new"})
    ran.is_fixed_by_its_word(
        "references.missing", f"1 row refers to {path}, and the base path is {path}-new", f"{PATH}={path}"
    )


def test_objects_whose_run_is_gone(ran: Any) -> None:
    (key,) = keys(ran)
    size = ran.s3.head_object(Bucket=ran.bucket, Key=key)["ContentLength"]
    clean_database()
    ran.has(
        "references.orphans",
        f"1 object, {size:,} bytes, of runs that are gone: doctor_sample/",
        "xcom_cleanup",
        state="warning",
    )
    ran.s3.delete_object(Bucket=ran.bucket, Key=key)
    ran.is_healthy()
    assert ran.of("warning") == {}


def test_path_that_two_deployments_share(ran: Any) -> None:
    ran.s3.put_object(Bucket=ran.bucket, Key="xcom/dag_of_others/run/task/object", Body=b"{}")
    found = ran.has(
        "path.shared", "1 folder of Dags that this deployment never had: dag_of_others", PATH, state="warning"
    )
    assert f"{ran.settings[PATH]}/<name of this deployment>" in found.fix
    assert "references.orphans" not in ran.of("warning"), "what belongs to others is not ours to count"
    path = ran.settings[PATH]
    ran.fix(found)
    ran.examine(only=["path.shared"])
    assert ran.of("warning") == {}
    ran.set(**{PATH: path})
    ran.s3.delete_object(Bucket=ran.bucket, Key="xcom/dag_of_others/run/task/object")
    ran.is_healthy()
    assert ran.of("warning") == {}


def test_threshold_above_every_value(ran: Any) -> None:
    clean_database()
    ran.s3.delete_object(Bucket=ran.bucket, Key=keys(ran)[0])
    ran.set(**{THRESHOLD: "50000"})
    forget()
    run_dag()
    assert keys(ran) == []
    ran.has("threshold.reach", "50000 bytes, and the largest of your 2 XComs has", THRESHOLD, state="warning")


def test_without_a_database(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a worker of Airflow 3, and on an agent."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    on_s3.is_healthy()
    assert "no metadata database" in on_s3.of("skipped")["references.missing"].seen


def test_no_database_is_made(on_s3: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/none.db")
    on_s3.is_healthy()
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("backend", [PROVIDER, CUSTOM])
def test_rows_of_a_folder_relative_to_where_airflow_starts(
    backend: str, on_folder: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clean_database()
    on_folder.set(**{BACKEND: PROVIDER, PATH: "file://store/xcom"})
    forget()
    run_dag()
    on_folder.set(**{BACKEND: backend})
    on_folder.is_healthy()
    assert on_folder.of("warning") == {}
    assert on_folder.of("ok")["references.missing"].seen == "1 row, each with its object"
    assert on_folder.of("ok")["threshold.reach"].seen == "1000 bytes; 1 of 2 XComs in the bucket"
    clean_database()


@pytest.fixture
def ran_custom(ran: Any) -> Any:
    """The same run as the custom class would have left it: its reference in the row, its object in the bucket."""
    from include.xcom_backend import XComBackend

    (of_provider,) = keys(ran)
    ran.s3.delete_object(Bucket=ran.bucket, Key=of_provider)
    ran.set(**{BACKEND: "include.xcom_backend.XComBackend"})
    forget()
    names = {"key": "return_value", "task_id": "push_big", "dag_id": "doctor_sample", "run_id": ran.run_id}
    row = XComBackend.serialize_value(["big"] * 1000, map_index=-1, **names)
    text = row.decode() if isinstance(row, bytes) else json.dumps(row)
    engine = sqlalchemy.create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        update = sqlalchemy.text("UPDATE xcom SET value = :value WHERE task_id = 'push_big' AND key = 'return_value'")
        assert connection.execute(update, {"value": text}).rowcount == 1
    engine.dispose()
    return ran


def test_rows_of_the_custom_class(ran_custom: Any) -> None:
    ran_custom.is_healthy()
    assert ran_custom.of("ok")["references.missing"].seen == "1 row, each with its object"
    assert "references.orphans" in ran_custom.of("ok")
    (key,) = keys(ran_custom)
    body = ran_custom.s3.get_object(Bucket=ran_custom.bucket, Key=key)["Body"].read()
    ran_custom.s3.delete_object(Bucket=ran_custom.bucket, Key=key)
    found = ran_custom.has("references.missing", "1 of 1 row refers to an object that is gone: doctor_sample.push_big")
    assert found.fix == "airflow tasks clear doctor_sample --task-regex '^push_big$' --downstream"
    ran_custom.s3.put_object(Bucket=ran_custom.bucket, Key=key, Body=body)
    ran_custom.is_healthy()
    clean_database()
    ran_custom.has("references.orphans", f"1 object, {len(body):,} bytes, of runs that are gone", state="warning")
