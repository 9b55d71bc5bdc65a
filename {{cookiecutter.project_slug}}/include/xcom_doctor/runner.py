"""Runs the checks, one after the other, each behind what it needs; what asks the store has a deadline."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from graphlib import TopologicalSorter

from include.xcom_doctor import probe
from include.xcom_doctor.deadline import DeadlineError, with_deadline
from include.xcom_doctor.model import (
    Check,
    NotAskedError,
    Outcome,
    Result,
    UnknownCheckError,
    finding,
    functions,
    read_checks,
)
from include.xcom_doctor.situation import Situation

Progress = Callable[[Result], None]


def examine(
    situation: Situation, only: Iterable[str] = (), offline: bool = False, progress: Progress | None = None
) -> list[Result]:
    """Run the checks and return one result each, in the order of checks.toml; the store is left clean.

    :param only: how check IDs begin, such as `path` or `rights.write`; empty for all. What these need is asked too.
    :param offline: leave out what asks the store
    :param progress: called with each result as it comes in
    :raises UnknownCheckError: if no check ID begins with a word of `only`
    """
    checks = read_checks()
    chosen = choose(checks, tuple(only))
    results: dict[str, Result] = {}
    examination = _Examination(situation, offline)
    try:
        for name in in_order_of_need(checks, chosen):
            results[name] = examination.ask(checks[name], results)
            if progress:
                progress(results[name])
    finally:
        left = probe.clean_up(situation)
    untold = [key for key in left if not any(key in result.seen for result in results.values())]
    if untold:
        told = finding(f"left behind: {', '.join(untold)}")
        results["rights.delete"] = examination.result(checks["rights.delete"], told)
    return [results[name] for name in checks if name in results]


def compute_check(name: str, situation: Situation) -> Outcome:
    """What one check says, without asking those that it needs: for tests."""
    return functions()[name](situation)


def exit_code(results: Iterable[Result]) -> int:
    """0: healthy · 1: findings · 2: a check itself broke."""
    states = {result.state for result in results}
    return 2 if "error" in states else 1 if "finding" in states else 0


def choose(checks: dict[str, Check], only: tuple[str, ...]) -> set[str]:
    """The checks whose ID begins with a word of `only`, and all that these need.

    :raises UnknownCheckError: if a word of `only` begins no ID
    """
    for word in only:
        if not any(name.startswith(word) for name in checks):
            words = [*checks, *{name.partition(".")[0] for name in checks}]
            close = difflib.get_close_matches(word, words, 3, 0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(checks)}"
            raise UnknownCheckError(f"--only {word}: no check begins so; {hint}")
    chosen = {name for name in checks if not only or name.startswith(only)}
    pending = list(chosen)
    while pending:
        more = {need for need in checks[pending.pop()].needs if need in checks} - chosen
        chosen |= more
        pending += more
    return chosen


def in_order_of_need(checks: dict[str, Check], chosen: set[str]) -> list[str]:
    """The order of checks.toml, but each check behind those that it needs. A need that is a variable is no check."""
    graph = {name: [need for need in checks[name].needs if need in chosen] for name in checks if name in chosen}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    place = {name: number for number, name in enumerate(checks)}
    ready: set[str] = set()
    order = []
    while sorter.is_active():
        ready |= set(sorter.get_ready())
        name = min(ready, key=place.__getitem__)
        ready.remove(name)
        sorter.done(name)
        order.append(name)
    return order


class _Examination:
    """What the checks before have found out for those that follow."""

    def __init__(self, situation: Situation, offline: bool) -> None:
        self.situation, self.offline = situation, offline
        self.functions = functions()
        self.explained: dict[str, str] = {}  # variable -> the check that says why its value is wrong
        self.silent = ""  # the check that waited in vain: the others would, too

    def ask(self, one: Check, results: dict[str, Result]) -> Result:
        """Run a check, unless something that it needs has to be fixed first."""
        first = [name for name in one.needs if name in results and results[name].state in ("finding", "error")]
        first += [check for need in one.needs for name, check in self.explained.items() if name.startswith(need)]
        first += [root for need in one.needs if need in results for root in results[need].waits_for]
        first += [self.silent] if one.network and self.silent else []
        if first:
            first = list(dict.fromkeys(first))
            return self.result(one, Outcome("skipped", f"fix first: {', '.join(first)}", waits_for=tuple(first)))
        if one.network and self.offline:
            return self.result(one, Outcome("skipped", "--offline"))
        started = time.monotonic()
        outcome = self._run(one)
        self.explained.update(dict.fromkeys(outcome.explains, one.id))
        self.silent = one.id if outcome.ends else self.silent
        return replace(self.result(one, outcome), seconds=round(time.monotonic() - started, 3))

    def _run(self, one: Check) -> Outcome:
        situation, function = self.situation, self.functions[one.id]
        try:
            return (
                with_deadline(lambda: function(situation), situation.deadline) if one.network else function(situation)
            )
        except NotAskedError as reason:
            return Outcome("skipped", str(reason))
        except DeadlineError:
            return probe.no_answer(situation)
        except Exception as error:
            broke = Outcome("error", f"the check itself broke: {type(error).__name__}: {error}")
            return (probe.refused(situation, error) if one.network else None) or broke

    def result(self, one: Check, outcome: Outcome) -> Result:
        """Fill in the texts of the check, and mask every secret: nothing leaves the doctor except through here."""
        hide, ill = self.situation.mask, outcome.state in ("finding", "warning")
        texts = (one.symptom, hide(one.why), hide(outcome.fix or one.fix)) if ill else ("", "", "")
        return Result(one.id, one.title, outcome.state, hide(outcome.seen), *texts, outcome.waits_for)
