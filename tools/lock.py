"""Pins the environments of the template's tests: `make lock` runs this after a change.

- `template.txt`, from `template.in`: what `make test` and `make lint` need.
- `docs.txt`, from `docs.in`: what `make docs` needs. `tutorial.txt`: programs that readers of the docs have.
- `infra.txt`, from `infra.in`: the tools that check the emitted infra/, in an environment of their own.
- `projects.in`, gathered from `class.in` and the requirement files of a bake of every cloud, compression and class, and
  `projects.txt`, its lock: used as constraints where the tests install the requirement files of a bake, so that they
  run on the same packages today and next year. The bakes themselves pin only what they name.
- `projects-airflow2.in` and `.txt`: the same for bakes with `airflow: 2`, with and without astro-sdk.
- `projects-python-3.10.txt`: as `projects.txt`, on Python 3.10 with the stand-ins of `python-3.10.txt`.
- `projects-next.in` and `.txt`: as `projects`, with the coming Airflow that `next` in cookiecutter.json names.
- `cluster.txt`, from `cluster.in`: what `make e2e` adds to a project for a cluster. It goes with `projects.txt`.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.baking import CHOICES, CONFIG, ROOT, bake, command

REQUIREMENTS = ROOT / "requirements"

COMPILE = ("pip", "compile", "--quiet", "--universal")
ONLY_PINS = ("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links")
HEAD = "# Gathered by lock.py from a bake of every cloud, compression and class. Do not edit."


def pins_of_all_bakes(airflow: str) -> list[str]:
    """Return each requirement of class.in and of all bakes for this Airflow, but for those without dependencies."""
    pins = set(read_pins(REQUIREMENTS / "class.in"))
    astro_sdk = (False, True) if airflow == "2" else (False,)
    with tempfile.TemporaryDirectory() as folder:
        names = ("cloud", "compression", "xcom_backend")
        combinations = itertools.product(*(CHOICES[name] for name in names), astro_sdk)
        for number, (*chosen, with_astro_sdk) in enumerate(combinations):
            answers = dict(zip(names, chosen, strict=True), airflow=airflow, astro_sdk=with_astro_sdk)
            project = bake(Path(folder), Path(folder, str(number)), answers, accept_hooks=False)
            for file in (project / "requirements.txt", project / "requirements-dev.txt"):
                pins |= set(read_pins(file))
    return sorted(pins)


def read_pins(file: Path) -> list[str]:
    """Return the requirements that a file names itself."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


def lock(name: str, pythons: str, *options: str) -> None:
    """Compile `name.in` to `name.txt`, both in this folder, for these Pythons, such as `>=3.11` or `>=3.11,<3.13`."""
    print(f"Locking requirements/{name}.txt ...", flush=True)
    oldest, *newest = pythons.split(",")
    files = (
        str(REQUIREMENTS / f"{name.removesuffix('-python-3.10')}.in"),
        "--output-file",
        str(REQUIREMENTS / f"{name}.txt"),
    )
    arguments = (*COMPILE, "--python-version", oldest.removeprefix(">="), *ONLY_PINS, *options, *files)
    with tempfile.TemporaryDirectory() as folder:
        for below in newest:  # without this uv looks for a solution on newer Pythons too, and finds none
            marker = f"python_version < '{below.removeprefix('<')}'"
            Path(folder, "pyproject.toml").write_text(f'[tool.uv]\nenvironments = ["{marker}"]\n')
        subprocess.run([command("uv"), *arguments], cwd=folder, check=True)


def gather() -> None:
    """Write the `.in` files of the projects anew, from what bakes name now."""
    pins = {"projects": pins_of_all_bakes("3"), "projects-airflow2": pins_of_all_bakes("2")}
    version, coming = CONFIG["_airflow"]["3"]["version"], CONFIG["_airflow"]["3"]["next"]
    pins["projects-next"] = [
        pin.replace(f"apache-airflow=={version}", f"apache-airflow=={coming}") for pin in pins["projects"]
    ]
    for name, lines in pins.items():
        (REQUIREMENTS / f"{name}.in").write_text("\n".join([HEAD, *lines, ""]), newline="\n")


def lock_all(*options: str) -> None:
    """Make every lock anew. With ``--upgrade`` what no `.in` file pins moves to the newest version."""
    gather()
    lock("template", ">=3.10", *options)
    lock("docs", ">=3.11", *options)
    lock("tutorial", ">=3.10", *options)
    lock("infra", ">=3.10", *options)
    lock("projects", ">=3.11", *options)
    lock("projects-python-3.10", ">=3.10,<3.11", "--override", str(REQUIREMENTS / "python-3.10.txt"), *options)
    lock("projects-airflow2", CONFIG["_airflow"]["2"]["python"], *options)
    lock("projects-next", ">=3.11", "--prerelease=if-necessary-or-explicit", *options)
    lock("cluster", ">=3.11", "--constraint", str(REQUIREMENTS / "projects.txt"), *options)


if __name__ == "__main__":
    lock_all(*(["--upgrade"] if "--upgrade" in sys.argv[1:] else []))
