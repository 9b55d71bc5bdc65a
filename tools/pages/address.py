"""Writes the template's address, `_address` of cookiecutter.json, into each command of the docs that bakes from it."""

from __future__ import annotations

import re
from pathlib import Path

from tools.baking import CONFIG, ROOT

COMMAND = re.compile(r"(?<=uvx cookiecutter )(?:gh|https|git@)[^\s`]+")


def pages() -> dict[Path, str]:
    """Return every page that names the address, as it should be."""
    texts = {page: page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
    return {page: COMMAND.sub(CONFIG["_address"], text) for page, text in texts.items() if COMMAND.search(text)}


def main() -> None:
    """Write them."""
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8", newline="\n")
