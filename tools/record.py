"""Measures anew, and writes what depends on it: `make record ONLY=bench`. Without a name it lists what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.environments import ROOT

PYTHON = (sys.executable,)
DOCS_PYTHON = (str(ROOT / ".venv-docs" / "bin" / "python"),)
PYTEST = (*PYTHON, "-m", "pytest", "--numprocesses", "0", "-p", "no:cacheprovider", "-rA", "--show-capture=no")
UPDATE = (*PYTHON, "-m", "tools.pages")


@dataclass(frozen=True)
class Measurement:
    """What is measured, on a quiet machine of 2 cores in about so many minutes, and the commands that do it."""

    about: str
    minutes: int
    commands: Sequence[Sequence[str]]
    variables: dict[str, str] = field(default_factory=dict)


MEASUREMENTS = {
    "bench": Measurement(
        "the custom class beside the provider's backend, into records/benchmarks.json",
        20,
        [(*PYTHON, "benchmarks/xcom_backends.py"), UPDATE],
    ),
    "cluster": Measurement(
        "a cluster, its load and growth, into records/cluster.json",
        12,
        [(*PYTEST, "e2e/cluster"), UPDATE],
        {"XCOM_TEMPLATE_RECORD": "1"},
    ),
    "explorer": Measurement(
        "the time until the explorer shows 1,000 XComs, and what memory it takes, into records/explorer.json",
        3,
        [(*PYTEST, "e2e/explorer/test_measured.py"), UPDATE],
        {"XCOM_TEMPLATE_RECORD": "1"},
    ),
    "fire": Measurement(
        "what faults do to real runs with both backends, into records/fire.json",
        12,
        [(*PYTEST, "e2e/fire/test_fire.py"), UPDATE],
        {"FIRE_RECORD": "1"},
    ),
    "upgrade": Measurement(
        "the walk of real XComs from Airflow 2.11 to 3.3, which needs PostgreSQL",
        2,
        [(*PYTHON, "e2e/upgrade/walk.py"), (*PYTHON, "e2e/upgrade/walk.py", "--custom")],
    ),
    "tested-with": Measurement(
        "the tests of projects on every Airflow, into records/tested-with/",
        15,
        [
            (*PYTHON, "-m", "pytest", "tests/projects/test_projects.py", "tests/projects/test_airflow_versions.py"),
            UPDATE,
        ],
        {"XCOM_TEMPLATE_RECORD": "1"},
    ),
    "docker": Measurement(
        "astro dev start with Docker on each store, into records/docker.json",
        25,
        [(*PYTEST, "e2e/docker"), UPDATE],
        {"XCOM_TEMPLATE_RECORD": "1"},
    ),
    "compression": Measurement(
        "compressed XComs that get lost, into records/compression.json",
        5,
        [(*PYTHON, "benchmarks/compression_proof.py"), UPDATE],
    ),
    "least-privilege": Measurement(
        "what fails without each right, into docs/reference/least-privilege.md",
        3,
        [(*PYTHON, "-m", "tools.pages.least_privilege")],
    ),
    "values": Measurement(
        "what becomes of every kind of value with each class, into records/values.json",
        1,
        [(*PYTHON, "-m", "tools.pages.values", "--record")],
    ),
    "shots": Measurement(
        "pictures of real Airflow and real terminals, into docs/images/",
        10,
        [(*DOCS_PYTHON, "-m", "tools.pages.shots")],
    ),
    "streams": Measurement(
        "what 1,000 mapped task instances of a real Airflow take from the store over 1,000 items of 1 MB; prints it",
        40,
        [(*PYTEST, "-s", "e2e/streams/test_runs.py", "-k", "takes_its_item and 3")],
        {"FAN_OUT": os.environ.get("FAN_OUT", "1000")},
    ),
    "fuzz": Measurement(
        "random bytes on codecs and parsers of the custom class; what is interesting stays in e2e/fuzz/corpus/",
        7,
        [(*PYTEST, "e2e/fuzz")],
        {"FUZZ_SECONDS": os.environ.get("FUZZ_SECONDS", "45"), "FUZZ_KEEP": "1"},
    ),
}


def main() -> int:
    """Run one measurement, with further arguments for its first command; return the first exit code that is not 0."""
    name, *options = sys.argv[1:] or [""]
    if name not in MEASUREMENTS:
        for known, one in MEASUREMENTS.items():
            print(f"make record ONLY={known:16} {one.about} ({one.minutes} minutes)")
        return int(bool(name))
    measurement = MEASUREMENTS[name]
    print(f"Measuring {measurement.about}: about {measurement.minutes} minutes on a quiet machine.", flush=True)
    first, *others = measurement.commands
    for command in ([*first, *options], *others):
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **measurement.variables}, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
