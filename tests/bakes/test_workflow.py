"""The workflow that `ci: github` emits: GitHub's own schema takes it, and what it runs passes in a baked project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.baking import ROOT, Answers, Bake, Install, command, name_of, product, run
from tools.projects import Project, make_project

BAKES = [answers for answers in product() if answers.get("ci") == "github"]
every_bake = pytest.mark.parametrize("answers", BAKES, ids=map(name_of, BAKES))
WORKFLOW = Path(".github", "workflows", "ci.yml")
RUN_HERE: Answers = {"cloud": "aws", "ci": "github"}


def jobs_of(project: Path) -> dict[str, Any]:
    """Return the jobs of the workflow of a bake."""
    return dict(yaml.safe_load((project / WORKFLOW).read_text())["jobs"])


@every_bake
def test_the_schema_of_workflows_takes_it(answers: Answers, bake: Bake) -> None:
    check = (command("check-jsonschema"), "--builtin-schema", "vendor.github-workflows")
    done = run(*check, bake(**answers) / WORKFLOW)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_a_workflow_with_a_misspelt_key(bake: Bake, tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    broken.write_text((bake(**RUN_HERE) / WORKFLOW).read_text().replace("runs-on:", "run-on:"))
    done = run(command("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", broken)
    assert done.returncode == 1


@every_bake
def test_only_what_is_merged_and_passed_is_deployed_by_a_pinned_action(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    deploy = jobs_of(project)["deploy"]
    assert deploy["needs"] == "test"
    assert "github.event_name == 'push'" in deploy["if"]
    # YAML 1.1 takes a bare `on` for true: this one is quoted, as GitHub and everybody else reads it.
    assert yaml.safe_load((project / WORKFLOW).read_text())["on"]["push"] == {"branches": ["main"]}
    (step,) = deploy["steps"]
    assert re.fullmatch(r"astronomer/deploy-action@[0-9a-f]{40}", step["uses"])
    secrets = re.findall(r"secrets\.\w+", (project / WORKFLOW).read_text())
    assert secrets == ["secrets.ASTRO_API_TOKEN"]
    assert step["env"] == {"ASTRO_API_TOKEN": "${{ secrets.ASTRO_API_TOKEN }}"}
    assert "secrets." not in str(jobs_of(project)["test"])


@pytest.fixture
def project(bake: Bake, install: Install, tmp_path: Path) -> Project:
    baked = bake(**RUN_HERE)
    programs = install("workflow", baked / "requirements-dev.txt", ROOT / "requirements" / "workflow.in")
    return make_project(baked, programs, tmp_path)


def test_what_the_test_job_runs_passes_on_the_emulator(project: Project) -> None:
    """Each `run` as GitHub runs it: a file for `bash -e`, in the checkout. Installed is all of it already."""
    steps = [step for step in jobs_of(project.folder)["test"]["steps"] if "run" in step]
    assert [step["name"] for step in steps] == ["Install", "Lint", "Test"]
    outputs = {}
    for step in steps:
        done = run("bash", "-e", "-c", step["run"], cwd=project.folder, env=project.variables, timeout=1200)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs[step["name"]] = done.stdout
    assert "Successfully installed" not in outputs["Install"]
    assert "XCom object store: moto server on http://127.0.0.1:" in outputs["Test"]
    assert project.new_to_git() == []


def test_the_lint_step_fails_for_a_file_that_is_not_clean(project: Project) -> None:
    (project.folder / "dags" / "untidy.py").write_text("import os\n")
    (lint,) = [step["run"] for step in jobs_of(project.folder)["test"]["steps"] if step.get("name") == "Lint"]
    done = run("bash", "-e", "-c", lint, cwd=project.folder, env=project.variables)
    assert done.returncode == 1
    assert "untidy.py" in done.stdout
