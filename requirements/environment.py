"""Makes a virtual environment for a baked project: what its own requirement files ask for, at locked versions."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "projects.txt"
BIN = Path(sys.executable).parent


def project_environment(name: str, requirement_files: Iterable[Path]) -> Path:
    """Return the Python of the environment ``.venv-<name>``, after it has got all of the requirement files.

    A second call with the same files and the same lock installs nothing.
    """
    environment = ROOT / f".venv-{name}"
    python = environment / "bin" / "python"
    stamp = environment / "installed"
    files = list(requirement_files)
    wanted = fingerprint(files)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = str(BIN / "uv")
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    requirements = [argument for file in files for argument in ("--requirement", str(file))]
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(LOCK)]
    subprocess.run([*install, *requirements], check=True)
    stamp.write_text(wanted)
    return python


def fingerprint(files: list[Path]) -> str:
    """Return a hash of what decides what is installed: Python, the lock, the requirement files and their neighbours."""
    folders = {file.parent for file in files}
    texts = [LOCK, *sorted(file for folder in folders for file in folder.glob("requirements*.txt"))]
    content = b"\0".join(file.read_bytes() for file in texts)
    return hashlib.sha256(sys.version.encode() + content).hexdigest()
