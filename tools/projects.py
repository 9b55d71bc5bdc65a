"""Baked projects as their users have them: in a folder of their own, with git, and with the programs they install."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.baking import ROOT, clean_environment, environment_of_a_project, run

# Small programs that run in a project's environment.
PROBES = ROOT / "tools" / "probes"


@dataclass(frozen=True)
class Project:
    """A project of its own in a folder of its own, with the programs of its environment."""

    folder: Path
    programs: Path
    variables: dict[str, str]
    git: dict[str, str]

    def new_to_git(self) -> list[str]:
        """Return the files that git would ask about: neither emitted nor ignored."""
        status = run("git", "status", "--porcelain", "-uall", cwd=self.folder, env=self.git, check=True).stdout
        return [line for line in status.splitlines() if line.startswith("??")]

    def run(self, program: str, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the project's environment in the project's folder."""
        environment = {**self.variables, **variables}
        return run(self.programs / program, *arguments, cwd=self.folder, env=environment)


def make_project(baked: Path, programs: Path, tmp_path: Path) -> Project:
    """Return a copy of a bake in which tests may write, to be run with an environment in which little else is set."""
    folder = tmp_path / "project"
    shutil.copytree(baked, folder)
    git = clean_environment(tmp_path, GIT_DIR=str(tmp_path / "git"), GIT_WORK_TREE=str(folder))
    run("git", "init", "--quiet", env=git, check=True)
    run("git", "add", "--all", cwd=folder, env=git, check=True)
    return Project(folder, programs, environment_of_a_project(programs, tmp_path), git)


def read_as_docker(text: str) -> dict[str, str]:
    """Read a file as `docker --env-file` does, and so `astro dev pytest`: the value is all behind the first `=`.

    Rules of docker/cli, pkg/kvfile: white space goes only at the left of a line, `#` starts a comment only there,
    quotes stay, a name without `=` is looked up in the caller's environment, and white space in a name is an error.

    :raises ValueError: if Docker would not take the file as it is
    """
    values = {}
    for line in text.split("\n"):
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not re.fullmatch(r"\S+", name):
            raise ValueError(f"docker refuses the name {name!r}")
        if not equals:
            raise ValueError(f"docker would take {name} from the caller's environment")
        values[name] = value
    return values
