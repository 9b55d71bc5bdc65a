"""Writes docs/reference/troubleshooting.md from the checks of the doctor. `make update` runs it.

With ``--print`` it writes to standard output instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "troubleshooting.md"
# The checks import these and use them only when they run: the page needs their texts alone, and so no Airflow.
NOT_HERE = ("fsspec", "fsspec.asyn", "fsspec.utils", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.sql")

HEAD = """# Why is my XCom not in the bucket?

<!-- made from the checks of the emitted doctor by `make update` -->

Ask the doctor, from the root of your project. It asks everything on this page in a few seconds, and names for each
thing that is wrong the line that mends it:

```bash
astro dev bash
python -m include.xcom_doctor
```

On your own machine, where Airflow is installed but `.env` is not read, add `--env-file .env`. On the workers of a
deployment, and on Remote Execution Agents, trigger the Dag `xcom_doctor`: its report is in the task log. Exit code 0 is
healthy, 1 says that there are findings, 2 that the doctor itself could not run. `--json` is for machines. It changes no
setting, shows no secret, and leaves nothing behind in the bucket.

To add a check, write one function in a `checks_*.py` of `include/xcom_doctor/`: it gets a row here.
"""


def load_checks() -> list[Any]:
    """Return the checks in the order of the doctor's report."""
    sys.dont_write_bytecode = True  # a cache in the template's folder would be baked
    for name in NOT_HERE:
        sys.modules.setdefault(name, MagicMock())
    sys.path.insert(0, str(ROOT / "{{cookiecutter.project_slug}}"))
    return list(import_module("include.xcom_doctor.registry").load_checks().values())


def page(checks: Iterable[Any]) -> Iterator[str]:
    """Yield the page: a section for each module of checks, a table row for each check."""
    yield HEAD
    for module, group in groupby(checks, key=lambda one: one.run.__module__):
        yield f"\n## {title(sys.modules[module].__doc__ or '')}\n\n"
        yield "| You see | It should be so | Why | Mend |\n| --- | --- | --- | --- |\n"
        for one in group:
            cells = (one.symptom, f"{one.title} (`{one.id}`)", one.why, one.mend)
            yield f"| {' | '.join(map(cell, cells))} |\n"


def title(docstring: str) -> str:
    """Return what a module's checks are about: `Checks of the base path: …` is about `The base path`."""
    words = docstring.partition("\n")[0].removeprefix("Checks of ").partition(":")[0].partition(",")[0].rstrip(".")
    return words[:1].upper() + words[1:]


def cell(text: str) -> str:
    """Return the text as a table cell, in which a bar would end it and `<bucket>` would be a tag."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def main() -> None:
    """Write the page, or print it."""
    text = "".join(page(load_checks()))
    if "--print" in sys.argv[1:]:
        sys.stdout.buffer.write(text.encode())
    else:
        PAGE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
