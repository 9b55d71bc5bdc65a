"""actionlint, which knows GitHub's expressions and contexts, has nothing to say about the emitted workflow and ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.baking import ROOT, bake, run
from tools.gotools import go_tool

BAKES = [
    {"cloud": "aws"},
    {"cloud": "local"},
    {"cloud": "gcp", "airflow": "2", "astro_sdk": True},
    *[{"cloud": cloud, "remote_execution": True} for cloud in ("aws", "gcp", "azure")],
]


@pytest.fixture(scope="module")
def actionlint() -> Path:
    return go_tool("github.com/rhysd/actionlint", "v1.7.12", "cmd/actionlint")


@pytest.mark.parametrize("answers", BAKES, ids=lambda answers: "-".join(map(str, answers.values())))
def test_actionlint_has_nothing_to_say(answers: dict[str, object], actionlint: Path, tmp_path: Path) -> None:
    project = bake(tmp_path, tmp_path / "output", {**answers, "ci": "github"})
    done = run(actionlint, "-no-color", project / ".github" / "workflows" / "ci.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_has_nothing_to_say_of_our_own(actionlint: Path) -> None:
    done = run(actionlint, "-no-color", ROOT / ".github" / "workflows" / "ci.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_a_context_that_does_not_exist(actionlint: Path, tmp_path: Path) -> None:
    workflow = bake(tmp_path, tmp_path / "output", {"ci": "github"}) / ".github" / "workflows" / "ci.yml"
    workflow.write_text(workflow.read_text().replace("secrets.ASTRO_API_TOKEN", "secret.ASTRO_API_TOKEN"))
    done = run(actionlint, "-no-color", workflow)
    assert done.returncode == 1
    assert 'undefined variable "secret"' in done.stdout
