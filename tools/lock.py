"""Pins the environments of the template's tests: `make lock` runs this after a change.

- `template.txt`, from `template.in`: what `make test` and `make lint` need.
- `docs.txt`, from `docs.in`: what `make docs` needs. `tutorial.txt`: programs that readers of the docs have.
- `infra.txt`, from `infra.in`: the tools that check the emitted infra/, in an environment of their own.
- `projects.in`, gathered from `class.in` and the requirement files of a bake of every cloud, compression and class, and
  `projects.txt`, its lock: used as constraints where the tests install the requirement files of a bake, so that they
  run on the same packages today and next year. The bakes pin what they name, and the rest in `constraints.txt`.
- `projects-airflow2.in` and `.txt`: the same for bakes with `airflow: 2`, with and without astro-sdk.
- `templates/constraints/`: for each Airflow and cloud, the lines of the lock that its bakes can need. With
  these pip installs in a minute or two; without them it searches for what goes together for a quarter of an hour.
- `projects-python-3.10.txt`: as `projects.txt`, on Python 3.10 with the stand-ins of `python-3.10.txt`.
- `projects-next.in` and `.txt`: as `projects`, with the coming Airflow that `next` in cookiecutter.json names.
- `cluster.txt` and `explorer.txt`, from their `.in`: what `make e2e` adds to a project for a cluster, and for the tests
  of the explorer. They go with `projects.txt`.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools.baking import CHOICES, CLOUDS, CONFIG, ROOT, bake, command

REQUIREMENTS = ROOT / "requirements"

COMPILE = ("pip", "compile", "--quiet", "--universal")
ONLY_PINS = ("--no-header", "--no-emit-index-url", "--no-emit-find-links")
CONSTRAINTS = ROOT / "templates" / "constraints"
HEAD = "# Gathered by lock.py from a bake of every cloud, compression and class. Do not edit."


def pins_of_bakes(airflow: str, clouds: Iterable[str] = CLOUDS) -> list[str]:
    """Return each requirement that some bake for these names, without those that go in without dependencies."""
    pins = set[str]()
    astro_sdk = (False, True) if airflow == "2" else (False,)
    with tempfile.TemporaryDirectory() as folder:
        names = ("cloud", "compression", "xcom_backend", "astro_sdk")
        combinations = itertools.product(clouds, CHOICES["compression"], CHOICES["xcom_backend"], astro_sdk)
        for number, chosen in enumerate(combinations):
            answers = dict(zip(names, chosen, strict=True), airflow=airflow)
            project = bake(Path(folder), Path(folder, str(number)), answers, accept_hooks=False)
            for file in (project / "requirements.txt", project / "requirements-dev.txt"):
                pins |= set(read_pins(file))
    return sorted(pins)


def read_pins(file: Path) -> list[str]:
    """Return the requirements that a file names itself."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def lock(name: str, pythons: str, *options: str) -> None:
    """Compile `name.in` to `name.txt`, both in this folder, for these Pythons, such as `>=3.11` or `>=3.11,<3.13`."""
    wanted = REQUIREMENTS / f"{name.removesuffix('-python-3.10')}.in"
    compile_pins(wanted, REQUIREMENTS / f"{name}.txt", pythons, "--no-annotate", *options)


def constrain(airflow: str, name: str, pythons: str) -> None:
    """Write for each cloud the lines of a lock that are about packages which its bakes can need."""
    with tempfile.TemporaryDirectory() as folder:
        locked, told = REQUIREMENTS / f"{name}.txt", Path(folder, f"{name}.txt")
        shutil.copy(locked, told)  # uv stays with what is there
        compile_pins(locked.with_suffix(".in"), told, pythons, "--annotate", "--annotation-style=line")
        lines = [line.partition("# via ") for line in told.read_text().splitlines()]
    needs: dict[str, set[str]] = {}
    for pin, _, parents in lines:
        for parent in parents.split(", "):
            needs.setdefault(parent, set()).add(name_of(pin))
    CONSTRAINTS.mkdir(exist_ok=True)
    for cloud in CLOUDS:
        needed, new = set[str](), {name_of(pin) for pin in pins_of_bakes(airflow, [cloud])}
        while new := new - needed:
            needed |= new
            new = set().union(*(needs.get(package, set()) for package in new))
        kept = (line for line in locked.read_text().splitlines(keepends=True) if name_of(line) in needed)
        (CONSTRAINTS / f"{cloud}-airflow{airflow}.txt").write_text("".join(kept), newline="\n")


def name_of(pin: str) -> str:
    """Return the package of a pin such as ``moto[server]==5.2.5``."""
    return re.split(r"[\[=]", pin)[0]


def compile_pins(wanted: Path, pins: Path, pythons: str, *options: str) -> None:
    """Write into the file ``pins`` versions that meet the requirements of the file ``wanted`` on these Pythons."""
    print(f"Locking {pins.name} ...", flush=True)
    oldest, *newest = pythons.split(",")
    files = (str(wanted), "--output-file", str(pins))
    arguments = (*COMPILE, "--python-version", oldest.removeprefix(">="), *ONLY_PINS, *options, *files)
    with tempfile.TemporaryDirectory() as folder:
        for below in newest:  # without this uv looks for a solution on newer Pythons too, and finds none
            marker = f"python_version < '{below.removeprefix('<')}'"
            Path(folder, "pyproject.toml").write_text(f'[tool.uv]\nenvironments = ["{marker}"]\n')
        subprocess.run([command("uv"), *arguments], cwd=folder, check=True)


def gather() -> None:
    """Write the `.in` files of the projects anew, from what bakes name now."""
    for_the_class = read_pins(REQUIREMENTS / "class.in")
    pins = {
        "projects": sorted({*pins_of_bakes("3"), *for_the_class}),
        "projects-airflow2": sorted({*pins_of_bakes("2"), *for_the_class}),
    }
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
    constrain("3", "projects", ">=3.11")
    lock("projects-python-3.10", ">=3.10,<3.11", "--override", str(REQUIREMENTS / "python-3.10.txt"), *options)
    lock("projects-airflow2", CONFIG["_airflow"]["2"]["python"], *options)
    constrain("2", "projects-airflow2", CONFIG["_airflow"]["2"]["python"])
    lock("projects-next", ">=3.11", "--prerelease=if-necessary-or-explicit", *options)
    for name in ("cluster", "explorer"):
        lock(name, ">=3.11", "--constraint", str(REQUIREMENTS / "projects.txt"), *options)


if __name__ == "__main__":
    lock_all(*(["--upgrade"] if "--upgrade" in sys.argv[1:] else []))
