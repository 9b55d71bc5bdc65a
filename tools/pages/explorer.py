"""The table of what the explorer costs, from records/explorer.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median
from typing import Any

from tools.environments import ROOT

RECORD = ROOT / "records" / "explorer.json"


def table() -> Iterator[str]:
    """Yield the lines of docs/how-to/explorer.md between two comments."""
    kept: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    page, memory = kept["list"], kept["memory"]
    grown = (memory["peak"] - memory["before"]) / 10**6
    times = page["paint"]
    yield "| A task instance with 1,000 XComs | Measured |\n| --- | --- |\n"
    yield f"| the list is painted after, median of {len(times)} visits | {median(times):,.0f} ms |\n"
    yield f"| the quickest and the slowest of them | {times[0]:,.0f} ms, {times[-1]:,.0f} ms |\n"
    yield f"| requests until then, and what they bring | 1, {page['bytes'] / 1000:,.0f} kB |\n"
    yield f"| CPU time of the API server for a visit | {page['cpu']:,.0f} ms |\n"
    yield f"| the API server grows by, for all 1,000 and a value of 1 GB | {grown:,.1f} MB |\n"
    yield f"\n{kept['machine']}. Measured by `make record ONLY=explorer`; memory is the kernel's peak.\n"
