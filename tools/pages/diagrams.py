"""Puts the diagrams of docs/images/ into the built pages, in the colours of the theme, so that they follow dark mode.

On a forge, which shows the Markdown, they stay pictures with the colours that stand in their files.
"""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path

PICTURE = re.compile(r'<img\b[^>]*\bsrc="[^"]*images/([\w-]+)\.svg"[^>]*>')
ALT = re.compile(r'\balt="([^"]*)"')
TERMINAL = 'class="rich-terminal"'  # a picture of a terminal, which is dark in either scheme
ROLES = {
    "--md-default-bg-color": ("#ffffff",),
    "--md-code-bg-color": ("#f6f8fa",),
    "--md-typeset-color": ("#000000", "#1e2333", "#24292f"),
    "--md-default-fg-color--light": ("#444c63", "#57606a", "#888888", "#9aa3ba"),
    "--md-default-fg-color--lightest": ("#d5d9e6", "#dddddd"),
    "--diagram-teal": ("#0b7285",),
    "--diagram-teal-area": ("#e6f4f1",),
    "--diagram-blue": ("#0072b2", "#3545a8"),
    "--diagram-blue-area": ("#dbe4ff",),
    "--diagram-green": ("#009e73", "#1c7a3e"),
    "--diagram-green-area": ("#d3f2dd",),
    "--diagram-orange": ("#b35900", "#d55e00"),
    "--diagram-orange-area": ("#ffe8cc",),
}
VARIABLES = {colour: f"var({role})" for role, colours in ROLES.items() for colour in colours}
COLOUR = re.compile("|".join(VARIABLES))


def inlined(page: str, images: Path) -> str:
    """Return the text of an HTML page with its diagrams in it; other pictures stay as they are."""

    def diagram(match: re.Match[str]) -> str:
        svg = (images / f"{match[1]}.svg").read_text(encoding="utf-8")
        if TERMINAL in svg:
            return match[0]
        alt = ALT.search(match[0])
        return as_part_of_a_page(svg, match[1], unescape(alt[1]) if alt else "")

    return PICTURE.sub(diagram, page)


def as_part_of_a_page(svg: str, name: str, alt: str) -> str:
    """Return a drawing as an element: its IDs and styles meet no others, its colours are those of the theme."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id=")|(url\(#)|(href="#)', lambda match: f"{match[0]}{name}-", svg)
    svg = re.sub(r"(<style[^>]*>)(.*?)(</style>)", rf"\1svg.{name} {{\2}}\3", svg, flags=re.DOTALL)
    svg = COLOUR.sub(lambda match: VARIABLES[match[0]], svg)
    head, _, body = svg.partition(">")
    width = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+)', head)
    head = re.sub(r'\s(?:width|height|role|aria-\w+)="[^"]*"', "", head)
    label = f' role="img" aria-label="{escape(alt)}" class="diagram {name}"'
    return f'{head}{label} style="max-width: {width[1] if width else 760}px">{body}'
