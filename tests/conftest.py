"""Fixtures of the template's tests: baked projects, each made once, and a home in which nobody's own settings are."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from filelock import FileLock

from tools.baking import Bake, Install
from tools.baking import bake as bake_into
from tools.environments import project_environment

# What cookiecutter tells of its doings would bury what a failed test has to say.
logging.getLogger("cookiecutter").propagate = False

START_FIRST = {
    "test_class.py",
    "test_doctor.py",
    "test_projects.py",
    "test_tutorial.py",
    "test_airflow_versions.py",
    "test_least_privilege.py",
    "test_compression_is_durable.py",
    "test_agents.py",
    "test_workflow.py",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the golden files anew."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew from what is baked now")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long tests first, so that at the end no core waits for one of them."""
    items.sort(key=lambda item: item.path.name not in START_FIRST)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder in which nothing is configured."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def bake(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Return a function that bakes a project with these answers, once, and returns its folder: copy it to change it."""
    baked: dict[frozenset[tuple[str, str]], Path] = {}

    def bake_once(**answers: str) -> Path:
        key = frozenset(answers.items())
        if key not in baked:
            baked[key] = bake_into(home, tmp_path_factory.mktemp("bake"), answers)
        return baked[key]

    return bake_once


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Return a function that installs requirement files into `.venv-<name>` and returns the folder of its programs.

    Only one of all test processes is at work on an environment. One that is complete stays as it is.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def install_once(name: str, *requirement_files: Path) -> Path:
        with FileLock(shared / f"venv-{name}.lock"):
            return project_environment(name, requirement_files).parent

    return install_once
