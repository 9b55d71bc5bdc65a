"""docs/reference/fire.md tells of every fault with every backend, as it was recorded."""

from __future__ import annotations

from e2e.fire.cases import CASES, backends_of
from tools.pages.fire import PAGE, read, render


def test_every_case_is_recorded_and_no_other() -> None:
    recorded = {name: set(case.outcomes) for name, case in read().items()}
    assert recorded == {name: set(backends_of(case)) for name, case in CASES.items()}, "run `make record ONLY=fire`"


def test_page_is_what_was_recorded() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `make record ONLY=fire`"
