"""The project on a whole Airflow with Celery, PostgreSQL, two workers that share no folder, and S3."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.cluster import BACKEND, USER, Cluster, Run
from e2e.cluster.conftest import RECORDING, Record
from tools.debian import find, program
from tools.environments import ROOT
from tools.machine import machine
from tools.pages.cluster import CUSTOM, DATABASE, PROVIDER

BROWSER = Path(__file__).parent / "browser.py"
# Airflow's components, as the API server calls them.
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
FRAME_BYTES = 20_000_000  # of one value of load_frames in memory
# What the custom class needs of memory at most, as a multiple of the largest value, over a run with few values.
SPARE = 2
SIDE_BY_SIDE = 30  # tasks on each of the three backends


@pytest.mark.slice
def test_every_component_is_healthy_and_a_process_of_its_own(s3: Cluster, record: Record) -> None:
    assert {name: s3.health()[name]["status"] for name in COMPONENTS} == dict.fromkeys(COMPONENTS, "healthy")
    processes = {name: process.pid for name, process in s3.processes.items() if process.running()}
    assert len(set(processes.values())) == len(s3.processes) == 11
    record("network", {"isolated": not s3.network.not_isolated, "why_not": s3.network.not_isolated})


@pytest.mark.slice
def test_workers_share_no_folder(s3: Cluster) -> None:
    run = s3.run("hand_over")
    seen = returned(s3, run, "pull")
    workers = [place.address for place in s3.network.workers]
    assert seen["whole"]
    assert seen["workers"] == workers
    assert len(set(seen["dags"])) == 2
    if not s3.network.not_isolated:
        assert not seen["sees_the_file"]
        assert not seen["sees_the_dag"]


@pytest.mark.slice
def test_rest_api(s3: Cluster) -> None:
    run = s3.run("custom_xcom_backend_test")
    assert_custom_rows(s3, run)
    push = s3.log(run, "push_objects")
    assert "XCom push: key=big_obj type=dict codec=json" in push
    assert "big_obj came back whole from object storage" in s3.log(run, "pull_objects")
    s3.run("dataframe_xcom_test")


@pytest.mark.slice
def test_web_ui(s3: Cluster, tmp_path: Path) -> None:
    pictures = ROOT / "docs" / "images" if RECORDING else tmp_path
    orders = {
        "url": s3.url,
        "user": USER,
        "password": s3.password,
        "browser": str(find("google-chrome") or program("chromium", "chromium")),
        "pictures": str(pictures),
    }
    done = subprocess.run(
        [str(s3.python), str(BROWSER)], input=json.dumps(orders), capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    run_id = shown["run"].rpartition("/")[2]
    run = Run("custom_xcom_backend_test", run_id, s3.wait("custom_xcom_backend_test", run_id), 0)
    rows = assert_custom_rows(s3, run)
    assert shown["log"].startswith("XCom push: key=big_obj type=dict codec=json decoded=48903 B")
    # The UI breaks long lines and puts spaces that do not break before what it indents.
    text = "".join(shown["xcoms"].split())
    assert rows["big_obj"]["paths"][0] in text
    assert rows["big_obj"]["sha256"] in text
    assert '"a":23' in text


def test_200_values_of_200_kb(s3: Cluster, record: Record) -> None:
    few = s3.run("load_texts", {"count": 10})
    before = table_bytes(s3)
    with peak_memory(s3) as memory:
        run = s3.run("load_texts", {"count": 200}, seconds=3000)
    assert s3.workers_of(run)["push"] == {place.address for place in s3.network.workers}
    result = fan_out_result(s3, run, memory) | {"table_growth": table_bytes(s3) - before, "few": fan_out_rows(s3, few)}
    record("texts", result)
    assert result["rows"] == 200
    # Only the map index, which stands in the row three times, is longer.
    assert result["row_bytes_max"] - result["few"]["row_bytes_max"] <= 6
    assert result["row_bytes_max"] < 1000


def test_30_frames_of_20_mb(s3: Cluster, record: Record) -> None:
    with peak_memory(s3) as few_memory:
        # Not 3: from about the tenth value on, what allocators keep for the next one grows no more.
        few = s3.run("load_frames", {"count": 10}, seconds=1200)
    before = table_bytes(s3)
    with peak_memory(s3) as memory:
        run = s3.run("load_frames", {"count": 30}, seconds=2400)
    result = fan_out_result(s3, run, memory) | {"table_growth": table_bytes(s3) - before}
    result["few"] = fan_out_result(s3, few, few_memory)
    record("frames", result)
    assert result["rows"] == 30
    assert result["row_bytes_max"] < 1000
    # 600 MB went through the reducer: it held one value after the other.
    assert result["reducer_added"] <= result["few"]["reducer_added"] + SPARE * FRAME_BYTES
    assert result["worker_peak"] <= result["few"]["worker_peak"] + SPARE * FRAME_BYTES


def test_backends_side_by_side(s3: Cluster, record: Record) -> None:
    """The same Dag on the custom class, the provider's, and Airflow's own, which keeps all in the database."""
    results = {}
    for backend in (CUSTOM, PROVIDER, DATABASE):
        s3.restart_workers({BACKEND: backend})
        s3.run("custom_xcom_backend_test")  # the first run of a worker is slower
        before, burned = table_bytes(s3), cpu_seconds(s3)
        with peak_memory(s3) as memory:
            run = s3.run("load_texts", {"count": SIDE_BY_SIDE}, seconds=1800)
        cpu = {name: round(seconds - burned[name], 2) for name, seconds in cpu_seconds(s3).items()}
        result = fan_out_result(s3, run, memory) | {"table_growth": table_bytes(s3) - before}
        results[backend] = result | {"cpu": cpu}
        rows = [json.loads(value) for (value,) in values(s3, run, "push")]
        assert {type(row) for row in rows} == ({str} if backend == PROVIDER else {dict})
        assert (results[backend]["row_bytes_min"] > 200_000) == (backend == DATABASE)
    record("side_by_side", results)
    record("machine", machine())


def assert_custom_rows(cluster: Cluster, run: Run) -> dict[str, Any]:
    """Return the rows of `push_objects` by key, after a look at them: a small value, and a reference to a big one."""
    query = "SELECT key, value FROM xcom WHERE run_id = :'run' AND task_id = 'push_objects'"
    rows = {key: json.loads(value) for key, value in cluster.database.query(query, run=run.run_id)}
    assert rows["small_obj"] == {"a": 23}
    assert rows["big_obj"]["kind"] == "reference"
    assert rows["big_obj"]["paths"][0].startswith(f"{cluster.store.path}/{run.dag_id}/")
    return rows


def returned(cluster: Cluster, run: Run, task_id: str) -> Any:
    """Return what a task returned, which is small enough for the database."""
    ((value,),) = values(cluster, run, task_id)
    row = json.loads(value)
    # A dict whose keys PostgreSQL would sort is in the row as JSON text.
    return json.loads(row["data"]) if isinstance(row, dict) and row.get("kind") == "inline" else row


def values(cluster: Cluster, run: Run, task_id: str) -> list[list[str]]:
    query = "SELECT value FROM xcom WHERE dag_id = :'dag' AND run_id = :'run' AND task_id = :'task' ORDER BY map_index"
    return cluster.database.query(query, dag=run.dag_id, run=run.run_id, task=task_id)


def fan_out_rows(cluster: Cluster, run: Run) -> dict[str, int]:
    """Return how many rows the mapped tasks of a run left, and how long they are as JSON, in bytes."""
    lengths = [len(value.encode()) for (value,) in values(cluster, run, "push")]
    return {
        "rows": len(lengths),
        "row_bytes_min": min(lengths),
        "row_bytes_max": max(lengths),
        "row_bytes_sum": sum(lengths),
    }


def fan_out_result(cluster: Cluster, run: Run, memory: list[int]) -> dict[str, Any]:
    """Return what a run of a load Dag left and needed, after its reducer has looked at every value."""
    reduced = returned(cluster, run, "reduce")
    return fan_out_rows(cluster, run) | {
        "seconds": round(run.seconds, 1),
        "values": reduced["values"],
        "reducer_added": (reduced["peak_kib"] - reduced["before_kib"]) * 1024,
        "worker_peak": max(memory),
    }


def table_bytes(cluster: Cluster) -> int:
    """Return the size of the table of XComs on disk, with its indexes."""
    cluster.database.query("VACUUM xcom")
    ((size,),) = cluster.database.query("SELECT pg_total_relation_size('xcom')")
    return int(size)


def cpu_seconds(cluster: Cluster) -> dict[str, float]:
    """Return the CPU time that the workers and the API server burned so far."""
    workers = sum(cluster.processes[place.name].cpu_seconds() for place in cluster.network.workers)
    return {"workers": workers, "api-server": cluster.processes["api-server"].cpu_seconds()}


@contextmanager
def peak_memory(cluster: Cluster) -> Iterator[list[int]]:
    """Yield a list that gets, while the block runs, the most memory of any one process of the workers, in bytes."""
    peaks, end = [0], threading.Event()
    workers = [cluster.processes[place.name] for place in cluster.network.workers]

    def look() -> None:
        while not end.wait(0.5):
            peaks.append(max(worker.peak_memory() for worker in workers))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        end.set()
        thread.join()
