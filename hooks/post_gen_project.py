"""Says what to do next with exactly this project, in colour where the terminal has it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

# tojson escapes all that could end this string: whatever was typed at a prompt stays data.
COOKIECUTTER = json.loads(
    r"""
{{ cookiecutter | tojson }}
"""
)


def next_steps(answers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each step as (what to do, the command that does it)."""
    cloud = answers["_clouds"][answers["cloud"]]
    yield "Go to your new project", f"cd {answers['project_slug']}"
    if cloud["create"]:
        yield (
            f"Create the {cloud['container']} on {cloud['store']}, unless infra/ does",
            cloud["create"].format(**answers),
        )
        yield f"Paste {cloud['paste']}", f"into .env, at AIRFLOW_CONN_{answers['connection_id'].upper()}"
    if answers["__mirror"] and answers["__mirror_cloud"] != "local":
        yield (
            "Write the connection of the mirror",
            f"into .env, at AIRFLOW_CONN_{answers['__mirror_connection_id'].upper()}",
        )
    yield "Start Airflow", "astro dev start"
    install = "python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt"
    yield "or without the Astro CLI: install Airflow, once", install
    yield "and start it; ./airflow.sh also stands for astro dev run below", "./airflow.sh standalone"
    yield "Switch the test Dag on", "astro dev run dags unpause custom_xcom_backend_test"
    yield "Run it", "astro dev run dags trigger custom_xcom_backend_test"
    look, shell = ("See the big object in the store", cloud["look"].format(**answers)), "astro dev bash"
    if answers["__infra"]:
        yield look
        yield "If it is not there, open a shell where Airflow runs", shell
    else:
        yield "Open a shell where Airflow runs", shell
        yield look
    yield "and ask the doctor there", "python -m include.xcom_doctor"


def show(answers: dict[str, Any]) -> None:
    """Print the steps."""
    console = Console(highlight=False)
    console.print(f"\n[bold green]{escape(answers['project_name'])}[/] is ready.\n")
    for number, (step, command) in enumerate(next_steps(answers), start=1):
        console.print(f"  [bold]{number}.[/] {escape(step)}")
        console.print(f"     [cyan]{escape(command)}[/]", soft_wrap=True)
    console.print("\nREADME.md in that folder has each step in full, and what you should see.\n")


# Folders cannot be chosen by name as files can: these are empty where what is in them was not asked for.
EMPTY = "include/xcom_backend", "infra", "plugins/xcom_explorer", "remote-execution", ".github/workflows", ".github"
for folder in EMPTY:
    with suppress(OSError):
        Path(folder).rmdir()

# .env will hold keys. And the containers of the Astro CLI, which run as another user, get these folders: under a strict
# umask they could read none of them.
with suppress(OSError):
    Path(".env").chmod(0o600)
    Path("airflow.sh").chmod(0o755)  # a zip of the template does not say so
    for mounted in (".astro", "dags", "include", "plugins", "tests"):
        for path in (Path(mounted), *Path(mounted).rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))

# cookiecutter deletes the project when this hook fails, so no terminal may make it fail: one that lacks a letter of the
# project's name shows a question mark, and one that is gone (`| head`) shows nothing.
sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
try:
    show(COOKIECUTTER)
    sys.stdout.flush()
except (OSError, SystemExit):  # rich turns a closed pipe into SystemExit
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
