"""Writes what `make record ONLY=bench` recorded into docs/reference/benchmarks.md, and draws the chart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

from tools.environments import ROOT

RECORD = ROOT / "records" / "benchmarks.json"
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
PICTURE = ROOT / "docs" / "images" / "benchmarks.svg"
SECTION = re.compile(r"(<!-- (\w+): make update writes this part -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
PAYLOADS = {
    "frame": "DataFrame, a million rows",
    "records": "150,000 records, 11 MB",
    "nested": "nested dict, 1 MB",
    "array": "NumPy array, 64 MB",
    "gigabyte": "bytes, 1 GB",
}
STORES = ("s3", "abfs", "gs", "file")
WORDS = {True: "yes", False: "**no**", None: ""}
COLOURS = {"provider": "#9aa3ba", "custom": "#0b7285"}
CLASSES = {"provider": "provider's class", "custom": "custom class"}
CONTENDERS = (
    *("provider", "provider+gzip", "provider+zip", "csv", "dual write"),
    *("custom", "custom+zstd", "custom+msgpack", "custom over s3fs", "floor"),
)
MB = 2**20
NAN = float("nan")


@dataclass(frozen=True)
class Aim:
    """One cell of the table of aims."""

    what: str
    aim: str
    clock: str
    met: bool
    cpu: str = ""
    cpu_met: bool | None = None
    floor: str = ""  # what the bare library and client come to


class Measured:
    """The medians, looked up by case."""

    def __init__(self, found: dict[str, dict[str, float]]) -> None:
        """Keep the medians."""
        self.found = found

    def faster(self, case: str) -> float:
        """Return how many times as fast as the provider's the custom class is; ``{}`` of the case is the class."""
        return self.ratio(case.format("provider"), case.format("custom"))

    def get(self, case: str, number: str = "seconds") -> float:
        """Return one median; NaN if the contender refused."""
        return float(self.found.get(case, {}).get(number, "nan"))

    def ratio(self, above: str, below: str, number: str = "seconds") -> float:
        """Return one median by another."""
        return self.get(above, number) / self.get(below, number)


def aims(found: Measured) -> Iterator[Aim]:
    """Yield every aim with what was measured on the S3 server, and for the cold task on each store."""
    yield from cold_aims(found)
    faster = {
        ("frame", "custom"): (3, 3.5),
        ("records", "custom"): (3.5, 7),
        ("records", "custom+msgpack"): (5, 7),
        ("nested", "custom"): (4, 5),
        ("array", "custom"): (20, 20),
    }
    for (payload, name), wanted in faster.items():
        for action, least in zip(("push", "pull"), wanted, strict=True):
            cases = (f"s3/{payload}/provider/{action}", f"s3/{payload}/{name}/{action}")
            clock, cpu = found.ratio(*cases), found.ratio(*cases, "cpu")
            words = f"{PAYLOADS[payload]}: {action} against the provider{' (msgpack)' if '+' in name else ''}"
            floor = f"{found.ratio(cases[0], f's3/{payload}/floor/{action}'):.1f} x"
            yield Aim(
                words, f"{least:g} x faster", f"{clock:.1f} x", clock >= least, f"{cpu:.1f} x", cpu >= least, floor
            )
    for payload, name, most in (("frame", "custom", 0.42), ("records", "custom+zstd", 0.1), ("array", "custom", 0.45)):
        size = found.ratio(f"s3/{payload}/{name}/push", f"s3/{payload}/provider/push", "stored")
        yield Aim(f"{PAYLOADS[payload]}: stored bytes ({name})", f"{most} x", f"{size:.3f} x", size <= most)
    for action in ("push", "pull"):
        cases = (f"s3/records/provider/{action}", f"s3/records/custom+zstd/{action}")
        clock, cpu = found.ratio(*cases), found.ratio(*cases, "cpu")
        words = f"{PAYLOADS['records']}: {action} with zstd"
        yield Aim(words, "still faster", f"{clock:.1f} x", clock > 1, f"{cpu:.1f} x", cpu > 1)
    for payload, most in (("frame", 0.5), ("array", 0.15)):
        for action in ("push", "pull"):
            size, bare = (
                found.ratio(f"s3/{payload}/{name}/{action}", f"s3/{payload}/provider/{action}", "added")
                for name in ("custom", "floor")
            )
            words = f"{PAYLOADS[payload]}: added peak memory, {action}"
            yield Aim(words, f"{most} x", f"{size:.2f} x", size <= most, floor=f"{bare:.2f} x")
    for payload, most, value in (
        ("records", 1.2, found.get("s3/records/custom/pull", "kept")),
        ("gigabyte", 1.3, 1024.0 * MB),
    ):
        for action in ("push", "pull"):
            size, bare = (found.get(f"s3/{payload}/{name}/{action}", "added") / value for name in ("custom", "floor"))
            words = f"{PAYLOADS[payload]}: added peak memory by the value, {action}"
            yield Aim(words, f"{most} x", f"{size:.2f} x", size <= most, floor=f"{bare:.2f} x")
    for action in ("push", "pull"):
        cases = ("file/small/custom", "file/small/provider")
        clock, cpu = found.ratio(*cases, action), found.ratio(*cases, f"{action} cpu")
        words = f"100 B dict: {action} by the provider's"
        yield Aim(words, "1 x (not slower)", f"{clock:.2f} x", clock <= 1, f"{cpu:.2f} x", cpu <= 1)
    many = found.found.get("s3/many/custom", {})
    if many:
        clock, cpu = many["last"] / many["first"], many.get("last cpu", NAN) / many.get("first cpu", NAN)
        words = "2,000 x 200 KB: throughput, last tenth by the first"
        yield Aim(words, "flat: 0.9 x", f"{clock:.2f} x", clock >= 0.9, f"{cpu:.2f} x", cpu >= 0.9)
        words = f"{many['grown'] / MB:.1f} MB, {many['connections']:.0f} connections"
        yield Aim("2,000 x 200 KB: growth", "none", words, many["grown"] < 8 * MB and many["connections"] < 1)
    for payload, words in PAYLOADS.items():
        for action in ("push", "pull"):
            cases = (f"s3/{payload}/custom/{action}", f"s3/{payload}/floor/{action}")
            clock, cpu = found.ratio(*cases), found.ratio(*cases, "cpu")
            yield Aim(
                f"{words}: {action} by the floor", "1.3 x", f"{clock:.2f} x", clock <= 1.3, f"{cpu:.2f} x", cpu <= 1.3
            )
    counts = [f"{found.get('s3/requests/custom', action):.0f}" for action in ("push", "pull", "purge")]
    yield Aim("requests per push / pull / purge", "1 / 1 / 1", " / ".join(counts), counts == ["1", "1", "1"])


def cold_aims(found: Measured) -> Iterator[Aim]:
    """Yield what a fresh process, as each task is one, waits for."""
    clouds = {"s3": ("S3", 50), "abfs": ("Azure", 60), "gs": ("Google Cloud Storage", 60), "file": ("a folder", 50)}
    goals = [
        (f"first push and pull of 1 MB, {words}", f"cold/object/{store}/custom", most)
        for store, (words, most) in clouds.items()
    ]
    for what, case, most in (*goals, ("first pull of 100 B", "cold/row/s3/custom", 20)):
        clock, cpu = found.get(case) * 1000, found.get(case, "cpu") * 1000
        bare = found.get(case.replace("custom", "floor")) * 1000
        floor = "" if bare != bare else f"{bare:.0f} ms"
        yield Aim(f"cold: {what}", f"{most} ms", f"{clock:.0f} ms", clock <= most, f"{cpu:.0f} ms", cpu <= most, floor)
    grown, bare = (
        (found.get(f"cold/object/s3/{name}", "added") - found.get("cold/row/s3/custom", "added")) / MB
        for name in ("custom", "floor")
    )
    yield Aim(
        "memory of a task with 1 MB over one with 100 B, S3",
        "10 MB",
        f"{grown:.0f} MB",
        grown <= 10,
        floor=(f"{bare:.0f} MB"),
    )


def times_table(found: Measured, store: str) -> Iterator[str]:
    """Yield the lines of the table of one store."""
    yield "| Payload | Contender | push ms | pull ms | CPU push | CPU pull | peak push MB | peak pull MB | stored MB |"
    yield "| --- | --- | --: | --: | --: | --: | --: | --: | --: |"
    for payload, words in PAYLOADS.items():
        for name in CONTENDERS:
            cases = [f"{store}/{payload}/{name}/{action}" for action in ("push", "pull")]
            if cases[0] not in found.found:
                continue
            if not found.found[cases[0]]:
                yield f"| {words} | {name} | refuses | | | | | | |"
                continue
            cells = [f"{found.get(case, 'seconds') * 1000:,.1f}" for case in cases]
            cells += [f"{found.get(case, 'cpu') * 1000:,.1f}" for case in cases]
            cells += [f"{found.get(case, 'added') / MB:,.0f}" for case in cases]
            cells.append(f"{found.get(cases[0], 'stored') / MB:,.1f}" if store == "s3" else "")
            differs = " (gives back other values)" if f"{store}/{payload}/{name}/differs" in found.found else ""
            yield f"| {words} | {name}{differs} | {' | '.join(cells)} |"


def other_table(found: Measured) -> Iterator[str]:
    """Yield the lines of the table of what is no payload."""
    names = ("default", "provider", "custom", "custom over s3fs", "floor")
    yield "| What | BaseXCom | provider | custom | custom over s3fs | floor |"
    yield "| --- | --: | --: | --: | --: | --: |"
    rows = [
        ("cold: first pull of 100 B, ms", "cold/row/s3/{}", "seconds", 1000.0),
        ("the same by CPU time", "cold/row/s3/{}", "cpu", 1000.0),
        ("the memory it adds, MB", "cold/row/s3/{}", "added", 1 / MB),
        ("100 B dict: push, us", "file/small/{}", "push", 1.0),
        ("100 B dict: pull, us", "file/small/{}", "pull", 1.0),
    ]
    for store in STORES:
        place = "" if store == "s3" else f", {store}"
        rows.append((f"cold: first push and pull of 1 MB{place}, ms", f"cold/object/{store}/{{}}", "seconds", 1000.0))
        rows.append(("the same by CPU time", f"cold/object/{store}/{{}}", "cpu", 1000.0))
        rows.append(("the memory it adds, MB", f"cold/object/{store}/{{}}", "added", 1 / MB))
    for store in ("s3", "file"):
        rows.append((f"2,000 x 200 KB, {store}: pushes a second, first tenth", f"{store}/many/{{}}", "first", 1.0))
        rows.append((f"2,000 x 200 KB, {store}: pushes a second, last tenth", f"{store}/many/{{}}", "last", 1.0))
        rows.append((f"2,000 x 200 KB, {store}: growth of memory, MB", f"{store}/many/{{}}", "grown", 1 / MB))
    rows.append(("2,000 x 200 KB, s3: new connections", "s3/many/{}", "connections", 1.0))
    rows += [(f"requests of a {action} of 1 MB", "s3/requests/{}", action, 1.0) for action in ("push", "pull", "purge")]
    for words, case, number, factor in rows:
        values = [found.get(case.format(name), number) * factor for name in names]
        yield f"| {words} | {' | '.join('' if value != value else f'{value:,.3g}' for value in values)} |"


def steps_table(found: Measured) -> Iterator[str]:
    """Yield the lines of the table of steps."""
    yield "| Payload | Of a | Step | ms of CPU time |"
    yield "| --- | --- | --- | --: |"
    for case, taken in found.found.get("steps", {}).items():
        payload, action, step = case.split("/")
        yield f"| {PAYLOADS[payload]} | {action} | {step} | {taken:.1f} |"


def reader_table(found: Measured) -> Iterator[str]:
    """Yield the lines of the table that says what a user gains."""
    yield "| Value | Push | Pull | Object |"
    yield "| --- | --- | --- | --- |"
    for payload, words in PAYLOADS.items():
        pair = [f"s3/{payload}/{name}" for name in CLASSES]
        cells = [words]
        for action in ("push", "pull"):
            before, after = (found.get(f"{case}/{action}") * 1000 for case in pair)
            faster = found.faster(f"s3/{payload}/{{}}/{action}")
            times = f"{before:,.0f} → {after:,.0f} ms, **{faster:.1f} x**"
            cells.append(f"refuses → {after:,.0f} ms" if isnan(before) else times)
        before, after = (found.get(f"{case}/push", "stored") / MB for case in pair)
        cells.append(f"{after:,.1f} MB" if isnan(before) else f"{before:,.1f} → {after:,.1f} MB")
        yield f"| {' | '.join(cells)} |"
    before, after = (found.get(f"cold/row/s3/{name}") * 1000 for name in CLASSES)
    faster = found.faster("cold/row/s3/{}")
    yield f"| 100 bytes in the database, in a fresh process | | {before:,.0f} → {after:,.0f} ms, **{faster:.0f} x** | |"


def opening(kept: dict[str, Any]) -> Iterator[str]:
    """Yield the chart, three sentences, and the table for readers."""
    found = Measured(kept["measured"])
    frame, array = ([found.faster(f"s3/{name}/{{}}/{act}") for act in ("push", "pull")] for name in ("frame", "array"))
    size = found.ratio("s3/frame/custom/push", "s3/frame/provider/push", "stored")
    yield "![What a push and a pull take with each class, each pair of bars to its own scale](../images/benchmarks.svg)"
    yield ""
    yield (
        f"With the custom class a DataFrame of a million rows is pushed {frame[0]:.1f} and pulled {frame[1]:.1f} times "
        f"as fast as with the provider's, and its object has {size:.0%} of the bytes. "
        f"A NumPy array of 64 MB is pushed {array[0]:.0f} and pulled {array[1]:.0f} times as fast. "
        "A value that stays in the database costs a fresh task "
        f"{found.get('cold/row/s3/custom') * 1000:.0f} ms, not {found.get('cold/row/s3/provider') * 1000:.0f}."
    )
    yield ""
    if "note" in kept:
        yield f"*{kept['note']}*"
        yield ""
    yield "From the provider's class to the custom one, on an S3 server on the same machine:"
    yield ""
    yield from reader_table(found)


def results(kept: dict[str, Any]) -> Iterator[str]:
    """Yield the tables of all that was measured."""
    found = Measured(kept["measured"])
    yield (
        f"{kept['rounds']} rounds, medians. {kept['machine']}. Load of the machine (1 minute): "
        f"{kept['load'][0]:.1f} at the start, {kept['load'][1]:.1f} at the end. A push that is the first of its round "
        f"takes {found.get('order', 'first'):.2f} times the CPU time of the same push later in a round."
    )
    yield from ("", "### S3", "", *times_table(found, "s3"))
    yield from ("", "### A local folder", "", *times_table(found, "file"))
    yield from ("", "### Cold start, small values, many values, requests", "", *other_table(found))
    yield from ("", "### Where the custom class spends its time", "", *steps_table(found))


def aims_table(kept: dict[str, Any]) -> Iterator[str]:
    """Yield the aims that were measured, and how many are met."""
    rows = [row for row in aims(Measured(kept["measured"])) if "nan" not in row.clock]
    yield from (f"{sum(row.met for row in rows)} of {len(rows)} are met.", "")
    yield "| What | Aim | By the clock | Met | By CPU time | Met | The floor, by the clock |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        cpu = ("", "") if "nan" in row.cpu else (row.cpu, WORDS[row.cpu_met])
        cells = (row.what, row.aim, row.clock, WORDS[row.met], *cpu, "" if "nan" in row.floor else row.floor)
        yield f"| {' | '.join(cells)} |"


def picture(found: Measured) -> str:
    """Return bars of the times on the S3 server as SVG: the longer one of each pair has the whole width."""
    left, full, drawn, top = 140, 230, [], 42
    charts = {
        words: [(action, f"s3/{payload}/{{}}/{action}") for action in ("push", "pull")]
        for payload, words in PAYLOADS.items()
    }
    charts["100 bytes in the database"] = [("first pull", "cold/row/s3/{}")]
    for words, cases in charts.items():
        drawn.append(f'<text x="12" y="{top + 14}" class="title">{words}</text>')
        top += 24
        for action, case in cases:
            seconds = {name: found.get(case.format(name)) for name in COLOURS}
            longest = max(value for value in seconds.values() if not isnan(value))
            for name, colour in COLOURS.items():
                width = 0 if isnan(seconds[name]) else max(1, full * seconds[name] / longest)
                label = "refuses" if isnan(seconds[name]) else f"{seconds[name] * 1000:,.0f} ms"
                if name == "custom" and not isnan(seconds["provider"]):
                    label += f", {found.faster(case):.3g} x"
                drawn.append(f'<text x="{left - 6}" y="{top + 12}" text-anchor="end">{action}, {name}</text>')
                drawn.append(f'<rect x="{left}" y="{top}" width="{width:.1f}" height="14" fill="{colour}"/>')
                drawn.append(f'<text x="{left + 6 + width:.1f}" y="{top + 12}">{label}</text>')
                top += 18
            top += 6
        top += 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 {top}" role="img" font-family="sans-serif" '
            'aria-label="Times of a push and a pull with each class" font-size="13">',
            "<style>text{fill:#24292f}.title{font-weight:bold;font-size:14px}</style>",
            f'<rect width="480" height="{top}" fill="#ffffff"/>',
            '<text x="12" y="24">Milliseconds. Each pair of bars has a scale of its own.</text>',
            *drawn,
            "</svg>\n",
        ]
    )


def read() -> dict[str, Any]:
    """Return the record: the machine, its load, the rounds, and the medians by case."""
    kept: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return kept


def record(kept: dict[str, Any]) -> None:
    """Keep what was measured, and write the page."""
    RECORD.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8", newline="\n")
    write()


def render() -> str:
    """Return the page as the record says: what is written by hand stays."""
    parts = {"opening": opening, "results": results, "aims": aims_table}
    kept = read()

    def part(match: re.Match[str]) -> str:
        return match[1] + "\n".join([*parts[match[2]](kept), ""]) + match[3]

    return SECTION.sub(part, PAGE.read_text(encoding="utf-8"))


def write() -> None:
    """Write the page and its chart from the record."""
    PAGE.write_text(render(), encoding="utf-8", newline="\n")
    PICTURE.write_text(picture(Measured(read()["measured"])), encoding="utf-8", newline="\n")
