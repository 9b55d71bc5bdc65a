"""Finds the code blocks of a Markdown page, with the tabs that each stands in: the tests of the tutorial run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TAB = re.compile(r'^( *)=== "(.+)"$')
FENCE = re.compile(r"^( *)```(\w*)(.*)$")
NOT_RUN = "Not run"
# What is another one each time: a date of a run ID, the random name of an object, and what the page leaves out.
CHANGES = {
    r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00": r"[\dT:.+-]+",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "[0-9a-f-]{36}",
    "…": ".*",
}


@dataclass(frozen=True)
class Block:
    """A code block: where it stands, its language, its title, and the labels of the tabs around it."""

    page: str
    line: int
    language: str
    title: str
    tabs: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Return where it is, as an editor understands it."""
        return f"{self.page}:{self.line}"

    @property
    def of_the_astro_cli(self) -> bool:
        """Whether it has commands of the Astro CLI: that no test runs these, the tutorial's first page says once."""
        return self.language == "bash" and re.search(r"^astro ", self.text, re.MULTILINE) is not None

    @property
    def not_run(self) -> bool:
        """Whether no test runs it; where it is not of the Astro CLI, its title tells readers so, and why."""
        return self.of_the_astro_cli or self.title.startswith(NOT_RUN)


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page from top to bottom."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    tabs: list[tuple[int, str]] = []
    for number, line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        tabs = [tab for tab in tabs if tab[0] < indent]
        if tab := TAB.match(line):
            tabs.append((indent, tab[2]))
        elif fence := FENCE.match(line):
            end = f"{fence[1]}```"
            text = []
            for _, inner in lines:
                if inner == end:
                    break
                text.append(inner[indent:])
            title = re.search(r'title="([^"]*)"', fence[3])
            labels = tuple(label for _, label in tabs)
            yield Block(page.name, number, fence[2], title[1] if title else "", labels, "\n".join(text))


def pattern_of(line: str) -> str:
    """Return a pattern of the lines that differ from this one in nothing but what is another one each time."""
    parts = re.split(f"({'|'.join(CHANGES)})", line)
    found = (next((new for old, new in CHANGES.items() if re.fullmatch(old, part)), re.escape(part)) for part in parts)
    return "".join(found)
