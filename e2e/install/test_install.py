"""Installs projects as their README says, by plain pip with an empty cache: on each Python of this machine, and by uv.

Two pips a Python: the one that comes with it, and the newest. What counts is the time of the processor and that no
package is looked at in two versions: how fast the index answers, and what else the machine does, is not the project's.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.baking import CLOUDS, CONFIG, bake, command

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# (Airflow, cloud): all clouds with the newest pip, and the one with most packages and the default with the other pip.
NEWEST = [("3", cloud) for cloud in CLOUDS] + [("2", "aws")]
OWN = [("3", "aws"), ("3", "gcp"), ("2", "aws")]
PIP_SECONDS, UV_SECONDS = 90, 30


def python_of(version: str, airflow: str) -> str:
    """Return the path of a Python of this version, and skip where this machine has none or Airflow cannot use it."""
    if version not in CONFIG["_airflow"][airflow]["runtime_pythons"] and (airflow, version) != ("3", "3.11"):
        pytest.skip(f"Airflow {airflow} is not tested on Python {version}")
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for python in (shutil.which(f"python{version}"), *map(str, pyenv)):
        if python and subprocess.run([python, "-m", "ensurepip", "--version"], capture_output=True).returncode == 0:
            return python
    pytest.skip(f"this machine has no Python {version}")


def install(arguments: list[str], folder: Path, **variables: str) -> tuple[str, float]:
    """Run an installer in a project, and return what it printed and the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    environment = {**os.environ, **variables}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"{seconds:.0f} s of processor time, {time.monotonic() - begin:.0f} s on the clock")
    return done.stdout, seconds


def install_by_pip(version: str, airflow: str, cloud: str, folder: Path, *, newest: bool) -> None:
    """Install a project with pip, and fail if it searches or takes too long."""
    python = python_of(version, airflow)
    project = bake(folder, folder / "bake", {"airflow": airflow, "cloud": cloud}, accept_hooks=False)
    subprocess.run([python, "-m", "venv", ".venv"], cwd=project, check=True)
    if newest:
        subprocess.run([".venv/bin/pip", "install", "--quiet", "--upgrade", "pip"], cwd=project, check=True)
    told = subprocess.run([".venv/bin/pip", "--version"], cwd=project, check=True, capture_output=True, text=True)
    print(f"Python {version}, {' '.join(told.stdout.split()[:2])}, Airflow {airflow}, {cloud}: ", end="")
    arguments = [".venv/bin/pip", "install", "--no-cache-dir", "-r", "requirements-dev.txt"]
    output, seconds = install(arguments, project)
    files = re.findall(r"Downloading (?:\S*/)?([\w.]+)-\d\S*(?:\.whl|\.tar\.gz)", output)
    assert len(files) > 100
    searched = {name for name in files if files.count(name) > 2}  # once for its metadata, once for itself
    assert not searched, "pip looks for versions that go together: run `make lock`"
    assert seconds <= PIP_SECONDS


@pytest.mark.parametrize(("airflow", "cloud"), OWN)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_pip_that_comes_with_python_installs_without_a_search(
    python: str, airflow: str, cloud: str, tmp_path: Path
) -> None:
    install_by_pip(python, airflow, cloud, tmp_path, newest=False)


@pytest.mark.parametrize(("airflow", "cloud"), NEWEST)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_newest_pip_installs_without_a_search(python: str, airflow: str, cloud: str, tmp_path: Path) -> None:
    install_by_pip(python, airflow, cloud, tmp_path, newest=True)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_uv_installs_in_seconds(cloud: str, tmp_path: Path) -> None:
    project = bake(tmp_path, tmp_path / "bake", {"cloud": cloud}, accept_hooks=False)
    uv = command("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, ".venv"], cwd=project, check=True)
    arguments = [uv, "pip", "install", "--quiet", "-r", "requirements-dev.txt"]
    _, seconds = install(arguments, project, UV_CACHE_DIR=str(tmp_path / "cache"))
    assert seconds <= UV_SECONDS
