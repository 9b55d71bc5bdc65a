"""The custom class on every Python, on the pandas and pyarrow of the project and on the newest, and between them.

Python 3.14 comes from Debian sid where this machine has none: its packages are installed from outside, for that Python.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.baking import bake
from tools.class_tests import PLUGIN, REQUIREMENTS, add_class_tests
from tools.debian import NoProgramError, bootstrap
from tools.environments import BIN, LOCKS, ROOT, find_python, python_path, without_constraints

NEWEST = ROOT / "requirements" / "newest.txt"
PROBE = ROOT / "tools" / "probes" / "carry_values.py"
# What the class promises of values. What it does with stores and Dags is the same on every Python.
TESTS = ["values", "tables", "properties", "round_trip", "references"]
# The name of each environment: its Python, and what it has in place of the project's pandas and pyarrow.
READERS = {
    "3.12": ("3.12", None),
    "3.13 with the newest tables": ("3.13", NEWEST),
    "3.14": ("3.14", None),
    "3.14 with the newest tables": ("3.14", NEWEST),
}


@dataclass(frozen=True)
class Reader:
    """A Python with all that the project and the tests of the class need: how a command in it begins, and its root."""

    start: tuple[str, ...]
    site: str
    root: Path = Path("/")

    def run(self, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a folder of a project, which it sees under the same path."""
        paths = os.pathsep.join([python_path(folder), self.site])
        home = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        environment = {**home, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **variables}
        command = [*self.start, "sh", "-c", 'cd "$0" && exec "$@"', str(folder), "python3", *arguments]
        if self.root == Path("/"):
            command = [*self.start, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with the custom class, the tests of the class, and the program that carries values."""
    home = tmp_path_factory.mktemp("project")
    made = bake(home, home / "bake", {"cloud": "local", "xcom_backend": "custom"}, accept_hooks=False)
    add_class_tests(made)
    shutil.copy(PROBE, made)
    return made


@pytest.fixture(scope="session")
def sid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a minimal Debian sid with its Python."""
    if os.geteuid() != 0:
        pytest.skip("only root may enter a Debian sid, and this machine has no Python 3.14")
    folder = tmp_path_factory.mktemp("sid") / "root"
    try:
        bootstrap("sid", folder, "python3", "libstdc++6", "tzdata")
    except NoProgramError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def here(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Return the Python that runs this, with its packages."""
    site = tmp_path_factory.mktemp("here")
    install(project, site, platform.python_version(), None)
    return Reader((sys.executable,), str(site))


@pytest.fixture(scope="session", params=READERS)
def reader(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return each Python, with its packages."""
    version, override = READERS[request.param]
    found = find_python(version)
    if found:
        site = tmp_path_factory.mktemp("site")
        install(project, site, version, override)
        yield Reader((str(found),), str(site))
    elif version == "3.14":
        root: Path = request.getfixturevalue("sid")
        site = root / "site" / ("newest" if override else "locked")
        install(project, site, version, override)
        shutil.copytree(project, root / project.relative_to("/"), dirs_exist_ok=True)
        enter = f'mount -t proc proc "{root}/proc" && mount --bind /dev "{root}/dev" && exec chroot "{root}" "$@"'
        yield Reader(("unshare", "--mount", "sh", "-c", enter, "enter"), f"/{site.relative_to(root)}", root)
    else:
        pytest.skip(f"this machine has no Python {version}")


def install(project: Path, site: Path, version: str, override: Path | None) -> None:
    """Install into a folder what the project and the tests of the class ask for, as wheels for that Python."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = without_constraints(project / "requirements-dev.txt", Path(folder, "wanted"))
        lock = Path(folder, "lock.txt")
        moved = [line.partition("=")[0] + "==" for line in override.read_text().splitlines()] if override else []
        lines = LOCKS["3"].read_text().splitlines()
        lock.write_text("\n".join(line for line in lines if not line.startswith(tuple(moved))))
        command = [str(BIN / "uv"), "pip", "install", "--quiet", "--target", str(site), "--python-version", version]
        command += ["--constraint", str(lock), "--requirement", str(wanted), "--requirement", str(REQUIREMENTS)]
        subprocess.run([*command, *(["--override", str(override)] if override else [])], check=True)


@pytest.fixture(scope="session")
def carry() -> Callable[..., str]:
    """Return a function that runs the program which carries values, and returns what it prints."""

    def run(reader: Reader, project: Path, what: str, folder: Path) -> str:
        variables = {
            "AIRFLOW_HOME": f"{folder}/home",
            "AIRFLOW__CORE__XCOM_BACKEND": "include.xcom_backend.XComBackend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{folder}/store",
            "AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT": "carried",
        }
        done = reader.run(project, "-W", "ignore", "carry_values.py", what, str(folder), **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()[-1]

    return run


def test_the_class_keeps_its_promises_about_values(reader: Reader, project: Path) -> None:
    tests = [f"tests/test_custom_{name}.py" for name in TESTS]
    done = reader.run(project, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "--show-capture=no", *tests)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert " passed" in done.stdout


def test_what_this_python_pushes_that_one_pulls_and_back(
    here: Reader, reader: Reader, project: Path, carry: Callable[..., str], tmp_path: Path
) -> None:
    for writer, other in ((here, reader), (reader, here)):
        folder = tmp_path / ("out" if writer is here else "back")
        for place in (writer, other):
            (place.root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
        assert int(carry(writer, project, "write", folder)) >= 800
        if writer.root != other.root:
            ours, theirs = (place.root / folder.relative_to("/") for place in (writer, other))
            shutil.copytree(ours, theirs, dirs_exist_ok=True)
        assert json.loads(carry(other, project, "read", folder)) == []
