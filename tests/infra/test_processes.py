"""What a test starts ends with it: also if it fails, and also if the whole run is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.processes import processes_in

# It starts a process that starts another one, and stops neither.
TEST = """
import sys
import time
from pathlib import Path
from tools.processes import Process

def test_that_stops_nothing():
    here = Path(__file__).parent
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    Process("parent", [sys.executable, "-c", program], here, {}, here / "parent.log")
    while not (here / "go-on").exists():
        time.sleep(0.05)
    raise RuntimeError("it fails")
"""


@pytest.mark.parametrize("way", ["the test fails", "the run is terminated"])
def test_no_process_is_left(way: str, tmp_path: Path) -> None:
    tmp_path = tmp_path.resolve()
    (tmp_path / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "e2e.conftest", "test_it.py"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(processes_in(tmp_path)) < 3:  # pytest itself, the process, and what that started
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if way == "the test fails":
        (tmp_path / "go-on").touch()
    else:
        os.kill(run.pid, signal.SIGTERM)
    printed, _ = run.communicate(timeout=60)
    left = processes_in(tmp_path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert ("it fails" if way == "the test fails" else "KeyboardInterrupt") in printed
