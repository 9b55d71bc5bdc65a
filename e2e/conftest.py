"""What the end-to-end tests share: they run the emitted project among real servers and real tools."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slice: what .ci/run runs of the end-to-end tests")
