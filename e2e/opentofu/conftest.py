"""What the tests of infra/ share: a baked project of each cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.baking import bake


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By cloud, and ``long`` for AWS with the longest names."""
    folder = tmp_path_factory.mktemp("projects")
    answers: dict[str, dict[str, str]] = {cloud: {"cloud": cloud} for cloud in ("aws", "gcp", "azure")}
    answers["long"] = {"cloud": "aws", "bucket": "b" * 63, "project_slug": "p" * 63}
    return {name: bake(folder, folder / name, one, accept_hooks=False) for name, one in answers.items()}
