"""Turns results into a table for people, lines for a task log, and JSON for machines."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.xcom_doctor.registry import Result, exit_code

MARKS = {"ok": "✓", "warning": "!", "finding": "✗", "skipped": "·", "error": "?"}
STYLES = {"ok": "green", "warning": "yellow", "finding": "bold red", "skipped": "dim", "error": "magenta"}


def summary(results: Sequence[Result]) -> str:
    """One line: how many of each."""
    count = Counter(result.state for result in results)
    told = [
        f"{count['finding']} findings",
        f"{count['warning']} warnings",
        f"{count['ok']} healthy",
        f"{count['skipped']} not asked",
    ]
    if count["error"]:
        told.append(f"{count['error']} checks broke")
    return ", ".join(told)


def as_table(results: Sequence[Result]) -> Table:
    """Each check: healthy or not, what was seen, why it matters, the line that mends it."""
    table = Table(title="XCom doctor", caption=summary(results), expand=False, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("seen", overflow="fold", ratio=3)
    table.add_column("why it matters, and → what mends it", overflow="fold", ratio=4)
    for result in results:
        if result.state == "skipped":
            continue
        style = STYLES[result.state]
        advice = Text(result.why)
        if result.mend:
            for line in result.mend.splitlines():
                advice.append(f"\n→ {line}", style="bold")
        # Text, not markup: rich would eat [brackets] in a value.
        table.add_row(
            Text(MARKS[result.state], style),
            Text(result.check, style),
            Text(result.seen),
            advice,
            end_section=bool(result.mend),
        )
    for reason, checks in _unasked(results).items():
        table.add_row(
            Text(MARKS["skipped"], "dim"), Text("not asked", "dim"), Text(reason, "dim"), Text(", ".join(checks), "dim")
        )
    return table


def _unasked(results: Sequence[Result]) -> dict[str, list[str]]:
    """The checks that were left out, by reason: one row for each reason is enough."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.state == "skipped":
            reasons.setdefault(result.seen, []).append(result.check)
    return reasons


def as_text(results: Sequence[Result], width: int = 150) -> str:
    """The table without colours, for a log."""
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, legacy_windows=False).print(as_table(results))
    return text.getvalue()


def as_json(results: Sequence[Result], airflow: str) -> str:
    """One object: `healthy`, `exit_code`, `airflow`, `results`."""
    code = exit_code(results)
    document = {
        "healthy": code == 0,
        "exit_code": code,
        "airflow": airflow,
        "results": [result.as_dict() for result in results],
    }
    return json.dumps(document, indent=2)
