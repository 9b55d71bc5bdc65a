"""What the pages of how-to, reference and explanation show to be copied: it parses, its settings exist, and it runs."""

from __future__ import annotations

import ast
import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.baking import ROOT, Bake, Install, clean_environment, command, run
from tools.class_tests import PLUGIN, add_class_tests
from tools.environments import python_path
from tools.pages import reference

DOCS = ROOT / "docs"
PAGES = sorted(page for folder in ("how-to", "reference", "explanation") for page in (DOCS / folder).glob("*.md"))
FENCE = re.compile(r"^( *)```(\w+)(?: title=\"(\S+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\bAIRFLOW__[A-Z0-9_]+")
CHECK = Path(__file__).with_name("check_pages.py")
PARSERS: dict[str, Callable[[str], Any]] = {"python": ast.parse, "json": json.loads, "yaml": yaml.safe_load}
# Settings of Airflow and of astro-sdk that pages speak of. All others are on the page of settings.
OTHERS = {
    "AIRFLOW__CORE__XCOM_BACKEND",
    "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES",
    "AIRFLOW__CORE__ENABLE_XCOM_PICKLING",
    "AIRFLOW__CORE__MAX_MAP_LENGTH",
    "AIRFLOW__ASTRO_SDK__XCOM_STORAGE_CONN_ID",
    "AIRFLOW__XCOM_EXPLORER__READ_VALUES",
}
# A page that is about wrong names, and one whose names the doctor's checks are about.
ABOUT_WRONG_NAMES = {"tutorial-errors.md", "troubleshooting.md"}


@dataclass(frozen=True)
class Block:
    """A code block of a page: what it is written in, and for which file, if the page says so."""

    page: Path
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        """Return a name for pytest."""
        return f"{self.page.name}-{self.title or self.language}"


def blocks() -> Iterator[Block]:
    """Yield every code block of the pages."""
    for page in PAGES:
        for _, language, title, text in FENCE.findall(page.read_text(encoding="utf-8")):
            yield Block(page, language, title, textwrap.dedent(text))


BLOCKS = list(blocks())
TITLED = [block for block in BLOCKS if block.title]


def is_env(block: Block) -> bool:
    """Tell whether a text block is lines for `.env`."""
    return block.language in {"ini", "text"} and re.match(r"AIRFLOW_|GCSFS_", block.text) is not None


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in PARSERS], ids=str)
def test_a_block_parses(block: Block) -> None:
    PARSERS[block.language](block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if is_env(block)], ids=str)
def test_lines_for_env_are_in_the_one_form_that_all_tools_read(block: Block) -> None:
    for line in block.text.splitlines():
        name, sign, value = line.partition("=")
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", name), line
        assert sign
        assert value == value.strip()
        assert value[:1] not in ("'", '"')
        assert "$" not in value
        assert " #" not in value
        if name.startswith("AIRFLOW_CONN_"):
            assert json.loads(value)["conn_type"]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in ABOUT_WRONG_NAMES], ids=lambda page: page.name
)
def test_every_setting_on_a_page_exists(page: Path) -> None:
    known = {setting.variable for setting in reference.read_settings()} | OTHERS
    named = {name for name in VARIABLE.findall(page.read_text(encoding="utf-8")) if not name.endswith("_")}
    assert named <= known


def test_blocks_with_a_file_name_are_clean_and_run_in_a_project(bake: Bake, install: Install, tmp_path: Path) -> None:
    baked = bake(cloud="local", xcom_backend="custom", threshold="0")
    programs = install("local-custom", baked / "requirements-dev.txt")
    project = tmp_path / "project"
    shutil.copytree(baked, project)
    for block in TITLED:
        file = project / block.title
        assert not file.exists(), f"{block.title} is a file of the project, or is on two pages"
        file.write_text(block.text, encoding="utf-8")
    titles = [block.title for block in TITLED]
    for arguments in (["format", "--check"], ["check"]):
        done = run(command("ruff"), *arguments, "--no-cache", *titles, cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr

    add_class_tests(project)
    shutil.copy(CHECK, project / "tests" / "test_check_pages.py")
    environment = clean_environment(tmp_path, PATH=f"{programs}:/usr/bin:/bin", PYTHONDONTWRITEBYTECODE="1")
    environment["PYTHONPATH"] = python_path(project)
    allowed = {"AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": "airflow.* include.my_types.Interval"}
    tests = ["tests/test_my_dags.py", "tests/test_check_pages.py", "tests/dags"]
    done = run(programs / "pytest", *PLUGIN, "-p", "no:cacheprovider", *tests, cwd=project, env=environment | allowed)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["how-to", "reference", "explanation"])
def test_the_index_of_a_folder_has_the_groups_and_pages_of_the_sidebar(folder: str) -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\ntheme:")[0])["nav"]
    parts = [entries for part in nav for entries in part.values() if isinstance(entries, list)]
    (entries,) = (entries for entries in parts if entries[0] == {"Overview": f"{folder}/index.md"})
    sidebar = {
        name: [page if isinstance(page, str) else next(iter(page.values())) for page in pages]
        for entry in entries[1:]
        for name, pages in entry.items()
    }
    index: dict[str, list[str]] = {}
    for line in (DOCS / folder / "index.md").read_text(encoding="utf-8").splitlines():
        if group := re.fullmatch(r"\*\*(.+)\*\*", line):
            pages = index.setdefault(group[1], [])
        elif page := re.match(r"- \[[^]]+\]\((\S+)\)", line):
            pages.append(f"{folder}/{page[1]}")
    assert index == sidebar
