"""docs/reference/fire.md tells of every fault with every backend, as it was recorded."""

from __future__ import annotations

from e2e.fire.cases import CASES, backends_of
from tools.pages.fire import PAGE, read, render


def test_every_case_is_recorded_and_no_other() -> None:
    recorded = {name: set(case.outcomes) for name, case in read().items()}
    assert recorded == {name: set(backends_of(case)) for name, case in CASES.items()}, "run `make record ONLY=fire`"


def test_page_is_what_was_recorded() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `make record ONLY=fire`"


def test_custom_class_keeps_its_rule() -> None:
    kinds = {name: case.outcomes["custom"].kind for name, case in read().items() if "custom" in case.outcomes}
    assert set(kinds.values()) == {"value", "failed with the reason"}, kinds


def test_the_ten_worst_are_in_the_slice() -> None:
    assert sum(case.slice for case in CASES.values()) >= 10
