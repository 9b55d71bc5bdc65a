"""Bakes the project whose code is fuzzed, and installs the fuzzer beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.baking import ROOT, bake
from tools.environments import project_environment


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a baked project with the custom class."""
    home = tmp_path_factory.mktemp("fuzz")
    return bake(home, home / "bake", {"cloud": "aws", "xcom_backend": "custom"}, accept_hooks=False)


@pytest.fixture(scope="session")
def python(project: Path) -> Path:
    """Return the Python that has what the project asks for, and the fuzzer."""
    return project_environment("fuzz", [project / "requirements-dev.txt", ROOT / "requirements" / "fuzz.in"])
