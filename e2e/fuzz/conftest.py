"""Bakes the project whose code is fuzzed, and installs the fuzzer beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests")) if path not in sys.path]

from baking import bake  # noqa: E402

from requirements.environment import project_environment  # noqa: E402


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a baked project with the custom class."""
    home = tmp_path_factory.mktemp("fuzz")
    return bake(home, home / "bake", {"cloud": "aws", "xcom_backend": "custom"}, accept_hooks=False)


@pytest.fixture(scope="session")
def python(project: Path) -> Path:
    """Return the Python that has what the project asks for, and the fuzzer."""
    return project_environment("fuzz", [project / "requirements-dev.txt", Path(__file__).parent / "requirements.txt"])
