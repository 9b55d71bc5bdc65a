"""Writes docs/reference/compression-measured.md from records/compression.json."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tools.environments import ROOT

RECORD = ROOT / "records" / "compression.json"
PAGE = ROOT / "docs" / "reference" / "compression-measured.md"
HEADINGS = ("backend", "store", "compression", "task state", "in the bucket", "pulled", "error in the log")


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")


def page(record: dict[str, Any]) -> str:
    """Return the text of the page."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"""# Compression: which objects were lost

<!-- made by `make update` from what `make record ONLY=compression` measured: do not edit -->

[Compression](../explanation/compression.md) says what it means.

Airflow's API server, Dag processor and scheduler ran with LocalExecutor: each task in a supervised child process. For
each line of the table, {record["runs"]} tasks pushed 22,890 bytes of JSON as their last statement, with a threshold of
1,000 bytes, and another task pulled from each of them afterwards. Then the script looked into the buckets.

- `provider` is `{record["backends"]["provider"]}`.
- `emitted` is the project's own `{record["backends"]["emitted"]}`.
- `s3` is moto and `gs` is gcp-storage-emulator, both on loopback. With `-slow`, an upload takes 300 ms more. With
  `-403`, it is refused, as without the permission to write.
- `PATH STRING`: the pull gave the path of a missing object as if it were the value.
- An error in the log is one in the log of the task that pushed.

```text
{result(record)}
```

Python {record["python"]}, {versions}.
"""


def result(record: dict[str, Any]) -> str:
    """Return a line for each backend, store and compression, with how many pushes came out how, and what was lost."""
    pushes: list[list[str]] = record["pushes"]
    cases: dict[tuple[str, ...], list[list[str]]] = {}
    for push in pushes:
        cases.setdefault(tuple(push[:3]), []).append(push[3:])
    lines: list[tuple[str, ...]] = [HEADINGS]
    for case, outcomes in cases.items():
        counts = (Counter(column).most_common() for column in zip(*outcomes, strict=True))
        lines.append((*case, *(", ".join(f"{what} {n}" for what, n in count if what) for count in counts)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    lost = [f"{name} {sum(is_lost(push) for push in pushes if push[0] == name)}" for name in record["backends"]]
    return f"{table}\n\ngreen tasks whose value is lost: {', '.join(lost)}, of {len(pushes) // 2} pushes each"


def is_lost(push: list[str]) -> bool:
    """Whether the task is green, and the value is not there."""
    _, _, _, state, *place, _ = push
    return state == "success" and place != ["yes", "value"]
