"""docs/reference/benchmarks.md and its chart are what was recorded."""

from __future__ import annotations

import re

import pytest

from tools.pages import benchmarks


def test_page_is_what_was_recorded() -> None:
    page = benchmarks.render()
    assert benchmarks.PAGE.read_text(encoding="utf-8") == page, "run `make update`"
    assert [match[2] for match in benchmarks.SECTION.finditer(page)] == ["opening", "results", "aims"]


def test_bars_are_as_long_as_what_they_show() -> None:
    found = benchmarks.Measured(benchmarks.read()["measured"])
    chart = benchmarks.picture(found)
    assert benchmarks.PICTURE.read_text(encoding="utf-8") == chart, "run `make update`"
    array = chart.partition("NumPy array")[2]
    provider, custom = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', array)[:2])
    times = found.ratio("s3/array/provider/push", "s3/array/custom/push")
    assert provider / custom == pytest.approx(times, rel=0.02)
