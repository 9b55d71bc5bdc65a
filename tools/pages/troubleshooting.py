"""Writes docs/reference/troubleshooting.md from the checks of the doctor. `make update` runs it.

With ``--print`` it writes to standard output instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "troubleshooting.md"
TEXTS = ROOT / "{{cookiecutter.project_slug}}" / "include" / "xcom_doctor" / "checks.toml"
# What the checks are about whose IDs begin so.
GROUPS = {
    "settings": "Settings that look right, and are ignored",
    "class": "The configured class",
    "path": "The base path",
    "threshold": "The threshold",
    "compression": "The compression",
    "connection": "The connection in the path",
    "rights": "The rights of the identity",
    "store": "The bucket",
    "mirror": "The mirror of the custom class",
    "custom": "The settings of the custom class",
    "roundtrip": "A value on its whole way",
    "references": "What is already there",
    "versions": "Versions",
}

HEAD = """# Why is my XCom not in the bucket?

<!-- made from the checks of the emitted doctor by `make update` -->

Ask the doctor, from the root of your project. In a few seconds it checks everything on this page, and for each thing
that is wrong it prints what it saw, why that matters, and the fix:

```bash
astro dev bash
python -m include.xcom_doctor
```

On your own machine, where Airflow is installed but `.env` is not read, add `--env-file .env`. On the workers of a
deployment, and on Remote Execution Agents, trigger the Dag `xcom_doctor`: its report is in the task log. Exit code 0 is
healthy, 1 means findings, 2 that the doctor itself could not run. It prints findings and warnings; `--all` also shows
what is healthy and what was not asked, `--only path rights.write` asks only that and what it needs, `--json` is for
machines. It changes no setting, shows no secret, and leaves nothing behind in the bucket.

To add a check, write a table of texts in `checks.toml` of `include/xcom_doctor/`, and a function of the same name in a
`checks_*.py`: it gets its place here.
"""


def page(groups: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterator[str]:
    """Yield the page: a section for each group of checks, and in it a block for each check."""
    yield HEAD
    for group, checks in groups.items():
        yield f"\n## {GROUPS[group]}\n"
        for name, texts in checks.items():
            yield f"\n### {escaped(texts['symptom'])}\n\n"
            yield f"`{group}.{name}` should be healthy: {escaped(texts['title'])}. {escaped(texts['why'])}\n\n"
            yield f"```text\n{texts['fix']}\n```\n"


def escaped(text: str) -> str:
    """Return the text as Markdown, in which `<bucket>` would be a tag."""
    return text.replace("<", "&lt;")


def main() -> None:
    """Write the page, or print it."""
    text = "".join(page(tomllib.loads(TEXTS.read_text(encoding="utf-8"))))
    if "--print" in sys.argv[1:]:
        sys.stdout.buffer.write(text.encode())
    else:
        PAGE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
