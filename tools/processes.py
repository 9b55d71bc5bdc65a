"""Processes: each is started in its place, writes to a file, and is ended by its ID; and their ports."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Process:
    """A program that runs until it is stopped, in a session of its own, and at the latest until Python ends."""

    end_signal = signal.SIGTERM

    def __init__(self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path):
        """Start it.

        :param folder: the working directory
        :param log: the file that gets all that it prints
        """
        self.name, self.command, self.folder = name, list(command), folder
        self.environment, self.log = dict(environment), log
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """Return the process ID, which is the ID of its session too."""
        return self._popen.pid

    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self._popen.poll() is None

    def stop(self, seconds: float = 20) -> None:
        """Ask it to end, wait, and kill what is left of its session then."""
        if self.running():
            self._popen.send_signal(self.end_signal)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Kill it and every process that it started, at once: kill -9."""
        while members := self.members():
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._popen.poll()  # so that it is no zombie
            time.sleep(0.05)
        if self.running():  # macOS has no /proc
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        atexit.unregister(self.kill)  # its ID may be another's soon

    def members(self) -> list[int]:
        """Return the IDs of all running processes of its session: a task's process leaves the group, but not this."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it ended in this moment
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    def peak_memory(self) -> int:
        """Return the most memory that any one process of its session had so far, in bytes."""
        most = 0
        for pid in self.members():
            with suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                if peak := re.search(r"VmHWM:\s+(\d+) kB", status):
                    most = max(most, int(peak[1]) * 1024)
        return most

    def cpu_seconds(self) -> float:
        """Return the CPU time that all processes of its session burned, with those that have ended."""
        ticks = 0
        for pid in self.members():
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))  # user and system, its own and of its ended children
        return ticks / os.sysconf("SC_CLK_TCK")

    def wait_for(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until something is true of it.

        :raises RuntimeError: if it ends before, or after ``seconds``: with the end of what it printed
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running() or time.monotonic() > deadline:
                what = f"is not ready after {seconds:.0f} seconds" if self.running() else "ended"
                raise RuntimeError(f"{self.name} {what}. The end of what it printed:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self, lines: int = 30) -> str:
        """Return the last lines that it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def processes_in(folder: Path) -> list[int]:
    """Return the IDs of all processes that work in a folder or below: a name and an environment can be overwritten."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it ended in this moment
            if cwd.readlink().is_relative_to(folder):
                found.append(int(cwd.parent.name))
    return found


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port of an address of this machine that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def listens(address: str, port: int) -> bool:
    """Tell whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0
