"""Writes docs/reference/fire.md, and records/fire.json that it is made from: what each fault did to each backend."""

from __future__ import annotations

import json
from dataclasses import asdict

from e2e.fire.cases import CASES, Case, Outcome
from e2e.fire.site import BACKENDS, DEADLINE
from tools.baking import ROOT

OUTCOMES = ROOT / "records" / "fire.json"
PAGE = ROOT / "docs" / "reference" / "fire.md"
NAMES = {"custom": "custom class", "provider": "provider's backend"}
LONGEST = 240  # characters of a message

HEAD = f"""# Under fire

<!-- written by `make fire`: do not edit -->

`make e2e ONLY=fire` runs Airflow with all its components as separate processes: API server, scheduler, Dag processor,
and a worker for each backend that forks a supervised task for each try. Metadata is in PostgreSQL, objects on a real S3
server that checks signatures (rclone), and between tasks and store is a proxy that hurts what goes through it. A task
pushes 270 KB, the next one pulls it and compares. Then the test looks whether every object that a row names is there.

The rule for the custom class, which the tests hold it to: **the value, or a task that failed with the reason; never a
wrong value, never a hang, never a lost object that a row names**. For the provider's backend, the tests only
compare what happens with this page.

*Seconds* are those of the whole run on a busy machine, with its waiting: a pair without a fault is the first line.
`AIRFLOW__XCOM_BACKEND__RETRY_DEADLINE` is {DEADLINE} seconds here, not 60. A message ends in … where it was too long
for the table.
"""


def backends_of(case: Case) -> list[str]:
    """Return the backends that a case is for."""
    return [case.only] if case.only else list(BACKENDS)


def read() -> dict[str, dict[str, Outcome]]:
    """Return the recorded outcomes by case and backend."""
    recorded = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    return {name: {key: Outcome(**value) for key, value in row.items()} for name, row in recorded.items()}


def write(outcomes: dict[str, dict[str, Outcome]]) -> None:
    """Record outcomes and write the page; cases that were not played stay as they were."""
    known = read() if OUTCOMES.exists() else {}
    merged = {name: outcomes.get(name) or known[name] for name in CASES if name in outcomes or name in known}
    rows = {name: {key: asdict(value) for key, value in row.items()} for name, row in merged.items()}
    for row in rows.values():
        for value in row.values():
            value["seconds"] = round(value["seconds"])
    OUTCOMES.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(render(read()), encoding="utf-8")


def render(outcomes: dict[str, dict[str, Outcome]]) -> str:
    """Return the page."""
    lines = [HEAD, "| What is done | Backend | What becomes of it | Seconds | What the user sees |"]
    lines += ["| --- | --- | --- | --: | --- |"]
    for name, row in outcomes.items():
        for number, (backend, outcome) in enumerate(sorted(row.items())):
            title = CASES[name].title if not number else ""
            lines.append(
                f"| {cell(title)} | {NAMES[backend]} | {emphasis(outcome.kind)} | {outcome.seconds:.0f} | "
                f"{cell(shorten(outcome.seen))} |"
            )
    return "\n".join(lines) + "\n\n" + summary(outcomes)


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
