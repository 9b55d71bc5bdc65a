"""The template alone, without the environments that lie beside it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tools.environments import ROOT


def template() -> Path:
    """Return a folder with the template and nothing else of this one, by links.

    cookiecutter copies the folder of a template that has a hook before the prompts: here, gigabytes of environments.
    """
    folder = ROOT / ".demo" / "xcom-template"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("cookiecutter.json", "few_questions.py", "hooks", "templates", "{{cookiecutter.project_slug}}"):
        with suppress(FileExistsError):
            (folder / name).symlink_to(Path("..", "..", name))
    return folder
