"""Links the first use of each glossary term on a page to docs/reference/glossary.md: an extension of Python-Markdown.

A term is a heading of level 2 in the glossary, its explanation the paragraph below. Words after `Also:` in that
paragraph's last sentence are other names of it. mkdocs.yml names this module.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from markdown import Extension, Markdown
from markdown.treeprocessors import Treeprocessor

GLOSSARY = "reference/glossary.md"
FILE = Path(__file__).parents[2] / "docs" / GLOSSARY
# Text in these stays as it is.
CLOSED = {"a", "abbr", "code", "h1", "h2", "h3", "h4", "h5", "h6", "kbd", "label", "pre", "summary"}


@dataclass(frozen=True)
class Term:
    """A term: its names, the anchor of its heading, and what it means in a sentence."""

    names: tuple[str, ...]
    anchor: str
    meaning: str


def read_terms(text: str) -> list[Term]:
    """Return the terms of the glossary's text.

    :raises ValueError: if a term has no explanation
    """
    terms = []
    for section in text.split("\n## ")[1:]:
        name, _, body = section.partition("\n")
        paragraph = " ".join(body.strip().split("\n\n")[0].split())
        if not paragraph:
            raise ValueError(f"The glossary does not explain {name!r}: write a paragraph below its heading.")
        explanation, _, others = paragraph.partition(" Also: ")
        sentence = re.sub(r"\[([^]]+)]\([^)]+\)|`", r"\1", explanation).split(". ")[0].rstrip(".")
        anchor = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        names = (name, *(other.strip() for other in others.rstrip(".").split(",") if other.strip()))
        terms.append(Term(names, anchor, f"{sentence}."))
    return terms


class GlossaryLinks(Treeprocessor):
    """Walks a page from top to bottom and makes a link of the first use of each term."""

    def __init__(self, md: Markdown, terms: list[Term]) -> None:
        """Keep the terms, and a pattern that finds any of them, the longest first."""
        super().__init__(md)
        self.terms = {name.lower(): term for term in terms for name in term.names}
        names = "|".join(re.escape(name) for name in sorted(self.terms, key=len, reverse=True))
        self.pattern = re.compile(rf"(?<![\w.`/-])({names})(s?)(?![\w`/=-])", re.IGNORECASE)

    def run(self, root: Element) -> None:
        """Link the terms of one page. The glossary itself stays as it is."""
        page = self.page()
        if page == GLOSSARY:
            return
        self.left = dict(self.terms)
        self.target = posixpath.relpath(GLOSSARY, posixpath.dirname(page))
        self.visit(root)

    def page(self) -> str:
        """Return the path of the page in docs/, which Zensical knows."""
        from zensical.extensions.context import ContextPreprocessor

        context = ContextPreprocessor.from_markdown(self.md)
        return str(context.page.path)

    def visit(self, element: Element) -> None:
        """Link in the text of an element, then in each child and in the text behind it."""
        if element.tag in CLOSED:
            return
        children = list(element)
        parts = list(self.linked(element.text))
        element.text = parts[0]
        position = insert(element, 0, parts[1:])
        for child in children:
            self.visit(child)
            parts = list(self.linked(child.tail))
            child.tail = parts[0]
            position = insert(element, position + 1, parts[1:])

    def linked(self, text: str | None) -> Iterator[Any]:
        """Yield the text up to the first new term, then each link, whose tail is the text behind it."""
        rest, last = text or "", None
        position = 0
        for match in self.pattern.finditer(rest):
            term = self.left.get(match[1].lower())
            if term is None:
                continue
            for name in term.names:
                self.left.pop(name.lower(), None)
            link = Element("a", {"class": "term", "href": f"{self.target}#{term.anchor}", "title": term.meaning})
            link.text = match[0]
            before = rest[position : match.start()]
            if last is None:
                yield before
            else:
                last.tail = before
                yield last
            last, position = link, match.end()
        if last is None:
            yield text
        else:
            last.tail = rest[position:]
            yield last


def insert(parent: Element, position: int, links: list[Element]) -> int:
    """Insert the links as children, and return the position behind them."""
    for link in links:
        parent.insert(position, link)
        position += 1
    return position


class GlossaryExtension(Extension):
    """Registers the links, after Markdown has made elements of a page."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name is Python-Markdown's
        """Register with the lowest priority, so that all other elements are there."""
        md.treeprocessors.register(GlossaryLinks(md, read_terms(FILE.read_text(encoding="utf-8"))), "glossary", 0)


def makeExtension(**options: Any) -> GlossaryExtension:  # noqa: N802 - the name is Python-Markdown's
    """Return the extension: Python-Markdown calls this."""
    return GlossaryExtension(**options)
