"""Pins the environments of the template's tests: run it with `.venv/bin/python requirements/lock.py` after a change.

- `template.txt`, from `template.in`: what `make test` and `make lint` need.
- `projects.in`, gathered from the requirement files of a bake of every cloud and compression, and `projects.txt`, its
  lock: used as constraints where the tests install the requirement files of a bake, so that they run on the same
  packages today and next year. The bakes themselves pin only what they name.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).parent
sys.path.insert(0, str(REQUIREMENTS.parent / "tests"))

from baking import bake, command, product  # noqa: E402

OLDEST_PYTHON = "3.11"
COMPILE = ("pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON)
ONLY_PINS = ("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links")


def pins_of_all_bakes() -> list[str]:
    """Return each requirement that some bake names."""
    pins = set()
    with tempfile.TemporaryDirectory() as folder:
        for number, answers in enumerate(product()):
            project = bake(Path(folder), Path(folder, str(number)), answers, accept_hooks=False)
            for file in project.glob("requirements*.txt"):
                lines = (line.strip() for line in file.read_text().splitlines())
                pins |= {line for line in lines if line and not line.startswith(("#", "-r "))}
    return sorted(pins)


def lock(name: str, *options: str) -> None:
    """Compile `name.in` to `name.txt`, both in this folder."""
    print(f"Locking requirements/{name}.txt ...", flush=True)
    files = (f"{name}.in", "--output-file", f"{name}.txt")
    subprocess.run([command("uv"), *COMPILE, *ONLY_PINS, *options, *files], cwd=REQUIREMENTS, check=True)


if __name__ == "__main__":
    head = "# Gathered by lock.py from a bake of every cloud and compression. Do not edit."
    (REQUIREMENTS / "projects.in").write_text("\n".join([head, *pins_of_all_bakes(), ""]), newline="\n")
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    for name in ("template", "projects"):
        lock(name, *upgrade)
