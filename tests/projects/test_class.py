"""The classes that the template emits, by tests/class: formats, references, stores, faults, security, clear().

Each test chooses its own settings; what differs is the Airflow, the stores, and whether there is a mirror or a clear().
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tools.baking import bake, environment_of_a_project, run
from tools.class_tests import PLUGIN, REQUIREMENTS, add_class_tests
from tools.environments import NoPythonError, project_environment, python_path

# The answers, and the Airflow of the environment. With a mirror the tests run on both stores, and on a folder always.
CLASSES: dict[str, tuple[dict[str, Any], str]] = {
    "s3-gcs": ({"cloud": "aws", "mirror": "gs://my_gcp_conn@my-mirror/xcom", "compression": "zstd"}, "3"),
    "azure": ({"cloud": "azure", "compression": "gzip"}, "3"),
    "next": ({"cloud": "local"}, "next"),
    "airflow2-clear": ({"cloud": "aws", "airflow": "2", "clear_override": True}, "2"),
    "airflow2-provider-clear": (
        {"cloud": "gcp", "airflow": "2", "clear_override": True, "xcom_backend": "object_storage"},
        "2",
    ),
}
# No store changes what these find: on Airflow 3 they run once.
WITHOUT_A_STORE = {f"tests/test_custom_{part}.py" for part in ("cleanup", "properties", "settings", "values")}


@pytest.mark.parametrize("name", CLASSES)
def test_the_class_keeps_its_promises(name: str, home: Path, tmp_path: Path, tmp_path_factory: Any) -> None:
    answers, airflow = CLASSES[name]
    project = bake(home, tmp_path / "bake", {"xcom_backend": "custom", **answers}, accept_hooks=False)
    with FileLock(tmp_path_factory.getbasetemp().parent / f"venv-class-{name}.lock"):
        try:
            python = project_environment(f"class-{name}", [project / "requirements-dev.txt", REQUIREMENTS], airflow)
        except NoPythonError as error:
            pytest.skip(str(error))
    tests = [test for test in add_class_tests(project) if name != "azure" or test not in WITHOUT_A_STORE]
    environment = {**environment_of_a_project(python.parent, tmp_path), "PYTHONPATH": python_path(project)}
    done = run(python, "-m", "pytest", *PLUGIN, *tests, cwd=project, env=environment, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"= \d+ passed(, \d+ skipped)?(, \d+ warnings?)? in ", done.stdout), done.stdout
    if not (project / "include" / "xcom_backend" / "backend.py").exists():  # not there to be checked
        return
    for check in (("ruff", "check", "tests"), ("mypy", "--cache-dir", python.parent.parent / "mypy-cache")):
        checked = run(python.parent / check[0], *check[1:], cwd=project, env=environment)
        assert checked.returncode == 0, checked.stdout + checked.stderr
