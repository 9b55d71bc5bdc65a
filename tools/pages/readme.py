"""Writes the table of questions in README.md, from cookiecutter.json. `make update` runs it."""

from __future__ import annotations

import json
import re
from typing import Any

from tools.baking import ROOT

README = ROOT / "README.md"
SECTION = re.compile(r"(<!-- questions: .*? -->\n).*?(<!-- end of questions -->)", re.DOTALL)


def questions_table(template: dict[str, Any]) -> str:
    """Return the questions with their defaults and choices as a Markdown table."""
    rows = ["| Question | Asks for | Default | Choices |", "| --- | --- | --- | --- |"]
    for name, default in template.items():
        if name.startswith("_"):
            continue
        label = template["__prompts__"][name]
        question = label["__prompt__"] if isinstance(label, dict) else label
        choices = ", ".join(f"`{choice}`" for choice in default) if isinstance(default, list) else ""
        if isinstance(default, bool):
            choices = "`true`, `false`"
        first = (
            default[0] if isinstance(default, list) else str(default).lower() if isinstance(default, bool) else default
        )
        rows.append(f"| `{name}` | {question} | {default_words(name, str(first), template)} | {choices} |")
    return "\n".join(rows) + "\n"


def default_words(name: str, default: str, template: dict[str, Any]) -> str:
    """Return a question's default, where it depends on the cloud one for each cloud."""
    if "_clouds" in default:
        return "<br>".join(f"`{cloud[name]}` ({key})" for key, cloud in template["_clouds"].items())
    if "slugify" in default:
        return "from the project name"
    return f"`{default}`" if default else "empty"


def updated(readme: str) -> str:
    """Return the README with its table of questions made anew."""
    template = json.loads((ROOT / "cookiecutter.json").read_text())
    return SECTION.sub(lambda match: match[1] + questions_table(template) + match[2], readme)


def main() -> None:
    """Write the table."""
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
