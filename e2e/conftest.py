"""What the end-to-end tests share: they run the emitted project among real servers and real tools."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slice: what .ci/run runs of the end-to-end tests")
