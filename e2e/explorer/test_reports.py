"""Real runs of the Dags xcom_cleanup and xcom_doctor, followed to the page "XCom storage"."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

import pytest

from e2e.explorer.conftest import DAG, Look, Make, Site

WEEKS_AGO = 1_700_000_000  # seconds: before that an orphan is young


@pytest.fixture(scope="module")
def site(make_site: Make) -> Site:
    """A project with a mirror, after two cleanups and a visit of the doctor, who has a finding."""
    made = make_site(mirror=True)
    airflow, mirror = made.airflow, made.folder.with_name("mirror")
    airflow.query("DELETE FROM xcom WHERE dag_id = ? AND key = 'text'", DAG)
    for folder in (made.folder, mirror):
        (orphan,) = folder.rglob("text.*")
        os.utime(orphan, (WEEKS_AGO, WEEKS_AGO))
    (lost,) = mirror.rglob("records.*")
    lost.unlink()
    api = {"conn_type": "http", "host": airflow.url, "login": "admin", "password": made.password("admin")}
    airflow.settings["AIRFLOW_CONN_XCOM_CLEANUP_API"] = json.dumps(api)
    airflow.take(("xcom_cleanup", {"dry_run": True}), ("xcom_cleanup", {"dry_run": False}))
    with suppress(RuntimeError):  # its task fails when it finds something: here, that the path is not that of .env
        airflow.command("dags", "test", "xcom_doctor", "2026-02-01")
    return made


@pytest.fixture(scope="module")
def seen(site: Site, look: Look) -> dict[str, Any]:
    """What Chromium saw of the page."""
    return look(site, ["storage"])


def test_the_page_shows_what_the_cleanup_saw_and_did(site: Site, seen: dict[str, Any]) -> None:
    first, last = (one["report"] for one in site.reports()["cleanups"])
    assert (first["dry_run"], first["orphans"], first["deleted"]) == (True, 2, 0)
    assert (last["dry_run"], last["orphans"], last["deleted"]) == (False, 2, 2)
    assert not [*site.folder.rglob("text.*")]
    assert seen["problems"] == []
    for text in (
        f"{last['looked_at']:,} objects looked at",
        f"It deleted 2, failed at 0, of 2 orphans of {last['orphan_bytes'] / 1000:.1f} kB",
        f"Not all objects are in both stores, of: {DAG}",
        "less than a day",
        "records",
    ):
        assert text in seen["storage"], seen["storage"]


def test_the_page_shows_what_the_doctor_found_and_its_fix(site: Site, seen: dict[str, Any]) -> None:
    report = site.reports()["doctor"]["report"]
    (finding,) = (one for one in report["results"] if one["state"] == "finding")
    assert finding["check"] == "settings.env_file"
    for text in (report["summary"], finding["check"], finding["seen"], *finding["fix"].splitlines()):
        assert text in seen["storage"], seen["storage"]
