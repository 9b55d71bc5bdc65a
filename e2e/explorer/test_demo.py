"""`make demo UI=1` from its start to its end: the tab shows the value, and nothing is left of it, however it ends."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.explorer.conftest import environment
from tools.baking import ROOT, run
from tools.debian import program
from tools.processes import Process, processes_in

PROJECT = ROOT / ".demo" / "xcom-demo-local-custom"
SECONDS = 900  # that a part of it may take, on a busy machine
LOOK = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    options = ["--no-sandbox", "--disable-dev-shm-usage"]
    page = playwright.chromium.launch(executable_path=sys.argv[2], args=options).new_page()
    page.set_default_timeout(120_000)
    page.goto(sys.argv[1])
    frame = page.frame_locator("iframe[title='XCom values']")
    frame.locator(".view").wait_for()
    print(frame.locator("#detail").inner_text())
"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Process]:
    """The demo, from now on, and its end."""
    assert processes_in(PROJECT) == [], "another demo of this kind runs"
    command = [sys.executable, "-m", "tools.demo.start", "--ui", "cloud=local", "xcom_backend=custom"]
    process = Process("demo", command, ROOT, {**os.environ, "COLUMNS": "1000"}, tmp_path / "log")
    yield process
    process.kill()


def processes_of(name: str) -> list[int]:
    """Return the IDs of the demo's processes that have this word in their command line."""
    found = []
    for pid in processes_in(PROJECT):
        with suppress(OSError):  # it ended in this moment
            if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def wait_for_the_end(demo: Process) -> str:
    """Return what it printed until it ended by itself, and check that nothing is left of it."""
    demo.wait_for(lambda: not demo.running(), SECONDS)
    assert processes_in(PROJECT) == []
    return demo.log.read_text()


def test_the_tab_shows_the_value_until_the_demo_is_ended(demo: Process) -> None:
    demo.wait_for(lambda: "Press Ctrl-C" in demo.log.read_text(), SECONDS)
    tab = re.findall(r"http://localhost:\S+", demo.log.read_text())[-1]
    assert tab.endswith("/tasks/make_frame/plugin/xcom-values")
    python = environment(PROJECT, "local", "custom", "3")
    done = run(python, "-c", LOOK, tab, program("chromium", "chromium"), timeout=SECONDS)
    assert "1,000 rows" in done.stdout, done.stderr
    assert "verified" in done.stdout
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does it
    assert "Ending Airflow and the object store" in wait_for_the_end(demo)


def test_nothing_is_left_of_a_demo_that_is_interrupted_while_it_starts(demo: Process) -> None:
    demo.wait_for(lambda: bool(processes_of("scheduler")), SECONDS)
    os.kill(demo.pid, signal.SIGTERM)  # as `kill` does it: the process that was started, and no other
    assert "Interrupted. All that was started has ended." in wait_for_the_end(demo)


def test_nothing_is_left_of_a_demo_that_fails(demo: Process) -> None:
    demo.wait_for(lambda: bool(processes_of("scheduler")), SECONDS)
    os.kill(processes_of("standalone")[0], signal.SIGKILL)  # the scheduler is an orphan now
    assert "Airflow did not start" in wait_for_the_end(demo)
