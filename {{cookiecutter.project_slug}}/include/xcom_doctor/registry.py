"""What a check is, the registry that holds them all, and the runner that gives each one a deadline."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass, field, replace
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from include.xcom_doctor.situation import Situation

# ok: healthy · warning: works, but costs or risks something · finding: XComs do not land where they should,
# or not safely · skipped: could not be asked here, `seen` says why · error: the check itself broke.
State = Literal["ok", "warning", "finding", "skipped", "error"]
T = TypeVar("T")

# The modules that hold the checks, in the order of the report.
MODULES = (
    "checks_settings",  # first: what these explain, the others do not report a second time
    "checks_class",
    "checks_path",
    "checks_threshold",
    "checks_compression",
    "checks_connection",
    "checks_rights",
    "checks_mirror",
    "checks_custom",
    "checks_roundtrip",
    "checks_references",
    "checks_versions",
)


@dataclass(frozen=True)
class Outcome:
    """What one check saw. `why` and `mend` are left empty to use those of the check."""

    state: State
    seen: str
    mend: str = ""
    why: str = ""
    bars: bool = False  # skipped, and so is everything that needs this check


@dataclass(frozen=True)
class Check:
    """One question to the set-up; the texts are also the troubleshooting page."""

    id: str
    title: str  # the healthy state, as a statement
    symptom: str  # what a user meets when it is not so
    why: str
    mend: str
    run: Callable[[Situation], Outcome]
    network: bool = False  # runs beside the others, under a deadline
    reads: tuple[str, ...] = ()  # variables; not asked when an earlier check explains one of them
    needs: tuple[str, ...] = ()  # checks that must not have a finding, nor be barred by another's
    unless: tuple[str, ...] = ()  # checks that must not have a finding, nor wait for one to be mended
    after: tuple[str, ...] = ()  # checks that must have ended, whatever they found


@dataclass(frozen=True)
class Result:
    """One line of the report."""

    check: str
    title: str
    state: State
    seen: str
    symptom: str = ""
    why: str = ""
    mend: str = ""
    seconds: float = field(default=0.0, compare=False)
    bars: bool = field(default=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        fields = asdict(self)
        fields.pop("bars")
        return fields


class DeadlineError(Exception):
    """A library call that did not come back in time."""


CHECKS: dict[str, Check] = {}
_FIRST_MEND = "not asked: first mend"


def ok(seen: str) -> Outcome:
    """Healthy."""
    return Outcome("ok", seen)


def finding(seen: str, mend: str = "", why: str = "") -> Outcome:
    """Not healthy: the doctor ends with exit code 1."""
    return Outcome("finding", seen, mend, why)


def warning(seen: str, mend: str = "", why: str = "") -> Outcome:
    """Works today, but costs or risks something: the exit code stays 0."""
    return Outcome("warning", seen, mend, why)


def skip(seen: str) -> Outcome:
    """Cannot be asked here; `seen` says why."""
    return Outcome("skipped", seen)


def bar(seen: str) -> Outcome:
    """Cannot be asked here, nor can anything that needs it."""
    return Outcome("skipped", seen, bars=True)


def check(name: str, **texts: Any) -> Callable[[Callable[[Situation], Outcome]], Callable[[Situation], Outcome]]:
    """Register the function below as the check `name`; `texts` are the fields of `Check`."""

    def register(function: Callable[[Situation], Outcome]) -> Callable[[Situation], Outcome]:
        if name in CHECKS:
            raise ValueError(f"two checks are called {name}")
        CHECKS[name] = Check(id=name, run=function, **texts)
        return function

    return register


def load_checks() -> dict[str, Check]:
    """Import every module of checks once; the order is that of the report."""
    for module in MODULES:
        importlib.import_module(f"include.xcom_doctor.{module}")
    return CHECKS


def with_deadline(call: Callable[[], T], seconds: float) -> T:
    """Run `call` in a daemon thread and wait at most `seconds`, so that a hung library cannot hold the exit.

    :raises DeadlineError: when it has not come back; the thread is left behind and dies with the process
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True, name="xcom-doctor-probe").start()
    try:
        return future.result(timeout=seconds)
    except FutureTimeout:
        if future.done():  # the call itself raised a TimeoutError: an answer, not a hang
            raise
        raise DeadlineError(f"no answer within {seconds:g} s") from None


def examine(
    situation: Situation,
    only: Iterable[str] = (),
    offline: bool = False,
    progress: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Run the checks and return one result each, in the order of the registry.

    :param only: prefixes of check ids, such as `path` or `rights.write`; empty for all
    :param offline: leave out what needs the network
    :param progress: called with each result as it comes in, from any thread
    """
    chosen = _choose(load_checks(), tuple(only))
    futures: dict[str, Future[Result]] = {one.id: Future() for one in chosen}
    for one in chosen:
        if one.network and not offline:
            Thread(target=_settle, args=(one, situation, futures, progress), daemon=True).start()
    for one in _in_order_of_need(chosen):
        if offline and one.network:
            futures[one.id].set_result(_result(one, bar("not asked: --offline"), situation))
        elif not one.network:
            _settle(one, situation, futures, progress)
    return [futures[one.id].result() for one in chosen]


def _in_order_of_need(chosen: list[Check]) -> list[Check]:
    """The order of the registry, but each check behind all that it waits for.

    The thread that runs the checks without network would wait forever for one that it has yet to run.
    """
    by_name = {one.id: one for one in chosen}
    ordered: dict[str, Check] = {}

    def add(one: Check) -> None:
        for name in (*one.after, *_before(one)):
            if name in by_name and name not in ordered:
                add(by_name[name])
        ordered[one.id] = one

    for one in chosen:
        add(one)
    return list(ordered.values())


def exit_code(results: Iterable[Result]) -> int:
    """0: healthy · 1: findings · 2: a check itself broke."""
    states = {result.state for result in results}
    if "error" in states:
        return 2
    return 1 if "finding" in states else 0


def _choose(checks: dict[str, Check], only: tuple[str, ...]) -> list[Check]:
    """The checks whose id begins with one of `only`, and all that these depend on."""
    wanted = {name for name in checks if not only or name.startswith(only)}
    pending = list(wanted)
    while pending:
        for name in _before(checks[pending.pop()]):
            if name not in wanted:
                wanted.add(name)
                pending.append(name)
    return [one for one in checks.values() if one.id in wanted]


def _before(one: Check) -> tuple[str, ...]:
    return (*one.needs, *one.unless)


def _settle(
    one: Check,
    situation: Situation,
    futures: dict[str, Future[Result]],
    progress: Callable[[Result], None] | None,
) -> None:
    """Run a check and put its result where others wait for it: also of one that broke, or they would wait for ever."""
    try:
        result = _outcome(one, situation, futures)
    except Exception as error:
        result = Result(one.id, one.title, "error", f"the check itself broke: {type(error).__name__}")
    futures[one.id].set_result(result)
    if progress:
        progress(result)


def _outcome(one: Check, situation: Situation, futures: dict[str, Future[Result]]) -> Result:
    """Wait for what `one` depends on, and run it, unless that already says enough."""
    for name in one.after:
        if name in futures:
            futures[name].result()
    sick = [name for name in _before(one) if futures[name].result().state in ("finding", "error")]
    sick += [situation.explained[name] for name in one.reads if name in situation.explained]
    unasked = [name for name in one.needs if futures[name].result().bars]
    unasked += [name for name in one.unless if futures[name].result().seen.startswith(_FIRST_MEND)]
    if sick:
        return _result(one, bar(f"{_FIRST_MEND} {', '.join(dict.fromkeys(sick))}"), situation)
    if unasked:
        return _result(one, bar(futures[unasked[0]].result().seen), situation)
    return _run(one, situation)


def _run(one: Check, situation: Situation) -> Result:
    started = time.monotonic()
    try:
        outcome = with_deadline(lambda: one.run(situation), situation.deadline) if one.network else one.run(situation)
    except DeadlineError:
        outcome = situation.no_answer()
    except Exception as error:
        broke = Outcome("error", f"the check itself broke: {type(error).__name__}: {error}")
        outcome = (situation.broken_answer(error) if one.network else None) or broke
    result = _result(one, outcome, situation)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _result(one: Check, outcome: Outcome, situation: Situation) -> Result:
    """Fill in the texts of the check, and mask every secret: nothing leaves the doctor except through here."""
    hide = situation.mask
    ill = outcome.state in ("finding", "warning")
    return Result(
        check=one.id,
        title=one.title,
        state=outcome.state,
        seen=hide(outcome.seen),
        symptom=one.symptom if ill else "",
        why=hide(outcome.why or one.why) if ill else "",
        mend=hide(outcome.mend or one.mend) if ill else "",
        bars=outcome.bars,
    )
