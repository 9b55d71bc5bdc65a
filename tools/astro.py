"""The real Astro CLI, run as a person would run it."""

from __future__ import annotations

import functools
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tools.environments import ROOT

OLDEST = (1, 45)
MISSING = "no Astro CLI on this machine: install it, or name it with ASTRO=/path/to/astro"


# It cannot be built from public modules: it may lie packed beside this folder.
PACKED = ROOT.parent / "shared" / "docker-mode"


@functools.cache
def astro_cli() -> str | None:
    """Return the path of the Astro CLI: ASTRO=/path/to/astro, that of the PATH, or one that lies packed nearby."""
    found = os.environ.get("ASTRO") or shutil.which("astro")
    packed = sorted(PACKED.glob("astro-*.xz"))
    if found or not packed:
        return found
    astro = ROOT / ".tools" / packed[-1].stem
    if not astro.exists():
        astro.parent.mkdir(exist_ok=True)
        part = astro.with_suffix(f".{os.getpid()}")
        with lzma.open(packed[-1]) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target)
        part.chmod(0o755)
        part.replace(astro)
    return str(astro)


class CommandFailedError(Exception):
    """A command of the CLI did not end as it should. Its text is what it printed."""


@dataclass(frozen=True)
class Cli:
    """The Astro CLI in an environment.

    :param tell_more: what else to say of a command that failed in a folder
    """

    environment: dict[str, str]
    tell_more: Callable[[Path], str] = lambda _: ""
    version: str = ""

    def __call__(self, folder: Path, *arguments: str, code: int = 0, typed: str = "") -> str:
        """Run a command of the CLI in a folder, and return what it printed, after looking at its exit code."""
        return self.program(folder, str(astro_cli()), *arguments, code=code, typed=typed)

    def program(self, folder: Path, *command: str, code: int = 0, typed: str = "") -> str:
        """Run any program as a person would beside the CLI."""
        # To a file and not to a pipe: what `dev start` leaves running would keep a pipe open.
        log = folder.parent / "astro.log"
        with log.open("wb") as output, tempfile.TemporaryFile() as keyboard:
            keyboard.write(typed.encode())
            keyboard.seek(0)
            done = subprocess.run(
                command, cwd=folder, env=self.environment, stdin=keyboard, stdout=output, stderr=output
            )
        said = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
        if done.returncode != code:
            told = "\n".join([said, self.tell_more(folder)])
            raise CommandFailedError(f"{' '.join(command)}: exit code {done.returncode}\n{told}")
        return said

    def checked(self, folder: Path) -> Cli:
        """Return this CLI with its version, which must be one that these tests know."""
        version = re.search(r"(\d+)\.(\d+)\.\d+", self(folder, "version"))
        if not version or tuple(map(int, version.groups())) < OLDEST:
            raise CommandFailedError(f"{astro_cli()} is older than 1.45: {version}")
        return replace(self, version=version[0])
