"""What the explorer costs: the time until a list of 1,000 XComs is painted, and the memory of the API server.

Times are written down, not judged: the machine may do other things. Memory and requests are the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.explorer.conftest import Look, Make, Site
from tools.machine import machine
from tools.pages import explorer

GB, MB = 10**9, 10**6
VISITS = 15
RECORDING = os.environ.get("XCOM_TEMPLATE_RECORD") == "1"


@pytest.fixture(scope="module")
def site(make_site: Make) -> Site:
    """A project with the custom class, and a task instance of 1,000 XComs."""
    made = make_site()
    made.add_many()
    return made


@pytest.fixture(scope="module")
def record() -> Iterator[dict[str, Any]]:
    """What was measured, which `make record ONLY=explorer` keeps."""
    measured: dict[str, Any] = {"machine": machine()}
    yield measured
    print(json.dumps(measured))
    if RECORDING:
        explorer.RECORD.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8", newline="\n")


@pytest.mark.slice
def test_a_thousand_xcoms_take_one_small_answer(site: Site, look: Look, record: dict[str, Any]) -> None:
    before = cpu_seconds(site)
    seen = look(site, ["first_paint"], visits=VISITS)
    cpu = (cpu_seconds(site) - before) / VISITS
    record["list"] = {"paint": sorted(seen["first_paint"]), "bytes": seen["size"], "cpu": cpu * 1000}
    assert seen["problems"] == []
    assert seen["asked"] == ["/xcom_explorer/values"]
    assert seen["size"] < 50_000


@pytest.mark.slice
def test_a_thousand_xcoms_and_a_value_of_1_gb_take_little_memory(site: Site, record: dict[str, Any]) -> None:
    path = site.object("html")
    kept, rows = path.read_bytes(), list[Any]()
    os.truncate(path, GB)  # zeros that take no room on the disk
    with path.open("rb") as file:
        sha256 = hashlib.sha256(mmap.mmap(file.fileno(), GB, prot=mmap.PROT_READ)).hexdigest()

    def forge(row: dict[str, Any]) -> dict[str, Any]:
        rows.append(row)
        return {**row, "size": GB, "decoded_size": GB, "sha256": sha256}

    site.write_row("html", forge)
    process = Path(f"/proc/{site.airflow.processes['api-server'].pid}")
    before = memory(process, "VmRSS")
    (process / "clear_refs").write_text("5")  # the kernel forgets the peak of before
    listed = site.values(task_id="many")["xcoms"]
    while more := site.get("api/xcoms", **site.where("many"), after=listed[-1]["key"]).json()["xcoms"]:
        listed += more
    state, received = site.value("html")["state"], 0
    for chunk in site.get("api/download", **site.where(), key="html", stream=True).iter_content(2**22):
        received += len(chunk)
    peak = memory(process, "VmHWM")
    path.write_bytes(kept)
    site.write_row("html", lambda _: rows[0])
    record["memory"] = {"before": before, "peak": peak}
    assert (len(listed), state, received) == (1_000, "too big", GB)
    assert peak - before < 100 * MB


def memory(process: Path, name: str) -> int:
    """Return what the kernel tells of the memory of a process, in bytes: VmRSS now, VmHWM at most."""
    return int((process / "status").read_text().partition(f"{name}:")[2].split()[0]) * 1024


def cpu_seconds(site: Site) -> float:
    """Return the CPU time that the API server took, without the process that reads values."""
    stat = Path(f"/proc/{site.airflow.processes['api-server'].pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
