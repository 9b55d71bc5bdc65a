"""Tells which pins of cookiecutter.json moved in the package index. With `--write` it moves them there and locks anew.

Run it with `make versions`, or `make versions WRITE=1`; afterwards `make test` says whether the new ones work together.
The tags of the Runtime images are in no package index: astronomer.io/docs/runtime/runtime-release-notes has them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "cookiecutter.json"
UV = Path(sys.executable).parent / "uv"


@dataclass(frozen=True)
class Pin:
    """A pinned package: where it is pinned, up to which version it may go, and whether a pre-release will do."""

    place: str
    package: str
    version: str
    limit: str = ""
    prerelease: bool = False


HELD_BACK = ("_airflow 2", "_backends custom")


def pins(template: dict[str, Any]) -> Iterator[Pin]:
    """Yield every pin of the template's tables."""
    for cloud, row in template["_clouds"].items():
        for requirement in (*row["requirements"], *row["emulator_requirements"]):
            yield pin_of(f"_clouds {cloud}", requirement)
    for compression, requirements in template["_compressions"].items():
        for requirement in requirements:
            yield pin_of(f"_compressions {compression}", requirement)
    for backend, row in template["_backends"].items():
        for requirement in sorted({requirement for requirements in row.values() for requirement in requirements}):
            yield pin_of(f"_backends {backend}", requirement)
    for airflow, row in template["_airflow"].items():
        place, below = f"_airflow {airflow}", f"<{int(airflow) + 1}"
        yield Pin(place, "apache-airflow", row["version"], below)
        if "next" in row:
            yield Pin(f"{place} next", "apache-airflow", row["next"], below, prerelease=True)
        yield Pin(place, "apache-airflow-providers-common-io", row["common_io"])
        for requirement in row["requirements"]:
            yield pin_of(place, requirement)


def pin_of(place: str, requirement: str) -> Pin:
    """Return the pin of a requirement such as ``moto[server]==5.2.5``. What is held back may not move.

    Airflow 2 holds back its own. Python 3.10 and Airflow 2 hold back the tables of the custom class.
    """
    parsed = Requirement(requirement)
    (version,) = (specifier.version for specifier in parsed.specifier)
    return Pin(place, parsed.name, version, f"=={version}" if place in HELD_BACK else "")


def newest(pin: Pin) -> str:
    """Return the newest version that the index has for a pin.

    :raises subprocess.CalledProcessError: if the index has none
    """
    options = ["--prerelease", "allow" if pin.prerelease else "disallow", "--no-deps", "--no-annotate", "--no-header"]
    command = [str(UV), "pip", "compile", "--quiet", "--python-version", "3.12", *options, "-"]
    wanted = f"{pin.package}{pin.limit}"
    done = subprocess.run(command, input=wanted, check=True, capture_output=True, text=True, cwd=ROOT / "requirements")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(pin.package))
    return str(Requirement(line).specifier).removeprefix("==")


def moved(text: str, pin: Pin, version: str) -> str:
    """Return cookiecutter.json with another version of a pin."""
    if pin.place.startswith("_airflow") and pin.package.startswith("apache-airflow"):
        key = {"apache-airflow": "next" if pin.prerelease else "version"}.get(pin.package, "common_io")
        start = text.index(f'"{pin.place.split()[1]}": {{', text.index('"_airflow": {'))
        return text[:start] + re.sub(rf'("{key}": ")[^"]+', rf"\g<1>{version}", text[start:], count=1)
    return re.sub(rf'("{re.escape(pin.package)}(?:\[\w+\])?==){re.escape(pin.version)}"', rf'\g<1>{version}"', text)


def main() -> int:
    """Print the table of pins. Return 1 if some moved and nothing was written."""
    text = TEMPLATE.read_text(encoding="utf-8")
    table = Table(title="Pins of cookiecutter.json", title_justify="left")
    for heading in ("Where", "Package", "Pinned", "In the index"):
        table.add_column(heading, overflow="fold")
    changes = 0
    all_pins = list(pins(json.loads(text)))
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(newest, all_pins))
    for pin, version in zip(all_pins, found, strict=True):
        if Version(version) == Version(pin.version):
            table.add_row(pin.place, pin.package, pin.version, "the same")
            continue
        changes += 1
        table.add_row(pin.place, pin.package, pin.version, f"[bold]{version}[/]")
        text = moved(text, pin, version)
    Console().print(table)
    print(f"{changes} moved." if changes else "Nothing moved.")
    if changes and "--write" in sys.argv[1:]:
        TEMPLATE.write_text(text, encoding="utf-8", newline="\n")
        subprocess.run([sys.executable, "-m", "tools.lock"], check=True)
        print("Written and locked. Now `make update`, and `make test`.")
        return 0
    return int(bool(changes))


if __name__ == "__main__":
    sys.exit(main())
