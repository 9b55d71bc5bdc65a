"""Projects for other Airflows pass their own tests and checks: 2.11, with and without astro-sdk, and the coming 3.x."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tools.baking import CONFIG, ROOT, bake, run
from tools.environments import NoPythonError, project_environment, python_for
from tools.tested_with import record

# The answers, and the Airflow of the environment: `next` is the version that cookiecutter.json names so.
PROJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "aws-airflow2": ({"cloud": "aws", "airflow": "2"}, "2"),
    "gcp-airflow2": ({"cloud": "gcp", "airflow": "2", "compression": "zstd"}, "2"),
    "azure-airflow2": ({"cloud": "azure", "airflow": "2", "compression": "zip"}, "2"),
    "local-airflow2": ({"cloud": "local", "airflow": "2"}, "2"),
    "aws-airflow2-astro-sdk": ({"cloud": "aws", "airflow": "2", "astro_sdk": True}, "2"),
    "gcp-airflow2-clear": ({"cloud": "gcp", "airflow": "2", "clear_override": True}, "2"),
    "aws-airflow2-custom-clear": (
        {"cloud": "aws", "airflow": "2", "xcom_backend": "custom", "clear_override": True},
        "2",
    ),
    "local-next-custom": ({"cloud": "local", "xcom_backend": "custom"}, "next"),
    "aws-next": ({"cloud": "aws"}, "next"),
    "gcp-next": ({"cloud": "gcp", "compression": "gzip"}, "next"),
}
every_project = pytest.mark.parametrize("name", PROJECTS)


@dataclass(frozen=True)
class Project:
    """A baked project of its own, and the Python of its environment."""

    folder: Path
    python: Path
    home: Path

    def run(self, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the project's environment in the project's folder, with little else in the environment."""
        environment = {"PATH": f"{self.python.parent}:/usr/bin:/bin", "HOME": str(Path.home()), **variables}
        return run(self.python.parent / program, *arguments, cwd=self.folder, env=environment)


@pytest.fixture
def project(name: str, home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    answers, airflow = PROJECTS[name]
    folder = bake(home, tmp_path / "bake", answers, accept_hooks=False)
    shared = tmp_path_factory.getbasetemp().parent
    with FileLock(shared / f"venv-{name}.lock"):
        try:
            python = project_environment(name, [folder / "requirements-dev.txt"], airflow)
        except NoPythonError as error:
            pytest.skip(str(error))
    return Project(folder, python, tmp_path)


@every_project
def test_the_projects_own_tests_pass(name: str, project: Project) -> None:
    done = project.run("pytest")
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = r"(, \d+ skipped)?" if PROJECTS[name][0].get("xcom_backend") == "custom" else ""
    assert re.search(rf"= \d+ passed{skipped}(, \d+ warnings?)? in ", done.stdout), done.stdout
    record(name, PROJECTS[name][0], project.python, done.stdout)


@every_project
def test_it_is_the_airflow_that_the_table_names(name: str, project: Project) -> None:
    airflow = PROJECTS[name][1]
    wanted = CONFIG["_airflow"]["3"]["next"] if airflow == "next" else CONFIG["_airflow"][airflow]["version"]
    done = project.run("airflow", "version", AIRFLOW_HOME=str(project.home / "airflow"))
    assert done.stdout.splitlines()[-1] == wanted, done.stderr


@every_project
def test_the_integrity_test_of_the_astro_cli_tells_a_broken_dag(name: str, project: Project) -> None:
    assert project.run("pytest", ".astro", "-p", "no:cacheprovider").returncode == 0
    (project.folder / "dags" / "broken.py").write_text("import airflow, no_such_module  # a Dag\n")
    done = project.run("pytest", ".astro", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "no_such_module" in done.stdout


@every_project
def test_ruff_and_mypy_have_nothing_to_say(name: str, project: Project) -> None:
    cache = str(project.python.parent.parent / "mypy-cache")
    for check in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "--cache-dir", cache)):
        done = project.run(*check)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_table_of_astro_sdk_needs_is_a_setting_of_the_project(tmp_path: Path, home: Path) -> None:
    answers = PROJECTS["aws-airflow2-astro-sdk"][0]
    project = bake(home, tmp_path, answers)
    assert "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES=airflow.* astro.*" in (project / ".env").read_text()
    assert (project / "Dockerfile").read_text().count("RUN ") == 1


@pytest.mark.skipif(not shutil.which("initdb"), reason="this machine has no PostgreSQL (initdb)")
@pytest.mark.parametrize("options", [[], ["--custom"]], ids=["object_storage", "custom"])
def test_xcoms_of_airflow_2_are_read_by_airflow_3_after_the_migration(options: list[str]) -> None:
    try:
        python_for("2")
    except NoPythonError as error:
        pytest.skip(str(error))
    done = run(sys.executable, ROOT / "e2e" / "upgrade" / "walk.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "13 of 13 came back equal." in done.stdout
