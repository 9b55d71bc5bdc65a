"""The script that moves pins finds every pin of cookiecutter.json, and changes the one that it should."""

from __future__ import annotations

import json
import re

import pytest

from tools import versions
from tools.baking import CONFIG, ROOT
from tools.versions import Pin, pins

TEXT = (ROOT / "cookiecutter.json").read_text(encoding="utf-8")
NOT_LOOKED_UP = set(CONFIG["_astro_sdk"]["requirements"] + CONFIG["_astro_sdk"]["requirements_no_deps"])


@pytest.mark.parametrize("pin", list(pins(CONFIG)), ids=lambda pin: f"{pin.place} {pin.package}")
def test_a_moved_pin_is_the_only_change(pin: Pin) -> None:
    after = versions.moved(TEXT, pin, "99.1.2")
    places = [(before, now) for before, now in zip(TEXT.splitlines(), after.splitlines(), strict=True) if before != now]
    before, now = places[0]
    assert all(pin.version in line for line, _ in places)  # a pin may stand in two tables
    assert now == before.replace(pin.version, "99.1.2")
    assert "99.1.2" in [found.version for found in pins(json.loads(after)) if found.place == pin.place]


def test_no_pin_is_forgotten() -> None:
    known = {pin.version for pin in pins(CONFIG)}
    named = {name for name in re.findall(r'"([\w.\[\]-]+==[\w.]+)"', TEXT) if name not in NOT_LOOKED_UP}
    assert named
    assert {name.split("==")[1] for name in named} <= known
