"""docs/reference/fire.md tells of every fault with every backend, as it was recorded."""

from __future__ import annotations

from e2e.fire.cases import CASES
from tools.pages.fire import PAGE, backends_of, read, render


def test_every_case_is_recorded_and_no_other() -> None:
    recorded = {name: set(row) for name, row in read().items()}
    assert recorded == {name: set(backends_of(case)) for name, case in CASES.items()}, "run `make fire`"


def test_page_is_what_was_recorded() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(read()), "run `make fire`"


def test_custom_class_keeps_its_rule() -> None:
    kinds = {name: row["custom"].kind for name, row in read().items() if "custom" in row}
    assert set(kinds.values()) == {"value", "failed with the reason"}, kinds


def test_the_ten_worst_are_in_the_slice() -> None:
    assert sum(case.slice for case in CASES.values()) >= 10
