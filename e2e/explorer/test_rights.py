"""Who may see what: each route of the explorer, asked by each kind of user, on Airflow's own API server."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from e2e.explorer.conftest import DAG, SECRET, Make, Site
from tools.baking import PROJECT_TEMPLATE

# By path, as the query needs it: nothing, a task instance, or an XCom.
ROUTES = {
    "storage": "",
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
    assert set(routes) == set(ROUTES)


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
    assert fab.get(path, "admin", **{**fab.where(), "dag_id": "~", "key": "text"}).status_code == 404
    for dag_ids in (["~"], [DAG, SECRET], [SECRET, DAG], [""], ["~", SECRET]):
        query = {**fab.where("push", SECRET), "dag_id": dag_ids, "key": "return_value"}
        said = fab.get(path, "reader", **query)
        assert MARK not in said.text
        nothing = '{"xcoms": [], "total": 0}'
        assert said.status_code in {403, 404} or nothing in said.text, dag_ids


@pytest.mark.slice
@pytest.mark.parametrize("token", ["", "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."])
@pytest.mark.parametrize("path", ROUTES)
def test_a_token_that_nobody_gave_opens_nothing(path: str, token: str, simple: Site) -> None:
    simple._tokens["forger"] = token
    assert ask(simple, path, "forger").status_code in {401, 403}


@pytest.mark.slice
@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "app.py", "values.js", "..%2Fapp.py"])
def test_there_is_no_other_way_in(path: str, simple: Site) -> None:
    for user in ("admin", None):
        assert simple.get(path, user).status_code in {401, 404}


@pytest.mark.slice
@pytest.mark.parametrize("user", ["admin", "nobody", None])
@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_has_the_headers(path: str, user: str | None, simple: Site) -> None:
    answer = ask(simple, path, user)
    headers = answer.headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("form-action") == "'none'"
    assert policy.pop("connect-src") == policy.pop("frame-ancestors") == "'self'"
    assert policy.pop("img-src") == "data:"
    is_page = answer.status_code == 200 and not path.startswith("api/")
    parts = {"script-src": '<script type="module">(.*?)</script>', "style-src": "<style>(.*?)</style>"}
    assert set(policy) == (set(parts) if is_page else set())
    for rule, hashes in policy.items():
        (text,) = re.findall(parts[rule], answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert hashes == f"'sha256-{digest}'", "nothing else may run"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-store"


def test_a_row_that_names_an_object_of_another_dag_gives_nothing_of_it(fab: Site) -> None:
    [(row,)] = fab.airflow.query("SELECT value FROM xcom WHERE dag_id = ?", SECRET)
    reference = json.loads(row)
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
    dags = enumerate(("xcom_cleanup", "xcom_doctor"), 900)
    row = "xcom_report", "run", json.dumps(report), "2026-01-01 00:00:00"
    fab.insert((number, "task", -1, row[0], dag_id, *row[1:]) for number, dag_id in dags)
    admin = fab.reports("admin")
    assert [dag["dag_id"] for dag in admin["cleanups"][0]["report"]["dags"]] == [DAG, SECRET]
    assert fab.reports("reader") == {"cleanups": [], "doctor": None}
    auditor = fab.reports("auditor")
    assert [dag["dag_id"] for dag in auditor["cleanups"][0]["report"]["dags"]] == [DAG]
    assert auditor["cleanups"][0]["report"]["biggest"] == auditor["cleanups"][0]["report"]["differ"] == []
    assert auditor["doctor"] is None
