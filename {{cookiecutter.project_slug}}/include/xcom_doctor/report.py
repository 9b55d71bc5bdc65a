"""Turns results into what people read, findings first, and into JSON for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.text import Text

from include.xcom_doctor.model import Result, plural
from include.xcom_doctor.runner import exit_code

MARKS = {"error": "?", "finding": "✗", "warning": "!", "ok": "✓", "skipped": "·"}
STYLES = {"error": "magenta", "finding": "bold red", "warning": "yellow", "ok": "green", "skipped": "dim"}


def summary(results: Sequence[Result]) -> str:
    """One line: how many of each."""
    count = Counter(result.state for result in results)
    told = [plural(count["finding"], "finding"), plural(count["warning"], "warning")]
    told += [plural(count["error"], "broken check")] if count["error"] else []
    told += [f"{count['skipped']} not asked"] if count["skipped"] else []
    return ", ".join((*told, f"{count['ok']} healthy"))


def as_text(results: Sequence[Result], everything: bool = False) -> Text:
    """A block for each finding and warning, at full width, so that a fix can be copied; then how many are healthy.

    :param everything: also a line for each check that is healthy or was not asked
    """
    text = Text()
    for state in ("error", "finding", "warning"):
        for result in results:
            if result.state == state:
                text.append_text(_block(result))
    if everything:
        for state in ("ok", "skipped"):
            text.append_text(Text("").join(_line(result) for result in results if result.state == state))
            text.append("\n" if any(result.state == state for result in results) else "")
    else:
        text.append_text(Text("").join(_not_asked(results)))
    text.append(summary(results), "bold")
    return text.append("" if everything else ": `--all` shows them")


def _block(result: Result) -> Text:
    """What was seen, why it matters, and the fix, each line of it on a line of its own."""
    text = _line(result)
    if result.why:
        text.append(f"  {result.why}\n", "dim")
    for line in result.fix.splitlines():
        text.append("  Fix: ", "green").append(f"{line}\n", "bold")
    return text.append("\n")


def _line(result: Result) -> Text:
    return Text().append(f"{MARKS[result.state]} {result.check}: ", STYLES[result.state]).append(f"{result.seen}\n")


def _not_asked(results: Sequence[Result]) -> Iterator[Text]:
    """The checks that wait for a fix: a line for each fix. What makes no sense here is no news."""
    waiting = Counter(", ".join(result.waits_for) for result in results if result.waits_for)
    for reason, count in waiting.items():
        yield Text(f"{MARKS['skipped']} {plural(count, 'check')} not asked: fix first {reason}\n\n", "dim")


def as_json(results: Sequence[Result], airflow: str) -> str:
    """One object: `healthy`, `exit_code`, `airflow`, `results`."""
    code = exit_code(results)
    document = {"healthy": code == 0, "exit_code": code, "airflow": airflow}
    return json.dumps({**document, "results": [result.as_dict() for result in results]}, indent=2)
