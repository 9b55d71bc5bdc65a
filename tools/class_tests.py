"""Runs tests/class, the tests of the custom class, against a project: `make test PROJECT=../my-project`.

They run in a copy of the project, with its settings, its emulators and its environment, and `requirements/class.in`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.environments import ROOT, NoPythonError, project_environment, python_path

CLASS_TESTS = ROOT / "tests" / "class"
REQUIREMENTS = ROOT / "requirements" / "class.in"
# How pytest finds what these tests share, besides the PYTHONPATH.
PLUGIN = ("-p", "custom_xcom")


def add_class_tests(project: Path) -> list[str]:
    """Copy the tests of the class into the ``tests/`` of a project, and return the paths of those that are for it."""
    shutil.copytree(CLASS_TESTS, project / "tests", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    wanted = {
        "test_clear_*.py": project / "tests" / "test_clear.py",
        "test_custom_*.py": project / "include" / "xcom_backend" / "backend.py",
    }
    names = [file.name for pattern, there in wanted.items() if there.exists() for file in CLASS_TESTS.glob(pattern)]
    return [f"tests/{name}" for name in sorted(names)]


def main() -> int:
    """Run them against the project in the first argument, with the others for pytest, and return pytest's exit code."""
    project = Path(sys.argv[1]).resolve()
    airflow = "2" if "apache-airflow==2." in (project / "requirements-dev.txt").read_text(encoding="utf-8") else "3"
    print("Installing what the project and the tests of the class need into .venv-class", flush=True)
    try:
        python = project_environment("class", [project / "requirements-dev.txt", REQUIREMENTS], airflow)
    except NoPythonError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "project")
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns(".venv*", ".git", "__pycache__"))
        tests = add_class_tests(copy)
        if not tests:
            sys.exit(f"{project} has no include/xcom_backend/ and no clear(): these tests are about them.")
        command = [str(python), "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", *tests, *sys.argv[2:]]
        environment = {**os.environ, "PYTHONPATH": python_path(copy)}
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
