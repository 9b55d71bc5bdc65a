"""Keeps a record of what was tested with what: tests write it, and `make update` makes tables from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.baking import ROOT

FOLDER = ROOT / "records" / "tested-with"
CLI = ROOT / "records" / "astro-cli.json"
DOCKER = ROOT / "records" / "docker.json"
# Set by `make record ONLY=tested-with`. A plain test run leaves the record as it is.
RECORD = "XCOM_TEMPLATE_RECORD"
PROVIDERS = {"aws": "amazon", "gcp": "google", "azure": "microsoft-azure", "local": "common-io"}
# Commands of the Astro CLI that nobody ran, and why.
NOT_RUN = {
    "astro dev start, pytest, parse with Docker": "`make e2e ONLY=docker` runs them, and has not passed as a whole yet",
    "astro deploy, astro deployment": "they need an account",
    "astro remote deploy": "it needs an account, a container engine and a registry",
}
ASK = """
import importlib.metadata, json, platform, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps({"python": platform.python_version(), **versions}))
"""


def record(name: str, answers: Mapping[str, Any], python: Path, output: str) -> None:
    """Write down that the tests of this project passed, if the test run was asked to.

    :param answers: those that the project was baked with
    :param python: the one of the project's environment
    :param output: what pytest printed
    """
    if not os.environ.get(RECORD):
        return
    provider = PROVIDERS[answers["cloud"]]
    packages = ["apache-airflow", "apache-airflow-providers-common-io", f"apache-airflow-providers-{provider}"]
    command = [str(python), "-c", ASK, *packages, "astro-sdk-python"]
    versions = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (stores,) = re.findall(r"^XCom object store: (.*)$", output, re.MULTILINE)
    (passed,) = re.findall(r"= (\d+) passed", output)
    result = {
        "answers": answers,
        "versions": versions,
        "store": re.sub(r" on http\S+", "", stores),
        "passed": int(passed),
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", newline="\n")


def table() -> str:
    """Return all that is on record as a Markdown table."""
    rows = ["| Airflow | Python | Cloud | Compression | XCom backend | Providers | Store | Tests passed |"]
    rows.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    results = [json.loads(file.read_text()) for file in FOLDER.glob("*.json")]
    for result in sorted(results, key=lambda result: (result["versions"]["apache-airflow"], str(result["answers"]))):
        answers, versions = result["answers"], result["versions"]
        providers = [
            f"{name.removeprefix('apache-airflow-providers-')} {version}"
            for name, version in versions.items()
            if name not in ("python", "apache-airflow")
        ]
        cells = [versions["apache-airflow"], versions["python"], answers["cloud"], answers.get("compression", "none")]
        cells += [
            answers.get("xcom_backend", "object_storage"),
            ", ".join(providers),
            result["store"],
            str(result["passed"]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def record_cli(version: str, runtime: str, did: Mapping[str, str]) -> None:
    """Write down what commands of the Astro CLI did with a bake, if the test run was asked to.

    :param version: of the CLI, such as ``1.45.0``
    :param runtime: of the project's Dockerfile
    :param did: what was seen, by command
    """
    if os.environ.get(RECORD):
        CLI.write_text(json.dumps({"cli": version, "runtime": runtime, "did": did}, indent=2) + "\n", newline="\n")


def record_docker(case: str, seen: Mapping[str, str]) -> None:
    """Write down, if asked to, what a case of `make e2e ONLY=docker` ran on, by the heads of the table."""
    if os.environ.get(RECORD):
        cases = json.loads(DOCKER.read_text()) if DOCKER.exists() else {}
        DOCKER.write_text(json.dumps({**cases, case: seen}, indent=2, sort_keys=True) + "\n", newline="\n")


def docker_table() -> str:
    """Return what is on record of the Astro CLI with Docker as a Markdown table, a row for each case."""
    cases = list(json.loads(DOCKER.read_text()).values())
    rows = [list(cases[0]), ["---"] * len(cases[0]), *(list(case.values()) for case in cases)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cli_table() -> str:
    """Return what is on record of the Astro CLI as a Markdown table, with what was not run and why."""
    result = json.loads(CLI.read_text())
    rows = [f"| Astro CLI {result['cli']}, Runtime {result['runtime']} | What was seen |", "| --- | --- |"]
    rows += [f"| `{command}` | {seen} |" for command, seen in result["did"].items()]
    rows += [f"| not run: {command} | {why} |" for command, why in NOT_RUN.items()]
    return "\n".join(rows) + "\n"
