"""Who may see what: each route of the explorer, asked by each kind of user, on Airflow's own API server."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from e2e.explorer.conftest import DAG, SECRET, Make, Site
from tools.baking import PROJECT_TEMPLATE

# By path, as the query needs it: nothing, a task instance, or an XCom.
ROUTES = {
    "storage": "",
    "api/storage": "",
    "assets/explorer.css": "",
    "assets/common.js": "",
    "assets/values.js": "",
    "assets/storage.js": "",
    "values": "task instance",
    "api/xcoms": "task instance",
    "api/value": "XCom",
    "api/download": "XCom",
}
OF_A_DAG = [path for path, needs in ROUTES.items() if needs]
MARK = "the secret of the other Dag"


@pytest.fixture(scope="module")
def simple(make_site: Make) -> Site:
    """Airflow's simple auth manager: roles for all Dags."""
    return make_site()


@pytest.fixture(scope="module")
def fab(make_site: Make) -> Site:
    """FAB, whose roles name Dags."""
    return make_site(fab=True)


def ask(site: Site, path: str, user: str | None, dag_id: str = DAG) -> Any:
    query = site.where("push", dag_id) if ROUTES[path] else {}
    if ROUTES[path] == "XCom":
        query["key"] = "text" if dag_id == DAG else "return_value"
    return site.get(path, user, **query)


def test_the_matrix_has_every_route() -> None:
    (file,) = (PROJECT_TEMPLATE / "plugins" / "xcom_explorer").glob("*app.py*")
    routes = re.findall(r'@app\.\w+\("/(.*?)"', file.read_text(encoding="utf-8"))
    assert {path if path in ROUTES else "assets/{name}" for path in routes} == set(routes) - {"http"}
    assert {re.sub(r"^assets/.*", "assets/{name}", path) for path in ROUTES} == set(routes)


@pytest.mark.slice
@pytest.mark.parametrize("path", ROUTES)
def test_a_role_of_the_simple_auth_manager_opens_a_route_or_not(path: str, simple: Site) -> None:
    expected = {"admin": 200, "op": 200, "user": 200, "viewer": 200, "nobody": 403, None: 401}
    assert {user: ask(simple, path, user).status_code for user in expected} == expected


@pytest.mark.parametrize("path", ROUTES)
def test_a_role_of_fab_opens_a_route_or_not(path: str, fab: Site) -> None:
    expected = {"admin": 200, "reader": 200, "no_xcoms": 403, "nobody": 403, None: 401}
    assert {user: ask(fab, path, user).status_code for user in expected} == expected


@pytest.mark.parametrize("path", OF_A_DAG)
def test_a_reader_of_one_dag_sees_nothing_of_another(path: str, fab: Site) -> None:
    assert ask(fab, path, "admin", SECRET).status_code == 200
    refused = ask(fab, path, "reader", SECRET)
    assert refused.status_code == 403
    assert MARK not in refused.text
    for dag_ids in (["~"], [DAG, SECRET], [SECRET, DAG], [""], ["~", SECRET]):
        query = {**fab.where("push", SECRET), "dag_id": dag_ids, "key": "return_value"}
        said = fab.get(path, "reader", **query)
        assert MARK not in said.text
        assert path == "values" or said.status_code in {403, 404} or said.json() == {"xcoms": [], "total": 0}, dag_ids


@pytest.mark.slice
@pytest.mark.parametrize("token", ["", "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."])
@pytest.mark.parametrize("path", ROUTES)
def test_a_token_that_nobody_gave_opens_nothing(path: str, token: str, simple: Site) -> None:
    simple._tokens["forger"] = token
    assert ask(simple, path, "forger").status_code in {401, 403}


@pytest.mark.slice
@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "assets/..%2Fapp.py", "assets/app.py", "app.py"])
def test_there_is_no_other_way_in(path: str, simple: Site) -> None:
    for user in ("admin", None):
        assert simple.get(path, user).status_code in {401, 404}


@pytest.mark.slice
@pytest.mark.parametrize("user", ["admin", "nobody", None])
@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_has_the_headers(path: str, user: str | None, simple: Site) -> None:
    headers = ask(simple, path, user).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-store"


def test_a_row_that_names_an_object_of_another_dag_gives_nothing_of_it(fab: Site) -> None:
    with closing(sqlite3.connect(fab.airflow.database)) as database:
        query = "SELECT value FROM xcom WHERE dag_id = ?"
        reference = json.loads(database.execute(query, [SECRET]).fetchone()[0])
    original: list[Any] = []
    for forged in (reference, {**reference, "dag_id": DAG}, {**reference, "dag_id": DAG, "task_id": "push"}):

        def forge(row: Any, forged: Any = forged) -> Any:
            original.append(row)
            return forged

        fab.write_row("text", forge)
        told = fab.get("api/value", "reader", **fab.where(), key="text")
        assert told.json()["state"] == "refused"
        assert "view" not in told.json()
        download = fab.get("api/download", "reader", **fab.where(), key="text")
        assert download.status_code == 502
        assert MARK not in told.text + download.text
    fab.write_row("text", lambda _: original[0])
    assert fab.value("text")["state"] == "read"


def test_the_storage_page_tells_only_of_dags_that_its_reader_may_read(fab: Site) -> None:
    report = {
        "dags": [{"dag_id": dag_id, "bytes": 1, "objects": 1, "runs": 1, "tasks": []} for dag_id in (DAG, SECRET)],
        "differ": [SECRET],
        "biggest": [{"dag_id": SECRET, "run_id": "r", "task_id": "t", "key": MARK, "bytes": 5}],
    }
    with closing(sqlite3.connect(fab.airflow.database, timeout=30)) as database, database:
        for number, dag_id in enumerate(("xcom_cleanup", "xcom_doctor"), 900):
            row = [number, "task", -1, "xcom_report", dag_id, "run", json.dumps(report), "2026-01-01 00:00:00"]
            names = "dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp"
            database.execute(f"INSERT INTO xcom ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    admin = fab.get("api/storage", "admin").json()
    assert [dag["dag_id"] for dag in admin["cleanups"][0]["report"]["dags"]] == [DAG, SECRET]
    assert fab.get("api/storage", "reader").json() == {"cleanups": [], "doctor": None}
    auditor = fab.get("api/storage", "auditor").json()
    assert [dag["dag_id"] for dag in auditor["cleanups"][0]["report"]["dags"]] == [DAG]
    assert auditor["cleanups"][0]["report"]["biggest"] == auditor["cleanups"][0]["report"]["differ"] == []
    assert auditor["doctor"] is None
