"""The page of least privilege says what the emitted project does with exactly its rights, and without each."""

from __future__ import annotations

import pytest

from tools.baking import ROOT
from tools.pages import least_privilege

PAGE = (ROOT / "docs" / "reference" / "least-privilege.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("cloud", least_privilege.CLOUDS)
def test_the_page_is_what_a_run_shows(cloud: str) -> None:
    results = dict(least_privilege.prove(cloud))
    assert "".join(least_privilege.section(cloud, results)) in PAGE, "make record ONLY=least-privilege"
    for result in results.values():
        wrong = {step: one["said"] for step, one in result["all"].items() if one["said"] not in ("ok", "-")}
        assert set(wrong) <= {"broken"}


def test_the_words_of_the_page_are_those_of_its_maker() -> None:
    assert PAGE.startswith(least_privilege.HEAD)
    assert PAGE.endswith(least_privilege.TAIL)
