"""Keeps a record of what was tested with what: tests write it, and `make update` makes tables from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.environments import ROOT

FOLDER = ROOT / "records" / "tested-with"
CLI = ROOT / "records" / "astro-cli.json"
DOCKER = ROOT / "records" / "docker.json"
# Set by `make record ONLY=tested-with`. A plain test run leaves the record as it is.
RECORD = "XCOM_TEMPLATE_RECORD"
PROVIDERS = {"aws": "amazon", "gcp": "google", "azure": "microsoft-azure", "local": "common-io"}
# What of the Astro CLI nobody ran, and why.
NOT_RUN = {
    "astro deploy, astro deployment": "they need an account",
    "astro remote deploy": "it needs an account and a registry",
}
NOT_RUN_WITH_DOCKER = {
    "the real Runtime image": "no registry can be reached where this was recorded; `REAL_IMAGES=1` takes no other",
    "the image of the agents": "its base needs an account",
    "Airflow 2, and `requirements.txt` installed with plain pip": "they were begun and not finished",
    "Docker Desktop, Podman, OrbStack": "the engine was Docker's own, on Linux",
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


def record_docker(case: str, cli: str, seen: Mapping[str, str | int]) -> None:
    """Write down what a case of `make e2e ONLY=docker` ran on, and how long it took, if the test run was asked to.

    :param cli: the version of the Astro CLI, such as ``1.45.0``
    """
    if os.environ.get(RECORD):
        cases = json.loads(DOCKER.read_text()) if DOCKER.exists() else {}
        cases[case] = {"cli": cli, **seen}
        DOCKER.write_text(json.dumps(cases, indent=2, sort_keys=True) + "\n", newline="\n")


def docker_table() -> str:
    """Return what is on record of the Astro CLI with Docker as a Markdown table, a row for each case."""
    rows = [
        ["Airflow", "Cloud", "XCom backend", "Runtime", "Python", "Start, s", "All, s", "Load", "Image", "Tests passed"]
    ]
    rows.append(["---"] * len(rows[0]))
    for _, case in sorted(json.loads(DOCKER.read_text()).items(), key=lambda item: (item[1]["airflow"], item[0])):
        names = [case[name] for name in ("airflow", "cloud", "xcom_backend")]
        numbers = [str(case[name]) for name in ("start_seconds", "seconds", "load")]
        image = [f"{case['image_bytes'] / 1e6:.0f} MB", str(case["tests_passed"])]
        rows.append([*names, f"{case['runtime']}: {case['is']}", case["python"], *numbers, *image])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def not_run_with_docker() -> str:
    """Return what was not seen of the Astro CLI with Docker, and why, as a Markdown list."""
    return "".join(f"- Not run: {what}. {why[0].upper()}{why[1:]}.\n" for what, why in NOT_RUN_WITH_DOCKER.items())


def cli_table() -> str:
    """Return what is on record of the Astro CLI as a Markdown table, with what was not run and why."""
    result = json.loads(CLI.read_text())
    rows = [f"| Astro CLI {result['cli']}, Runtime {result['runtime']} | What was seen |", "| --- | --- |"]
    rows += [f"| `{command}` | {seen} |" for command, seen in result["did"].items()]
    rows += [f"| not run: {command} | {why} |" for command, why in NOT_RUN.items()]
    return "\n".join(rows) + "\n"
