"""What a check is: its texts are in checks.toml, its function in a checks_*.py, and both meet here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from include.xcom_doctor.situation import Situation

# ok: healthy · warning: works, but costs or risks something · finding: XComs do not land where they should,
# or not safely · skipped: not asked, `seen` says why · error: the check itself broke.
State = Literal["ok", "warning", "finding", "skipped", "error"]
TEXTS = Path(__file__).with_name("checks.toml")
MODULES = ("settings", "class", "path", "values", "connection", "store", "whole", "versions")


@dataclass(frozen=True)
class Outcome:
    """What one check saw. `fix` is left empty to use the one in checks.toml."""

    state: State
    seen: str
    fix: str = ""
    explains: tuple[str, ...] = ()  # variables whose value is wrong because of this finding
    ends: bool = False  # the store has stopped answering: no check after this one asks it
    waits_for: tuple[str, ...] = ()  # not asked: what these checks found has to be fixed first


@dataclass(frozen=True)
class Check:
    """One question to the set-up, as checks.toml has it."""

    id: str
    title: str  # the healthy state, as a statement
    symptom: str  # what a user meets when it is not so
    why: str
    fix: str
    needs: tuple[str, ...] = ()  # checks that must be healthy, and variables that no other check explains
    network: bool = False  # asks the store: left out by --offline, and given a deadline


@dataclass(frozen=True)
class Result:
    """One entry of the report; `symptom`, `why` and `fix` only where something is wrong."""

    check: str
    title: str
    state: State
    seen: str
    symptom: str = ""
    why: str = ""
    fix: str = ""
    waits_for: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class UnknownCheckError(Exception):
    """A word after --only with which no check ID begins."""


class NotAskedError(Exception):
    """A question that makes no sense here; its text says why."""


Function = Callable[["Situation"], Outcome]
_FUNCTIONS: dict[str, Function] = {}


def check(function: Function) -> Function:
    """Register a function as the check of its name: `path_set` answers for `[path.set]` in checks.toml."""
    _FUNCTIONS[function.__name__.replace("_", ".", 1)] = function
    return function


def read_checks() -> dict[str, Check]:
    """The texts of all checks, in the order of the report."""
    groups = tomllib.loads(TEXTS.read_text(encoding="utf-8"))
    texts = {f"{group}.{name}": one for group, checks in groups.items() for name, one in checks.items()}

    def asks_the_store(name: str) -> bool:
        return "network" in texts[name] or any(
            asks_the_store(need) for need in texts[name].get("needs", []) if need in texts
        )

    return {
        name: Check(name, **{**one, "needs": tuple(one.get("needs", ())), "network": asks_the_store(name)})
        for name, one in texts.items()
    }


def functions() -> dict[str, Function]:
    """The function of each check, by its ID."""
    for module in MODULES:
        import_module(f"include.xcom_doctor.checks_{module}")
    return _FUNCTIONS


def ok(seen: str) -> Outcome:
    """Healthy."""
    return Outcome("ok", seen)


def finding(seen: str, fix: str = "", explains: tuple[str, ...] = ()) -> Outcome:
    """Not healthy: the doctor ends with exit code 1."""
    return Outcome("finding", seen, fix, explains)


def warning(seen: str, fix: str = "") -> Outcome:
    """Works today, but costs or risks something: the exit code stays 0."""
    return Outcome("warning", seen, fix)


def plural(count: int, thing: str) -> str:
    """`1 object`, `2 objects`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
