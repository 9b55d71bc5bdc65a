"""Writes docs/reference/cluster.md from what `make record ONLY=cluster` recorded in records/cluster.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tools.environments import ROOT

PAGE = ROOT / "docs" / "reference" / "cluster.md"
# The classes by which records/cluster.json names the backends.
PROVIDER = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
DATABASE = "airflow.sdk.bases.xcom.BaseXCom"
CUSTOM = "include.xcom_backend.XComBackend"
NAMES = {CUSTOM: "the custom class", PROVIDER: "the provider's backend", DATABASE: "Airflow's own: the database"}
ACTIONS = ("list", "cleanup, dry run", "cleanup", "purge at once", "purge one by one")
MB = 10**6

TEXT = """\
# A cluster under load

`make e2e ONLY=cluster` runs the emitted project on a whole Airflow. This page says what runs, and what came out.
`make record ONLY=cluster` runs the same and writes this page: numbers and pictures are of such runs.

Measured on {machine}.

## What runs

{what_runs}

`make e2e ONLY=cluster SLICE=1` runs what CI runs: one cluster on S3 with the custom class, by the REST API and in the
browser.

## What a user sees

A headless Chromium signs in, triggers `custom_xcom_backend_test`, and opens `push_objects`. The log has the line of the
push:

![The log of push_objects in the web UI, with the line XCom push of big_obj](../images/cluster-log.png)

**Storage**, then **XCom**, shows what the database holds: the small value itself, and the reference to the big one.

![The XCom tab: big_obj is a reference with path, size and SHA-256, small_obj is a value](../images/cluster-xcom.png)

## Nothing lost, nothing mixed

A fan-out Dag: mapped tasks push on both workers, one reducer pulls all. It makes each value anew, and compares
SHA-256 in the order of the map index.

{load}

- *Row* is the JSON in the table `xcom`. Its length is that of the IDs in it, not of the value.
- *Table* is how much the table `xcom` grew on disk, with its indexes.
- *Reducer* is how much its memory rose above what it had before the first pull, at most.
- *Worker* is the most that any one process of the two workers had, of all that it does.

With {few_frames} frames in place of {frames} the reducer needed {few_reducer}: it holds one value after the other.

## Beside the other backends

The same Dag with {side_count} values of 200 KB, on the same cluster, one backend after the other: {side_count} and not
200 of them, to keep the run short. CPU time is that of both workers and of the API server, and the first row is 1. The
time by the clock depends on what else the machine did. Each task is a fresh process: with either class it imports the
client of the store anew, which a value in the database does not need ([cold start](benchmarks.md)).

{side}

## Growth

One process, the custom class, and an S3 server on loopback that counts requests
(`benchmarks/fast_s3.py`). Medians of three; the value of 1 GB and the numbers from 3,000 on once. Times are CPU time of
this process; by the clock, which counts the server and all that the machine does besides, they stand in brackets.

![CPU time by bytes and by objects, both axes logarithmic: all end as steep as the linear one](../images/growth.svg)

{sizes}

{slope_size}

{numbers}

{slope_number}

`xcom_cleanup` asks the REST API once more for each run and 100 rows, to know what they name. A cleanup of Dags
that are named in full lists only their objects. In this run 2,500 objects of another Dag lay beside them: nobody
listed these.
"""

WHAT_RUNS = """\
- Airflow's API server, scheduler, Dag processor and triggerer, each a process of its own.
- CeleryExecutor on a Redis server, metadata in a PostgreSQL server. `make e2e` installs both from Debian.
- Two Celery workers that share no folder. Each has its own home, its own copy of the project and its own temporary
  folder. {network}
- The emulator of the project's store, which is all that the workers have in common. That, and the installed packages.
- Dags are triggered by the REST API, and once in the web UI.

| Store | Custom class | Provider's backend |
| --- | --- | --- |
| S3: a moto server | yes | yes |
{clouds}"""


def write_page(results: dict[str, Any]) -> None:
    """Write the page anew."""
    frames, texts = results["frames"], results["texts"]
    PAGE.write_text(
        TEXT.format(
            machine=results["machine"],
            what_runs=what_runs(results),
            load=table(LOAD_HEADINGS, [load_row("200 KB", texts), load_row("20 MB DataFrames", frames)]),
            frames=frames["values"],
            few_frames=frames["few"]["values"],
            few_reducer=megabytes(frames["few"]["reducer_added"]),
            side_count=results["side_by_side"][CUSTOM]["values"],
            side=side_by_side(results["side_by_side"]),
            **growth(results["growth"]),
        ),
        newline="\n",
    )


def what_runs(results: dict[str, Any]) -> str:
    """Return the list of what ran, and the table of stores."""
    if results["network"]["isolated"]:
        network = "Each is in a network namespace of its own, and the folders of the others are empty for it."
    else:
        network = f"They had addresses of loopback, not networks of their own: {results['network']['why_not']}."
    rows = [f"| {results[name]['store']} | yes | yes |" for name in ("cloud gcp", "cloud azure")]
    return WHAT_RUNS.format(network=network, clouds="\n".join(rows))


LOAD_HEADINGS = ("Values", "Came back equal", "Rows", "Bytes of a row", "Table", "Reducer", "Worker", "Seconds")


def load_row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a load for the table."""
    return (
        f"{found['rows']} x {name}",
        f"{found['values']}",
        f"{found['rows']}",
        f"{found['row_bytes_min']} to {found['row_bytes_max']}",
        megabytes(found["table_growth"]),
        megabytes(found["reducer_added"]),
        megabytes(found["worker_peak"]),
        f"{found['seconds']:.0f}",
    )


def side_by_side(found: dict[str, dict[str, Any]]) -> str:
    """Return the table of the backends."""
    headings = ("Backend", "CPU, workers", "CPU, API server", "Clock", "Bytes of a row", "Table", "Reducer", "Worker")
    base = found[CUSTOM]
    rows = [
        (
            name,
            *(ratio(found[backend]["cpu"][part], base["cpu"][part]) for part in ("workers", "api-server")),
            ratio(found[backend]["seconds"], base["seconds"]),
            f"{found[backend]['row_bytes_min']:,} to {found[backend]['row_bytes_max']:,}",
            megabytes(found[backend]["table_growth"]),
            megabytes(found[backend]["reducer_added"]),
            megabytes(found[backend]["worker_peak"]),
        )
        for backend, name in NAMES.items()
    ]
    return table(headings, rows)


def ratio(seconds: float, base: float) -> str:
    """Return a time as a multiple of another one, and in seconds."""
    return f"{seconds / base:.2f} x ({seconds:.0f} s)"


def growth(found: dict[str, Any]) -> dict[str, str]:
    """Return the tables of growth, and a sentence on the last step of each."""
    sizes, numbers = found["sizes"], found["numbers"]
    return {
        "sizes": table(
            ("Bytes", "Push", "Pull", "Requests of a push", "of a pull", "of a purge"),
            [
                (
                    f"{row['bytes']:,}",
                    *(times(row[name]) for name in ("push", "pull")),
                    *(requests(row[name]) for name in ("push", "pull", "purge")),
                )
                for row in sizes
            ],
        ),
        "slope_size": "The last step costs "
        + " and ".join(f"{slope(sizes, name, 'bytes', MB):.2f} ms a MB to {name}" for name in ("push", "pull"))
        + ".",
        "numbers": table(
            ("Objects", *ACTIONS),
            [(f"{row['objects']:,}", *(f"{times(row[a])}, {requests(row[a])}" for a in ACTIONS)) for row in numbers],
        ),
        "slope_number": "The last step costs, for each object: "
        + ", ".join(f"{name} {slope(numbers, name, 'objects', 1):.2f} ms" for name in ACTIONS)
        + ".",
    }


def slope(rows: Sequence[dict[str, Any]], name: str, unit: str, scale: float) -> float:
    """Return the milliseconds of CPU time that each further unit cost between the last two rows."""
    first, last = rows[-2:]
    return float((last[name]["cpu"] - first[name]["cpu"]) * 1000 / (last[unit] - first[unit]) * scale)


def requests(measured: dict[str, Any]) -> str:
    """Return the requests in words: of listings only that they are."""
    seen = {name: count for name, count in measured["requests"].items() if count}
    listings = seen.pop("list", 0)
    if listings:
        seen["GET"] -= listings
    words = [f"{count:,} {name}" for name, count in seen.items() if count]
    return " + ".join([f"{listings} LIST"] * bool(listings) + words)


def times(measured: dict[str, Any]) -> str:
    """Return the CPU time, and in brackets that by the clock."""
    return f"{duration(measured['cpu'])} ({duration(measured['seconds'])})"


def duration(seconds: float) -> str:
    """Return a time in a unit that fits."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def megabytes(count: float) -> str:
    """Return a number of bytes as MB of a million."""
    return f"{count / MB:.1f} MB"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    write_page(json.loads((ROOT / "records" / "cluster.json").read_text()))
