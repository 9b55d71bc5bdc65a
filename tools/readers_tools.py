"""The programs that readers of the pages have, and the tests take from PyPI: `aws`, `az` and `duckdb`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from filelock import FileLock

from tools.baking import ROOT, command, run

LOCK = ROOT / "requirements" / "tutorial.txt"
SIGN_IN = "Please run 'az login' to setup account."
ANY_ID = "00000000-0000-0000-0000-000000000000"


def tool(name: str) -> Path:
    """Return the path of one of them, in an environment of their own, made once for each lock."""
    environment = ROOT / ".venv-tutorial"
    stamp = environment / "installed"
    with FileLock(ROOT / ".venv-tutorial.lock"):
        if not stamp.exists() or stamp.read_text() != LOCK.read_text():
            uv, python = command("uv"), environment / "bin" / "python"
            run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment, check=True)
            run(uv, "pip", "install", "--quiet", "--python", python, "--requirement", LOCK, check=True)
            stamp.write_text(LOCK.read_text())
    return environment / "bin" / name


def write_command(folder: Path, name: str, **variables: str) -> None:
    """Write a command of this name into the folder, which runs the real one with these variables."""
    settings = " ".join(f"{variable}={shlex.quote(value)}" for variable, value in variables.items())
    write_script(folder / name, f'{settings} exec {shlex.quote(str(tool(name)))} "$@"')


def write_az_that_only_parses(folder: Path) -> None:
    """Write an `az` that goes on where the real one has read its arguments, and wants its user to sign in.

    Of a command or an argument that it does not know it says so before that, and this one ends as it does. What a
    command would print is an ID here, for the commands that take one.
    """
    settings = f"AZURE_CONFIG_DIR={shlex.quote(str(folder / 'azure'))} AZURE_CORE_COLLECT_TELEMETRY=false"
    lines = [
        f'said=$({settings} {shlex.quote(str(tool("az")))} "$@" 2>&1) && exit 1',
        f'case $said in *"{SIGN_IN}"*) echo {ANY_ID} ;; *) echo "az $*: $said" >&2; exit 1 ;; esac',
    ]
    write_script(folder / "az", "\n".join(lines))


def write_script(file: Path, text: str) -> None:
    """Write a shell script that can be run."""
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
