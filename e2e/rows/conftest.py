"""Projects that have the classes of both backends, one for each Airflow."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.baking import bake
from tools.environments import ROOT, project_environment

REQUIREMENTS = [ROOT / "requirements" / name for name in ("class.in", "rows.in")]
Project = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a function from an Airflow (``3``, ``2``, ``next``) to the Python and the folder of a project."""

    def make(airflow: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(f"airflow-{airflow}")
        answers = {"cloud": "aws", "airflow": airflow.replace("next", "3")}
        made = bake(folder, folder / "custom", {**answers, "xcom_backend": "custom"}, accept_hooks=False)
        other = bake(folder, folder / "object_storage", answers, accept_hooks=False)
        shutil.copy(other / "include" / "xcom_object_storage.py", made / "include")
        return project_environment(f"rows-{airflow}", [made / "requirements-dev.txt", *REQUIREMENTS], airflow), made

    return make
