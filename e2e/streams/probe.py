"""Maps over Chunks and over a list, and streams a file, on the S3 server of the environment; prints JSON.

Runs in the project's environment; test_streams.py starts it. Arguments: how many items of 1 MB, how many MiB of a file.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from include.xcom_backend import Chunks, XComFile
from include.xcom_backend.backend import pull, push
from include.xcom_backend.reference import Coordinates

NAMES = Coordinates("dag", "manual__2026", "task", -1, "return_value")
ITEM = 1_000_000
MORE = 150_000_000  # bytes that the process may take beyond what it has after its imports


def given() -> int:
    """Return how many bytes of objects the server has given out."""
    with urllib.request.urlopen(os.environ["COUNTS"]) as answer:  # noqa: S310  # loopback
        return int(json.load(answer).get("given", 0))


def fan_out(make: Any, count: int, asked: int) -> dict[str, Any]:
    """Push ``count`` items, and let ``asked`` mapped task instances take theirs as Airflow does: pull, then index."""
    row = push(make(bytes([number % 256]) * ITEM for number in range(count)), NAMES)
    before, started = given(), time.perf_counter()
    for number in range(asked):
        if pull(row)[number] != bytes([number % 256]) * ITEM:
            raise AssertionError(number)
    return {"instances": asked, "bytes": given() - before, "seconds": round(time.perf_counter() - started, 2)}


def main() -> None:
    """Measure."""
    count, mebibytes = int(sys.argv[1]), int(sys.argv[2])
    seen = {"chunks": fan_out(Chunks, count, count)}
    # The file last, with the list of all items not yet made: the peak is of the whole process.
    path, copy = Path("big.bin"), Path("copy.bin")
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(2**20))
    status = Path("/proc/self/status").read_text()
    used = int(status.partition("VmData:")[2].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + MORE, -1))
    started = time.perf_counter()
    row = push(XComFile(path), NAMES)
    pushed = time.perf_counter()
    pull(row).download(copy)
    seen["file"] = {
        "bytes": copy.stat().st_size,
        "push_seconds": round(pushed - started, 2),
        "pull_seconds": round(time.perf_counter() - pushed, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000,
    }
    resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
    seen["list"] = fan_out(list, count, 3)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
