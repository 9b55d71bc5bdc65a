"""Writes docs/reference/fire.md from records/fire.json: what each fault did to each backend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tools.environments import ROOT

OUTCOMES = ROOT / "records" / "fire.json"
PAGE = ROOT / "docs" / "reference" / "fire.md"
NAMES = {"custom": "custom class", "provider": "provider's backend"}
LONGEST = 240  # characters of a message

HEAD = """# Faults: what survives

<!-- written by `make record ONLY=fire`: do not edit -->

`make e2e ONLY=fire` runs Airflow with all its components as separate processes: API server, scheduler, Dag processor,
and a worker for each backend that forks a supervised task for each try. Metadata is in PostgreSQL, objects on a real S3
server that checks signatures (rclone), and between tasks and store is a proxy that hurts what goes through it. A task
pushes 270 KB, the next one pulls it and compares. Then the test looks whether every object that a row names is there.

The rule for the custom class, which the tests hold it to: **the value, or a task that failed with the reason; never a
wrong value, never a hang, never a lost object that a row names**. For the provider's backend, the tests only
compare what happens with this page.

*Seconds* are those of the whole run on a busy machine, with its waiting: a pair without a fault is the first line.
`AIRFLOW__XCOM_BACKEND__RETRY_DEADLINE` is {deadline} seconds here, not 60. A message ends in … where it was too long
for the table.
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a case with one backend.

    :param kind: ``value``, ``failed with the reason``, ``failed without a reason``, ``WRONG VALUE``, ``HANGS`` or
        ``LOST OBJECT``
    :param seen: what the user sees
    """

    kind: str
    seconds: float
    seen: str


@dataclass(frozen=True)
class Recorded:
    """A case and what became of it, by backend."""

    title: str
    outcomes: dict[str, Outcome]


def read() -> dict[str, Recorded]:
    """Return the recorded cases by name."""
    cases = json.loads(OUTCOMES.read_text(encoding="utf-8"))["cases"]
    return {
        name: Recorded(case["title"], {key: Outcome(**value) for key, value in case["outcomes"].items()})
        for name, case in cases.items()
    }


def record(titles: Mapping[str, str], outcomes: Mapping[str, Mapping[str, Outcome]], deadline: int) -> None:
    """Record outcomes and write the page; cases that were not played stay as they were.

    :param titles: of all cases, in their order
    :param deadline: seconds of the custom class for all tries of a request
    """
    known = {name: case.outcomes for name, case in read().items()}
    merged = {name: outcomes.get(name) or known[name] for name in titles if name in outcomes or name in known}
    cases: dict[str, Any] = {}
    for name, row in merged.items():
        told = {key: {**asdict(value), "seconds": round(value.seconds)} for key, value in row.items()}
        cases[name] = {"title": titles[name], "outcomes": told}
    text = json.dumps({"deadline": deadline, "cases": cases}, indent=2, ensure_ascii=False)
    OUTCOMES.write_text(text + "\n", encoding="utf-8", newline="\n")
    write()


def write() -> None:
    """Write the page from the record."""
    PAGE.write_text(render(), encoding="utf-8", newline="\n")


def render() -> str:
    """Return the page."""
    cases, deadline = read(), json.loads(OUTCOMES.read_text(encoding="utf-8"))["deadline"]
    lines = [
        HEAD.format(deadline=deadline),
        summary({name: case.outcomes for name, case in cases.items()}),
        "## Each fault\n",
        "| What is done | Backend | Outcome | Seconds | What the user sees |",
    ]
    lines += ["| --- | --- | --- | --: | --- |"]
    for case in cases.values():
        for number, (backend, outcome) in enumerate(sorted(case.outcomes.items())):
            title = case.title if not number else ""
            lines.append(
                f"| {cell(title)} | {NAMES[backend]} | {emphasis(outcome.kind)} | {outcome.seconds:.0f} | "
                f"{cell(shorten(outcome.seen))} |"
            )
    return "\n".join(lines) + "\n"


def summary(outcomes: dict[str, dict[str, Outcome]]) -> str:
    """Return how often each outcome was, by backend."""
    lines = ["## In numbers", "", "| Outcome | " + " | ".join(NAMES.values()) + " |", "| --- | --: | --: |"]
    kinds = sorted({outcome.kind for row in outcomes.values() for outcome in row.values()}, key=str.lower)
    for kind in kinds:
        counts = [sum(row[key].kind == kind for row in outcomes.values() if key in row) for key in NAMES]
        lines.append(f"| {emphasis(kind)} | {counts[0]} | {counts[1]} |")
    return "\n".join(lines) + "\n"


def emphasis(kind: str) -> str:
    """Return an outcome, loud if it is a bad one."""
    return f"**{kind.lower()}**" if kind.isupper() or "without" in kind else kind


def shorten(text: str) -> str:
    """Return a message that fits into a table."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()}…"


def cell(text: str) -> str:
    """Return text as a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
