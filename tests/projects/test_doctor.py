"""The doctor of the emitted projects, by tests/doctor: each mistake is made, found, mended by its word, and gone."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tools.baking import CLOUDS, ROOT, Bake, Install, environment_of_a_project, run
from tools.environments import python_path

DOCTOR = ROOT / "tests" / "doctor"
# Whose fix is a question, or another image: a test reads it. Every other one is followed by a machine.
NOT_FOLLOWED = {"roundtrip.small", "roundtrip.big", "versions.security"}


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """One project that has the classes of both backends."""
    folder = tmp_path / "project"
    shutil.copytree(bake(cloud="azure", xcom_backend="custom"), folder)
    shutil.copy(bake(cloud="azure", compression="gzip") / "include" / "xcom_object_storage.py", folder / "include")
    return folder


@pytest.fixture
def programs(bake: Bake, install: Install) -> Path:
    """The programs of an environment with the packages of every cloud."""
    clouds = [bake(cloud=cloud) / "requirements-dev.txt" for cloud in CLOUDS if cloud != "local"]
    return install("doctor", *clouds, ROOT / "requirements" / "doctor.in")


def test_the_doctor_finds_each_mistake_and_its_word_mends_it(project: Path, programs: Path, tmp_path: Path) -> None:
    variables = {**environment_of_a_project(programs, tmp_path), "XCOM_PROJECT": str(project)}
    variables |= {"PYTHONPATH": python_path(project), "XCOM_FOLLOWED": str(tmp_path / "followed")}
    done = run(programs / "pytest", "-rs", DOCTOR, cwd=project, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = re.findall(r"^SKIPPED \[\d+\] .*: (.*)$", done.stdout, re.MULTILINE)
    assert set(skipped) <= {"root may write everywhere"}, done.stdout
    groups = tomllib.loads((project / "include" / "xcom_doctor" / "checks.toml").read_text(encoding="utf-8"))
    followed = set((tmp_path / "followed").read_text().split())
    assert {f"{group}.{name}" for group, checks in groups.items() for name in checks} - followed == NOT_FOLLOWED


def test_mypy_has_nothing_to_say_about_these_tests(project: Path, programs: Path, tmp_path: Path) -> None:
    paths = {"MYPYPATH": f"{DOCTOR}:{project}:{project / 'tests'}"}
    variables = {**environment_of_a_project(programs, tmp_path), **paths}
    done = run(programs / "mypy", "--cache-dir", programs.parent / "mypy-cache", DOCTOR, cwd=project, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_troubleshooting_page_is_made_from_the_checks_of_now() -> None:
    done = run(sys.executable, "-m", "tools.pages.troubleshooting", "--print", check=True, encoding="utf-8")
    page = (ROOT / "docs" / "reference" / "troubleshooting.md").read_text(encoding="utf-8")
    assert done.stdout == page, "run `make update`"
