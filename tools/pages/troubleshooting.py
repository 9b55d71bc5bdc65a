"""Writes docs/reference/troubleshooting.md from the checks of the doctor. `make update` runs it.

With ``--print`` it writes to standard output instead.
"""

from __future__ import annotations

import re
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

# A fix that ends in what is to be typed or written, such as "set in .env: NAME=value (…)".
TO_COPY = re.compile(
    r"(?P<lead>.*?):? (?P<copy>(?:AIRFLOW|GCSFS)\w+=.*?|(?:astro|airflow) .*?)(?P<rest>| \(.*\)|, or .*)", re.DOTALL
)
IDENTIFIER = re.compile(
    r"(?<!\w)(?:AIRFLOW_\w+|\.env\b|include\.\w+|requirements\.txt|infra/|airflow(?:_settings)?\.(?:cfg|yaml))"
)

HEAD = """# Why is my XCom not in the bucket?

<!-- made from the checks of the emitted doctor by `make update` -->

Ask the doctor, from the root of your project. It takes a few seconds, and for each thing that is wrong it says what it
saw, why that matters, and the fix:

=== "Astro CLI"

    ```bash
    astro dev bash
    python -m include.xcom_doctor
    ```

=== "Python alone"

    ```bash
    ./airflow.sh python -m include.xcom_doctor
    ```

![A finding of the doctor: there is no bucket of this name, but one like it](../images/shots/doctor.svg)

On the workers of a deployment, and on Remote Execution Agents, trigger the Dag `xcom_doctor`: its report is in the task
log. The doctor changes no setting, shows no secret, and leaves nothing behind in the bucket.

| Option | Effect |
| --- | --- |
| `--all` | also shows what is healthy and what was not asked |
| `--only path rights.write` | asks only that and what it needs |
| `--offline` | asks no store |
| `--env-file .env` | reads settings from this file, where Airflow is installed and `.env` is not read |
| `--json` | prints JSON |

Exit code 0 means healthy, 1 findings, 2 that the doctor itself could not run. What follows is all that it can find,
by what you see.
"""


def page(groups: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterator[str]:
    """Yield the page: a section for each group of checks, and in it a block for each check."""
    yield HEAD
    for group, checks in groups.items():
        yield f"\n## {GROUPS[group]}\n"
        for name, texts in checks.items():
            yield f"\n### {escaped(texts['symptom'])}\n\n{escaped(texts['why'])}\n\n"
            yield f"{fix_words(texts['fix'])}\n\nThe doctor's check: `{group}.{name}`\n"


def fix_words(fix: str) -> str:
    """Return a fix, with what is to be copied as a block."""
    found = TO_COPY.fullmatch(fix)
    if not found:
        return f"**Fix:** {escaped(fix)}."
    language = "ini" if "=" in found["copy"].partition(" ")[0] else "bash"
    rest = escaped(found["rest"].lstrip(" ,").strip("()"))
    after = f"\n\n{rest[0].upper()}{rest[1:]}." if rest else ""
    return f"**Fix:** {escaped(found['lead'])}:\n\n```{language}\n{found['copy']}\n```{after}"


def escaped(text: str) -> str:
    """Return the text as Markdown: names and files as code, and outside of code no `<bucket>`, which would be a tag."""
    parts = text.split("`")
    parts[::2] = (IDENTIFIER.sub(r"`\g<0>`", part.replace("<", "&lt;")) for part in parts[::2])
    return "`".join(parts)


def main() -> None:
    """Write the page, or print it."""
    text = "".join(page(tomllib.loads(TEXTS.read_text(encoding="utf-8"))))
    if "--print" in sys.argv[1:]:
        sys.stdout.buffer.write(text.encode())
    else:
        PAGE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
