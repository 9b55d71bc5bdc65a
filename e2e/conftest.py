"""What the end-to-end tests share: they run the emitted project among real servers and real tools."""

from __future__ import annotations

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # As Ctrl+C does: fixtures end the processes that they have started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    config.addinivalue_line("markers", "slice: what .ci/run runs of the end-to-end tests")
