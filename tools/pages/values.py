"""Writes docs/reference/values.md from records/values.json; `--record` pushes and pulls every kind of value first."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tools.baking import ROOT, bake, environment_of_a_project, run
from tools.class_tests import CLASS_TESTS, REQUIREMENTS
from tools.environments import project_environment, python_path, versions

RECORD = ROOT / "records" / "values.json"
PAGE = ROOT / "docs" / "reference" / "values.md"
CLASSES = {
    "Airflow's own": "airflow.sdk.bases.xcom.BaseXCom",
    "provider's class": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "custom class": "include.xcom_backend.XComBackend",
}
LIBRARIES = ("pandas", "pyarrow", "polars", "numpy")
HEAD = """# Values: what comes back

<!-- written by `make record ONLY=values`: do not edit -->

Each of these {number} values was pushed and pulled alone, on Airflow {airflow} with {libraries}:
with the XCom class that Airflow has itself, with the provider's, and with the [custom class](custom-backend.md).
The last two store everything, threshold 0. In between, the row went through JSON text without NaN, as databases have
it.

| Outcome | What it means |
| --- | --- |
| exact | equal, of the same type at every level |
| as base | equal, of the built-in type that it is a subclass of; `AIRFLOW__XCOM_BACKEND__STRICT=true` refuses it |
| refused | the push failed |
| **changed** | another value or another type came back, without an error |
| **never read** | the push succeeded, and every pull fails |

The template's `tests/class/values.py` has the table of the values, and `test_custom_values.py` beside it tries them
with the custom class also nested in lists, dicts and tuples, stored and inline.
"""


def record() -> None:
    """Push and pull every value with each class, and write down what became of it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        project = bake(home, home / "bake", {"cloud": "local", "xcom_backend": "custom"}, accept_hooks=False)
        python = project_environment("class", [project / "requirements-dev.txt", REQUIREMENTS])
        environment = environment_of_a_project(python.parent, home) | {
            "PYTHONPATH": f"{python_path(project)}:{CLASS_TESTS}",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{home}/xcom",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        }
        told = {}
        for name, path in CLASSES.items():
            command = [python, "-W", "ignore", ROOT / "tools" / "probes" / "try_values.py", path]
            done = run(*command, cwd=project, env=environment, check=True)
            told[name] = json.loads(done.stdout.splitlines()[-1])
        ask = f"import importlib.metadata as m, json; print(json.dumps([m.version(name) for name in {LIBRARIES}]))"
        installed = json.loads(run(python, "-c", ask, env=environment, check=True).stdout)
    rows = [
        [group, expression, *(told[name][place][2] for name in CLASSES)]
        for place, (group, expression, _) in enumerate(told["custom class"])
    ]
    libraries = dict(zip(LIBRARIES, installed, strict=True))
    found = {"airflow": versions("3")["version"], "libraries": libraries, "rows": rows}
    text = json.dumps(found, ensure_ascii=False).replace('], ["', '],\n["')
    RECORD.write_text(text + "\n", encoding="utf-8", newline="\n")


def write() -> None:
    """Write the page from the record."""
    PAGE.write_text(render(), encoding="utf-8", newline="\n")


def render() -> str:
    """Return the page."""
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = found["rows"]
    libraries = ", ".join(f"{name} {version}" for name, version in found["libraries"].items())
    lines = [HEAD.format(number=len(rows), airflow=found["airflow"], libraries=libraries), "## By kind", ""]
    titles = " | ".join(name[0].upper() + name[1:] for name in CLASSES)
    lines += [f"| Kind | {titles} |", "| --- | --- | --- | --- |"]
    for name, group in groupby(rows, key=lambda row: row[0]):
        some = list(group)
        lines.append(f"| {name} | {' | '.join(counted(row[place] for row in some) for place in (2, 3, 4))} |")
    lines.append(f"| all | {' | '.join(counted(row[place] for row in rows) for place in (2, 3, 4))} |")
    lines += ["", "## Each value", "", f"| Kind | Value | {titles} |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {row[0]} | {code(row[1])} | {' | '.join(map(loud, row[2:]))} |" for row in rows]
    return "\n".join(lines) + "\n"


def counted(outcomes: Iterable[str]) -> str:
    """Return outcomes with how often each was, the most frequent first."""
    return ", ".join(f"{number} {loud(one)}" for one, number in Counter(outcomes).most_common())


def loud(outcome: str) -> str:
    """Return an outcome, loud if it is a bad one."""
    return f"**{outcome}**" if outcome in {"changed", "never read"} else outcome


def code(text: str) -> str:
    """Return Python as a cell of a Markdown table."""
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    if "--record" in sys.argv:
        record()
    write()
