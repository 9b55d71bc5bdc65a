"""The workflow that `ci: github` emits: GitHub's own schema takes it, and what it runs passes in a baked project."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.baking import ROOT, Answers, Bake, Install, command, name_of, product, run
from tools.projects import Project, make_project
from tools.readers_tools import write_script

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
def test_only_what_is_merged_and_passed_is_deployed_with_its_image(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    deploy = jobs_of(project)["deploy"]
    assert deploy["needs"] == "test"
    assert deploy["environment"] == "${{ matrix.environment }}"
    assert deploy["strategy"] == {
        "max-parallel": 1,
        "matrix": {"environment": "${{ fromJSON(vars.ASTRO_ENVIRONMENTS) }}"},
    }
    assert "github.event_name == 'push'" in deploy["if"]
    # YAML 1.1 takes a bare `on` for true: this one is quoted, as GitHub and everybody else reads it.
    assert yaml.safe_load((project / WORKFLOW).read_text())["on"]["push"] == {"branches": ["main"]}
    words = deploy["steps"][-1]["run"].split()
    assert words[:2] == ["astro", "deploy"]
    assert "--dags" not in words  # but image and Dags


@every_bake
def test_the_token_is_in_no_step_that_runs_what_was_just_fetched(answers: Answers, bake: Bake) -> None:
    jobs = jobs_of(bake(**answers))
    assert "secrets." not in str(jobs["test"])
    for name in ("deploy", *(["agents"] if "agents" in jobs else [])):
        *before, last = jobs[name]["steps"]
        assert "secrets." not in str(before)
        assert re.findall(r"secrets\.\w+", str(last["env"])) == ["secrets.ASTRO_API_TOKEN"]
        assert "uses" not in last
        assert "curl" not in last["run"]


@every_bake
def test_every_action_is_pinned_by_commit_and_a_comment_says_its_version(answers: Answers, bake: Bake) -> None:
    text = (bake(**answers) / WORKFLOW).read_text()
    actions = re.findall(r"uses: (.*)", text)
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_a_project_for_agents_pushes_their_image_with_no_stored_key(cloud: str, bake: Bake) -> None:
    agents = jobs_of(bake(cloud=cloud, ci="github", remote_execution=True))["agents"]
    assert agents["permissions"] == {"contents": "read", "id-token": "write"}
    assert set(re.findall(r"secrets\.\w+", str(agents))) == {"secrets.ASTRO_API_TOKEN"}
    assert "astro remote deploy" in agents["steps"][-1]["run"]


@pytest.mark.parametrize("altered", [False, True])
def test_the_step_that_installs_the_astro_cli_takes_only_what_its_checksums_say(
    altered: bool, bake: Bake, tmp_path: Path
) -> None:
    """From a folder in place of GitHub, as `bash -e` runs it: an archive that is not the one of the list is refused."""
    release = tmp_path / "v1.45.0"
    release.mkdir()
    write_script(release / "astro", "echo Astro CLI Version: 1.45.0")
    archive = release / "astro_1.45.0_linux_amd64.tar.gz"
    run("tar", "-czf", archive, "-C", release, "astro", check=True)
    sums = run("sha256sum", archive.name, cwd=release, check=True).stdout
    (release / "astro_1.45.0_checksums.txt").write_text(f"{sums}{'0' * 64}  astro_1.45.0_darwin_arm64.tar.gz\n")
    if altered:
        archive.write_bytes(archive.read_bytes() + b"more")
    (step,) = (
        one for one in jobs_of(bake(**RUN_HERE))["deploy"]["steps"] if one.get("name") == "Install the Astro CLI"
    )
    script = re.sub(r"https://\S+/releases/download", f"file://{tmp_path}", step["run"])
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GITHUB_PATH": str(tmp_path / "path")}
    done = run("bash", "-e", "-c", script, cwd=tmp_path, env=variables)
    assert (done.returncode != 0) == altered, done.stdout + done.stderr
    assert (tmp_path / ".local" / "bin" / "astro").exists() != altered


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
