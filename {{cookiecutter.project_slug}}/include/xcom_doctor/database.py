"""Reads the metadata database, where this process may: plain reads, never a write, never a new file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from include.xcom_doctor.model import NotAskedError
from include.xcom_doctor.situation import Situation, StorePath

# Rows looked at; beyond this the doctor would take minutes on a large deployment.
MOST_ROWS = 50_000
_URL = re.compile(r"[a-z0-9]+://\S+")


@dataclass(frozen=True)
class Reference:
    """A row whose value lies in the store."""

    dag_id: str
    run_id: str
    task_id: str
    key: str
    url: str


@contextmanager
def connect(situation: Situation) -> Iterator[Connection]:
    """A connection to the metadata database.

    :raises NotAskedError: where there is none, as on a worker of Airflow 3; its text says why
    """
    url = situation.airflow.conf.get("database", "sql_alchemy_conn", fallback="")
    if not url or url.startswith("airflow-db-not-allowed"):
        raise NotAskedError("this process has no metadata database: ask in the scheduler's or API server's container")
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists():
        raise NotAskedError("there is no metadata database yet")
    patience = {"connect_timeout": 5} if parsed.get_backend_name() in ("postgresql", "mysql") else {}
    try:
        engine = sqlalchemy.create_engine(parsed, connect_args=patience)
    except ImportError as error:
        raise NotAskedError(f"the driver of the metadata database is not installed: {error.name}") from error
    try:
        with engine.connect() as connection:
            yield connection
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise NotAskedError(f"the metadata database does not answer: {type(error).__name__}") from error
    finally:
        engine.dispose()


def row_sizes(situation: Situation) -> tuple[int, int, int]:
    """How many XCom rows there are, the bytes of the largest one, and how many refer to the store."""
    with connect(situation) as connection:
        texts = [_text(row[4]) for row in _xcom_rows(connection)]
    stored = sum(bool(_own_url(text, situation.path)) for text in texts)
    return len(texts), max((len(text.encode()) for text in texts), default=0), stored


def known_dags(situation: Situation) -> set[str]:
    """Every Dag ID this deployment has or had: also deleted Dags are still in the audit log."""
    with connect(situation) as connection:
        rows = [connection.execute(_select(table, "dag_id").distinct()) for table in ("dag", "dag_run", "log")]
        return {row[0] for result in rows for row in result}


def references(situation: Situation) -> tuple[list[Reference], set[tuple[str, str]]]:
    """The XCom rows that refer to objects, and every (Dag ID, run ID) there is."""
    with connect(situation) as connection:
        rows = _xcom_rows(connection)
        runs = {(row[0], row[1]) for row in connection.execute(_select("dag_run", "dag_id", "run_id").limit(None))}
    found = []
    for dag_id, run_id, task_id, key, value in rows:
        text = _text(value)
        url = _own_url(text, situation.path) or _moved_url(text, f"/{dag_id}/{run_id}/{task_id}/")
        if url:
            found.append(Reference(dag_id, run_id, task_id, key, url))
    return found, runs


def _xcom_rows(connection: Connection) -> list[tuple[str, str, str, str, Any]]:
    """Dag ID, run ID, task ID, key and value of each XCom.

    Airflow 3.4 keeps new rows in `xcom_v2`, by task instance, and those of before the upgrade in `xcom_v1`.
    """
    tables = set(sqlalchemy.inspect(connection).get_table_names())
    rows: list[Any] = []
    for name in {"xcom", "xcom_v1"} & tables:
        rows.extend(connection.execute(_select(name, "dag_id", "run_id", "task_id", "key", "value")))
    if "xcom_v2" in tables:
        xcom = sqlalchemy.table("xcom_v2", *map(sqlalchemy.column, ("task_instance_id", "key", "value")))
        task = sqlalchemy.table("task_instance", *map(sqlalchemy.column, ("id", "dag_id", "run_id", "task_id")))
        both = xcom.join(task, xcom.c.task_instance_id == task.c.id)
        columns = (task.c.dag_id, task.c.run_id, task.c.task_id, xcom.c.key, xcom.c.value)
        rows.extend(connection.execute(sqlalchemy.select(*columns).select_from(both).limit(MOST_ROWS)))
    return rows


def _select(table: str, *columns: str) -> Select[Any]:
    """A bounded SELECT without the models, which differ between Airflow 2 and 3."""
    names: list[sqlalchemy.ColumnClause[Any]] = [sqlalchemy.column(name) for name in columns]
    return sqlalchemy.select(*names).select_from(sqlalchemy.table(table)).limit(MOST_ROWS)


def _text(value: Any) -> str:
    """A row as JSON text: Airflow 2 keeps bytes, Airflow 3 JSON, SQLite and PostgreSQL hand it out differently."""
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, str) else json.dumps(value)


def _strings(text: str) -> Iterator[str]:
    """Every string in a row, unwrapped: 2.11 has JSON in JSON, the custom class a record."""
    try:
        pending = [json.loads(text)]
    except ValueError:
        pending = [text]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
            yield one.strip('"')
        elif isinstance(one, (dict, list)):
            pending.extend(one.values() if isinstance(one, dict) else one)


def _own_url(text: str, path: StorePath) -> str:
    """The URL in a row that lies below the base path."""
    base = path.in_rows
    return next((one for one in _strings(text) if one.startswith(base)), "") if base in text else ""


def _moved_url(text: str, part: str) -> str:
    """A URL elsewhere that is built like an XCom of this very row: the base path has changed since."""
    return next((one for one in _strings(text) if _URL.fullmatch(one) and part in one), "") if "://" in text else ""
