"""Mapped tasks over Chunks on real Airflow: what arrives, and how many bytes leave the store for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import PROJECT
from custom_xcom import Configure, Relay, encoded, objects, reference
from dag_runs import run_dag

pytestmark = pytest.mark.usefixtures("configure")

COUNT, BYTES = 8, 100_000


def test_each_task_instance_fetches_its_item(cloud: str, relay: Relay, configure: Configure) -> None:
    given = {}
    for dag_id in ("probe_chunks", "probe_list"):
        configure(path=cloud, threshold=1000)
        relay.given = 0
        run = run_dag(dag_id)
        assert run.state == "success"
        given[dag_id] = relay.given
        rows = run.rows()
        assert [rows["number", place, "return_value"] for place in range(COUNT)] == [BYTES + n for n in range(COUNT)]
    assert reference(encoded(rows["make", -1, "return_value"]))["codec"] == "msgpack"
    assert given["probe_chunks"] < 1.1 * COUNT * BYTES, given
    assert given["probe_list"] > COUNT * COUNT * BYTES, given


def test_every_way_to_map_gets_what_a_list_gives(base: str, configure: Configure) -> None:
    configure(path=base, threshold=100_000)
    run = run_dag("probe_chunks_ways")
    assert run.state == "success"
    rows = run.rows()
    returned = {task: [row for (name, *_), row in sorted(rows.items()) if name == task] for task, _, _ in rows}
    assert returned["kwargs"] == [[0, BYTES], [1, BYTES]]
    assert returned["map"] == [[0, None], [1, None]]
    assert returned["filter"] == [[0, None]]
    assert returned["zip"] == [[[0, 0], None], [[1, 1], None]]
    assert returned["product"] == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert returned["whole"] == [[2, 0, [0, 1]], [2, 1, [1]]]
    assert len(objects(base)) == 2


def test_files_pass_from_task_to_task_and_through_a_template(
    base: str, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(path=base, threshold=1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROJECT", str(PROJECT))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    run = run_dag("probe_files")
    assert run.state == "success"
    rows = run.rows()
    assert rows["read", -1, "return_value"] == "from a file"
    assert rows["shell", -1, "return_value"] == "from a file"
    assert reference(rows["write", -1, "return_value"])["name"] == "a.txt"
