"""Each fault with each backend: the custom class gives the value, or a task that failed with the reason."""

from __future__ import annotations

import os

import pytest

from e2e.fire.cases import CASES, Outcomes, backends_of
from tools.pages.fire import read

GOOD = {"value", "failed with the reason"}
PAIRS = [
    pytest.param(name, backend, id=f"{name}-{backend}", marks=[pytest.mark.slice] if case.slice else [])
    for name, case in CASES.items()
    for backend in backends_of(case)
]


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_case(name: str, backend: str, outcomes: Outcomes) -> None:
    outcome = outcomes(name, backend)
    print(f"{CASES[name].title}: {backend}: {outcome.kind} after {outcome.seconds:.0f} s. {outcome.seen}")
    if backend == "custom":
        assert outcome.kind in GOOD, outcome
    if not os.environ.get("FIRE_RECORD") and not (CASES[name].either and outcome.kind in GOOD):
        recorded = read()[name].outcomes[backend]
        assert outcome.kind == recorded.kind, f"docs/reference/fire.md tells something else: {outcome}"
