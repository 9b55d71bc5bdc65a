"""The explorer where an Airflow stands otherwise: its rows in PostgreSQL, its web UI below a path."""

from __future__ import annotations

import pytest

from e2e.explorer.conftest import DAG, SECRET, Look, Make, Site


@pytest.fixture(scope="module")
def site(make_site: Make) -> Site:
    """A deployment with PostgreSQL, behind ``/airflow``."""
    return make_site(postgresql=True, prefix="/airflow")


def test_all_values_are_seen_in_the_web_ui(site: Site, look: Look) -> None:
    seen = look(site, ["in_airflow", "keyboard"], "matrix")
    assert seen["problems"] == []
    assert set(seen["shown"]) == {xcom["key"] for xcom in site.values()["xcoms"]}
    assert all("verified" in text for text in seen["shown"].values() if "SHA-256" in text)


def test_rows_are_read_page_by_page_and_no_longer_than_a_preview_needs(site: Site) -> None:
    listed = site.values()
    after = site.get("api/xcoms", **site.where(), after="text").json()
    assert [xcom["key"] for xcom in after["xcoms"]] == ["wide", "zz odd ~ key"]
    assert after["total"] == listed["total"] == len(listed["xcoms"])
    five_mb = "UPDATE xcom SET value = to_jsonb(repeat('x', 5242880)) WHERE dag_id = ? AND key = 'small'"
    site.airflow.query(five_mb, DAG)
    assert site.value("small")["state"] == "not read"
    assert site.get("api/download", **site.where(), key="small").status_code == 413
    site.write_row("small", lambda _: {"a": 1})
    assert site.value("small")["state"] == "read"


def test_rights_hold(site: Site) -> None:
    for path, query in {"values": site.where(), "storage": {}, "api/xcoms": site.where("push", SECRET)}.items():
        codes = [site.get(path, user, **query).status_code for user in ("viewer", "nobody", None)]
        assert codes == [200, 403, 401], path
