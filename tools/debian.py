"""Installs Debian's packages for what needs more than Python: servers of databases, a browser. Makes whole Debians."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# Debian keeps servers out of the PATH: /usr/lib/postgresql/15/bin/initdb.
HIDDEN = ("/usr/sbin", "/usr/lib/postgresql/*/bin")


class NoProgramError(Exception):
    """A program is not on this machine and cannot be installed. Its text is one line that says what to install."""


def program(name: str, package: str) -> Path:
    """Return the path of a program, after installing Debian's package that holds it if the machine lacks it.

    :param name: of the program, such as ``redis-server``
    :param package: of Debian, such as ``redis-server``
    :raises NoProgramError: if this is no Debian, or nobody who may install
    """
    found = find(name)
    if found:
        return found
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoProgramError(f"{name} is not on this machine. Install it: sudo apt-get install {package}")
    print(f"Installing Debian's package {package}, for {name}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(["apt-get", "-qq", *command], env=quiet, capture_output=True, text=True)
        if done.returncode != 0:
            raise NoProgramError(f"apt-get {command[0]} {package} failed: {done.stderr.strip().splitlines()[-1:]}")
    found = find(name)
    if not found:
        raise NoProgramError(f"Debian's package {package} is installed, and holds no {name}")
    return found


def find(name: str) -> Path | None:
    """Return the path of a program of this machine, also of one that Debian keeps out of the PATH."""
    found = shutil.which(name)
    if found:
        return Path(found)
    hidden = [path for pattern in HIDDEN for path in Path("/").glob(f"{pattern[1:]}/{name}")]
    return max(hidden, default=None)


def bootstrap(suite: str, target: Path, *packages: str) -> None:
    """Make the smallest Debian that can install packages.

    :param suite: such as ``sid``
    :param target: a folder, or an archive if its name ends in ``.tar``
    :param packages: what it has beyond that
    :raises NoProgramError: if mmdebstrap is not on this machine and cannot be installed
    """
    # A mirror that is kept as it was on some day is as good as any.
    options = ["--quiet", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"']
    options += [f"--include={','.join(packages)}"] if packages else []
    command = [str(program("mmdebstrap", "mmdebstrap")), *options, suite, str(target)]
    subprocess.run(command, check=True, capture_output=True)
