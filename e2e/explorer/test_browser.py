"""The explorer on the screen: in Airflow's own web UI in a real Chromium, with values that try to do harm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from e2e.explorer.conftest import DAG, Look, Make, Site


@pytest.fixture(scope="module")
def site(make_site: Make) -> Site:
    """A project with the custom class, a task instance of 1,000 XComs, and a report of each kind."""
    made = make_site()
    made.add_many()
    report = {
        "dry_run": True,
        "looked_at": 40,
        "dags": [
            {"dag_id": f"dag_{number}", "runs": 2, "objects": 9, "bytes": 10**number, "tasks": []}
            | {"tasks": [{"task_id": "<b>task</b>", "objects": 9, "bytes": 10**number}]}
            for number in range(3, 10)
        ],
        "biggest": [{"dag_id": DAG, "run_id": "r", "task_id": "t", "key": "<script>1</script>", "bytes": 9}],
        "ages": {"less than a day": 9},
        "mirrors": 1,
        "differ": ["dag_3"],
        **dict.fromkeys(("orphans", "orphan_bytes", "named_by_a_row", "young", "unclear", "deleted", "failed"), 3),
    }
    bad = {"state": "finding", "check": "store.rights", "seen": "<i>seen</i>", "why": "why", "fix": "a fix"}
    doctor = {"summary": "1 finding, 20 healthy", "results": [bad]}
    reports = [("xcom_cleanup", json.dumps(report), f"2026-01-0{day} 00:00:00") for day in range(1, 5)]
    reports += [("xcom_doctor", json.dumps(doctor), "2026-01-01 00:00:00")]
    made.insert([(90 + n, "t", -1, "xcom_report", dag, "r", text, when) for n, (dag, text, when) in enumerate(reports)])
    return made


def test_no_text_of_a_value_ends_the_data_of_a_page(site: Site) -> None:
    page = site.get("storage").text
    (data,) = re.findall('<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data)["cleanups"][-1]["report"]["biggest"][0]["key"] == "<script>1</script>"


@pytest.fixture(scope="module")
def seen(site: Site, look: Look) -> dict[str, Any]:
    """What Chromium saw of all."""
    return look(site, ["in_airflow", "storage", "keyboard", "axe", "all_of_a_long_list"], "matrix")


@pytest.mark.slice
def test_no_value_does_anything_and_axe_finds_nothing(seen: dict[str, Any]) -> None:
    assert seen["problems"] == []


@pytest.mark.slice
def test_each_kind_of_value_is_seen(seen: dict[str, Any], site: Site) -> None:
    shown = seen["shown"]
    assert set(shown) == {xcom["key"] for xcom in site.values()["xcoms"]}
    assert "1,000 rows \N{MULTIPLICATION SIGN} 4 columns" in shown["frame"]
    assert "<script>document.title='hacked'</script>" in shown["frame"]
    assert "<script>document.title='hacked'</script>" in shown["hostile text"]
    assert "200 \N{MULTIPLICATION SIGN} 300" in shown["matrix"]
    assert "000000  00 01 02 03" in shown["bytes"]
    assert "Every line of it." in shown["text"]
    assert "list of 2,000" in shown["records"]
    assert "300 parts" in shown["many chunks"]
    assert "<!doctype html><script>" in shown["file that is HTML"]
    assert "Größe: 5 µm" in shown["folder"]
    assert all("verified" in text for key, text in shown.items() if "SHA-256" in text), "each object is verified"


@pytest.mark.slice
def test_a_click_downloads_the_object(seen: dict[str, Any], site: Site) -> None:
    path = site.object("matrix")
    assert seen["name"] == path.name
    assert Path(seen["downloaded"]).read_bytes() == path.read_bytes()


@pytest.mark.slice
def test_the_frame_follows_the_theme_of_airflow(seen: dict[str, Any]) -> None:
    assert seen["themes"] == {"dark": "rgb(22, 29, 45)", "light": "rgb(255, 255, 255)"}


@pytest.mark.slice
def test_the_storage_page_shows_what_the_dags_reported(seen: dict[str, Any]) -> None:
    for text in ("40 objects looked at", "<b>task</b>", "<script>1</script>", "store.rights", "<i>seen</i>", "dag_3"):
        assert text in seen["storage"]


@pytest.mark.slice
def test_a_long_list_is_painted_as_far_as_it_is_seen(seen: dict[str, Any]) -> None:
    first, found, all_of_it = seen["counts"]
    assert first < 200
    assert (found, all_of_it) == (1, 1_000)
