"""Bakes the template in this process, away from the cookiecutter settings and answers of whoever runs the tests."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cookiecutter.main import cookiecutter

from tools.environments import ROOT as ROOT
from tools.template import template

PROJECT_TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
CONFIG = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))

QUESTIONS = [name for name in CONFIG if not name.startswith("_")]
ASKED = [name for name in QUESTIONS if name not in CONFIG["__prompts__"]["__not_asked__"]]
CHOICES: dict[str, list[str]] = {name: CONFIG[name] for name in QUESTIONS if isinstance(CONFIG[name], list)}
CLOUDS = CHOICES["cloud"]
# The questions whose answers decide together what a project is. All other questions are free text.
INTERACTING = ("cloud", "compression", "xcom_backend", "airflow", "astro_sdk")
# The choices that add files and change next to nothing in the others: a few bakes have them.
ADDING = ("ci", "explorer")

MIRRORS = {
    "aws": "gs://my_gcp_conn@second/xcom",
    "gcp": "abfs://my_azure_conn@second/xcom",
    "azure": "s3://my_aws_conn@second/xcom",
    "local": "file:///srv/second",
}

# A mirror in the same cloud, the only kind that agents can reach.
SECOND_STORES = {
    "aws": "s3://my_aws_conn@second/xcom",
    "gcp": "gs://my_gcp_conn@second/xcom",
    "azure": "abfs://second_conn@second/xcom",
}

Answers = Mapping[str, Any]
Bake = Callable[..., Path]
Install = Callable[..., Path]


def product() -> list[dict[str, Any]]:
    """Return the combinations of the answers that interact and are not refused, as cookiecutter.json offers them.

    All of them without compression. A compression changes three lines: each is there with every other answer, in pairs.
    """
    choices = (CHOICES.get(name, [False, True]) for name in INTERACTING)
    combinations = (dict(zip(INTERACTING, answers, strict=True)) for answers in itertools.product(*choices))
    taken = [answers for answers in combinations if not any(is_refused(answers, row) for row in CONFIG["_refused"])]
    # clear_override matters to the backend and to Airflow, a mirror to the custom class: not to all the others.
    zipped = (answers for answers in taken if answers["compression"] == "zip")
    cleared = (answers for answers in zipped if answers["cloud"] == "aws" or has_clear(answers))
    clears = [{**answers, "clear_override": True} for answers in cleared]
    mirrored = {"xcom_backend": "custom", "compression": "none", "airflow": "3", "astro_sdk": False}
    mirrors = [{"cloud": cloud, **mirrored, "mirror": MIRRORS[cloud]} for cloud in CLOUDS]
    plain = [answers for answers in taken if answers["compression"] == "none"]
    workflows = [{**answers, "ci": "github"} for answers in plain if answers["xcom_backend"] == "object_storage"]
    explorers = [{**answers, "explorer": True} for answers in plain if answers["airflow"] == "3"]
    second = [{"cloud": cloud, **mirrored, "mirror": SECOND_STORES[cloud]} for cloud in SECOND_STORES]
    agents = [{**answers, "remote_execution": True} for answers in [*taken, *second] if has_agents(answers)]
    examples = [{**answers, "examples": True} for answers in plain if answers["xcom_backend"] == "custom"]
    return list(in_pairs(taken)) + clears + mirrors + workflows + agents + explorers + examples


def in_pairs(taken: Iterable[Answers]) -> Iterator[dict[str, Any]]:
    """Yield all answers without compression, and the first ones that have a compression with another answer."""
    seen: set[tuple[str, str, str]] = set()
    for answers in taken:
        compression = answers["compression"]
        pairs = {(compression, name, str(value)) for name, value in answers.items() if name != "compression"}
        if compression == "none" or pairs - seen:
            seen |= pairs
            yield dict(answers)


def has_clear(answers: Answers) -> bool:
    """Whether clear_override adds a clear() to the custom class: only Airflow 2 calls one."""
    return bool(answers["xcom_backend"] == "custom" and answers["airflow"] == "2")


def has_agents(answers: Answers) -> bool:
    """Whether these answers are tested with Remote Execution: where it is not refused, without and with compression."""
    wanted = {**answers, "remote_execution": True}
    return answers["compression"] in ("none", "zstd") and not any(is_refused(wanted, row) for row in CONFIG["_refused"])


def is_refused(answers: Answers, row: Mapping[str, Any]) -> bool:
    """Whether a row of the table of combinations that cannot go together is about these answers."""
    wanted = row["answers"].items()
    return all(re.fullmatch(pattern, str(answers.get(name, CONFIG[name]))) for name, pattern in wanted)


def name_of(answers: Answers) -> str:
    """Return a short readable name of some answers, as pytest shows it: of a yes-or-no question its name for a yes."""
    words = (name if value is True else value for name, value in answers.items() if value is not False)
    return "-".join(words) or "defaults"


def as_typed(value: str) -> str:
    """Return a Jinja expression that gives exactly this text.

    cookiecutter renders what stands on its command line, but not what is typed at a prompt: so an answer from the
    command line arrives as if it had been typed.
    """
    escaped = value.encode("unicode-escape").decode().replace('"', '\\"')
    return '{{ "' + escaped + '" }}'


def write_settings(home: Path) -> Path:
    """Write cookiecutter settings under which nothing of the user's own is read or written, and return their file."""
    settings = home / "cookiecutter.yaml"
    settings.write_text(json.dumps({f"{name}_dir": str(home / name) for name in ("replay", "cookiecutters")}))
    return settings


def bake(home: Path, output: Path, answers: Answers, *, accept_hooks: bool = True) -> Path:
    """Bake a project into the folder ``output`` and return the project's own folder.

    :param home: a folder for cookiecutter's settings and replay files
    """
    output.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(home)  # cookiecutter leaves a folder behind
    try:
        project = cookiecutter(
            str(template()),
            no_input=True,
            extra_context={
                name: as_typed(value) if name not in CHOICES and isinstance(value, str) else value
                for name, value in answers.items()
            },
            output_dir=str(output),
            config_file=str(write_settings(home)),
            accept_hooks=accept_hooks,
        )
    finally:
        tempfile.tempdir = before
    return Path(project)


def command(name: str) -> str:
    """Return the path of a program that is installed next to this Python, such as ``cookiecutter``."""
    folder = Path(sys.executable).parent
    return str(folder / (f"{name}.exe" if os.name == "nt" else name))


def clean_environment(home: Path, **variables: str) -> dict[str, str]:
    """Return this process's environment without what could sway cookiecutter or git, with a home of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTEST_", "COOKIECUTTER_"))
    }
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "VIRTUAL_ENV"):
        kept.pop(name, None)
    git = {f"GIT_{who}_{what}": f"{who}@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {"HOME": str(home), "USERPROFILE": str(home), "COOKIECUTTER_CONFIG": str(write_settings(home))}
    return {**kept, **git, "GIT_CONFIG_NOSYSTEM": "1", "PYTHONUTF8": "1", **settings, **variables}


def environment_of_a_project(programs: Path, tmp_path: Path) -> dict[str, str]:
    """Return this process's environment without Airflow's, the clouds' and Python's own variables.

    The home stays: Azurite is kept in its cache, and npm's settings may say where to get it.
    """
    home = {name: os.environ[name] for name in ("HOME", "USERPROFILE") if name in os.environ}
    variables = {**clean_environment(tmp_path), **home}
    of_others = ("AIRFLOW", "AWS_", "AZURE_", "GOOGLE_", "GCP_", "PYTHON")
    variables = {name: value for name, value in variables.items() if not name.startswith(of_others)}
    return {**variables, "PATH": os.pathsep.join([str(programs), variables["PATH"]])}


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its output as text, whatever its exit code."""
    settings = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 600, **options}
    if "input" in settings:
        del settings["stdin"]
    return subprocess.run([str(argument) for argument in arguments], **settings)  # type: ignore[call-overload, no-any-return]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its path in it, with forward slashes, except what git and bytecode add."""
    return {path: (folder / path).read_bytes() for path in sorted(paths_of(folder))}


def paths_of(folder: Path) -> Iterator[str]:
    """Yield the path of every file of a folder, relative to it and with forward slashes."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and ".git" not in parts and "__pycache__" not in parts:
            yield "/".join(parts)
