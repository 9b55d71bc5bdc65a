"""Makes a virtual environment for a baked project: what its own requirement files ask for, at locked versions."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements"
# By the answer to the template's question `airflow`; `next` is the coming version of Airflow 3.
LOCKS = {
    "3": REQUIREMENTS / "projects.txt",
    "2": REQUIREMENTS / "projects-airflow2.txt",
    "next": REQUIREMENTS / "projects-next.txt",
}
# Where only Python 3.10 is: Airflow 3 still runs there, but the pins of the newest providers do not.
STAND_INS = REQUIREMENTS / "python-3.10.txt"
STAND_INS_LOCK = REQUIREMENTS / "projects-python-3.10.txt"
BIN = Path(sys.executable).parent


class NoPythonError(Exception):
    """No Python of this machine can run this Airflow. Its text is one line that says so."""


def project_environment(name: str, requirement_files: Iterable[Path], airflow: str = "3") -> Path:
    """Return the Python of the environment ``.venv-<name>``, after it has got all of the requirement files.

    A second call with the same files and the same lock installs nothing; after a change it is made anew, so that it
    never holds what nobody asks for any more. What a project names in a
    ``requirements-no-deps.txt`` beside these files comes too, as its Dockerfile does it.

    :param airflow: the answer to the template's question of this name, or ``next``
    :raises NoPythonError: if no Python of this machine can run that Airflow
    """
    environment = ROOT / f".venv-{name}"
    python = environment / "bin" / "python"
    stamp = environment / "installed"
    files = requirement_files = list(requirement_files)
    interpreter = python_for(airflow)
    stand_ins = airflow == "3" and interpreter == sys.executable and sys.version_info < (3, 11)
    lock = STAND_INS_LOCK if stand_ins else LOCKS[airflow]
    wanted = fingerprint(interpreter, lock, files)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = str(BIN / "uv")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", interpreter, str(environment)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    with tempfile.TemporaryDirectory() as folder:
        if airflow == "next" or stand_ins:
            files = [without_constraints(file, Path(folder, str(number))) for number, file in enumerate(files)]
        requirements = [argument for file in files for argument in ("--requirement", str(file))]
        if airflow == "next":  # in place of the version that the project itself names
            override = Path(folder, "override.txt")
            override.write_text(f"apache-airflow=={versions('3')['next']}\n")
            requirements += ["--override", str(override)]
        if stand_ins:
            requirements += ["--override", str(STAND_INS)]
        subprocess.run([*install, "--constraint", str(lock), *requirements], check=True)
    for file in sorted({file.with_name("requirements-no-deps.txt") for file in requirement_files}):
        if file.exists():
            subprocess.run([*install, "--no-deps", "--requirement", str(file)], check=True)
    stamp.write_text(wanted)
    return python


def python_path(project: Path) -> str:
    """Return the PYTHONPATH with which a program imports what is in a project's ``include/`` and ``tests/``."""
    return os.pathsep.join([str(project), str(project / "tests")])


def without_constraints(file: Path, folder: Path) -> Path:
    """Copy a requirements file, with those beside it, into a new folder: constraints are for the versions it names."""
    folder.mkdir()
    for neighbour in {file, *file.parent.glob("requirements*.txt")}:
        lines = (line for line in neighbour.read_text().splitlines() if not line.startswith("-c "))
        (folder / neighbour.name).write_text("\n".join(lines))
    return folder / file.name


def versions(airflow: str) -> dict[str, Any]:
    """Return the row of the template's table of versions for this Airflow."""
    template = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return dict(template["_airflow"][airflow])


def python_for(airflow: str) -> str:
    """Return the path of a Python that runs this Airflow: the one that runs this, or else another of this machine.

    :raises NoPythonError: if there is none
    """
    pins = versions("3" if airflow == "next" else airflow)
    if SpecifierSet(pins["python"]).contains(platform.python_version()):
        return sys.executable
    find = [str(BIN / "uv"), "python", "find", "--system", "--no-python-downloads", "--no-project", pins["python"]]
    found = subprocess.run(find, capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip()
    if airflow == "3" and sys.version_info >= (3, 10):
        return sys.executable  # with stand-ins
    raise NoPythonError(
        f"Airflow {pins['version']} needs {pins['python_words']}, and on the PATH is only {platform.python_version()}."
    )


def find_python(version: str) -> Path | None:
    """Return a Python of this machine: on the PATH, where a name may be pyenv's and lead nowhere, or pyenv's own.

    :param version: such as 3.13
    """
    names = [shutil.which(f"python{version}"), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for name in names:
        if name and subprocess.run([name, "--version"], capture_output=True).returncode == 0:
            return Path(name)
    return None


def fingerprint(interpreter: str, lock: Path, files: list[Path]) -> str:
    """Return a hash of what decides what is installed: Python, the lock, the requirement files and their neighbours."""
    neighbours = {file for folder in {file.parent for file in files} for file in folder.glob("requirements*.txt")}
    texts = [lock, *sorted({*files, *neighbours})]
    content = b"\0".join(file.read_bytes() for file in texts)
    return hashlib.sha256(f"{interpreter} {sys.version}".encode() + content).hexdigest()
