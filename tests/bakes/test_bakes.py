"""Every project that the answers can give: the right files, nothing of the template left in them, all readable."""

from __future__ import annotations

import configparser
import csv
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hcl2
import jinja2
import pytest
import yaml
from cookiecutter.environment import StrictEnvironment
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import is_copy_only_path
from cookiecutter.prompt import prompt_for_config
from dotenv import dotenv_values
from packaging.requirements import Requirement
from yamllint import linter
from yamllint.config import YamlLintConfig

from tools.baking import (
    CHOICES,
    CLOUDS,
    CONFIG,
    INTERACTING,
    PROJECT_TEMPLATE,
    ROOT,
    Answers,
    Bake,
    clean_environment,
    files_of,
    name_of,
    paths_of,
    product,
    run,
)
from tools.manifest import paths_for

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOT_FOR_GIT = {".env", "airflow_settings.yaml"}

PRODUCT = product()
ALL_PAIRS = {
    ("compression", compression, name, choice)
    for compression in CHOICES["compression"]
    for name in INTERACTING
    if name != "compression"
    for choice in map(str, CHOICES.get(name, [False, True]))
}
every_bake = pytest.mark.parametrize("answers", PRODUCT, ids=map(name_of, PRODUCT))


def test_every_compression_is_baked_with_every_other_answer() -> None:
    baked = {
        ("compression", answers["compression"], name, str(answers[name])) for answers in PRODUCT for name in INTERACTING
    }
    assert ALL_PAIRS - baked == set()
    plain = [answers for answers in PRODUCT if answers["compression"] == "none"]
    whole = {tuple(str(answers[name]) for name in INTERACTING) for answers in plain}
    assert len(whole) == len(CLOUDS) * len(CHOICES["xcom_backend"]) * 3  # Airflow 3, and 2 without and with astro-sdk


def read_lines(text: str) -> list[str]:
    """Parse a file of one thing a line, with comments, such as .gitignore."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def read_requirements(text: str) -> list[Requirement]:
    """Parse a requirements file, in which each requirement is pinned to one version."""
    requirements = [Requirement(line) for line in read_lines(text) if not line.startswith("-")]
    assert all(re.fullmatch(r"==[\w.]+", str(requirement.specifier)) for requirement in requirements), text
    return requirements


def read_dockerfile(text: str) -> str:
    """Parse a Dockerfile of one FROM line, the first: its tag is what the Astro CLI's standalone mode reads."""
    steps = r"(?:\n(?:# .+\n)+RUN (?:pip install|python -m compileall) .+\n)*"
    match = re.fullmatch(rf"FROM ([\w.-]+(?::\d+)?/[\w./-]+:[\w.-]+)\n{steps}", text)
    assert match, text
    return match.group(1)


def read_agents_dockerfile(text: str) -> str:
    """Parse the Dockerfile of the Remote Execution Agents: one FROM line, and COPY only of what every project has."""
    (image,) = re.findall(r"^FROM (\S+)$", text, re.MULTILINE)
    assert re.findall(r"^COPY (\S+) ", text, re.MULTILINE) == ["requirements-client.txt", "dags", "include"]
    assert set(re.findall(r"^[A-Z]+(?= )", text, re.MULTILINE)) == {"FROM", "USER", "COPY", "RUN", "ENV"}
    return str(image)


def read_yaml(text: str) -> Any:
    """Parse YAML in which yamllint --strict has nothing to say."""
    assert not list(linter.run(text, YamlLintConfig("extends: default")))
    return yaml.safe_load(text)


def read_env(text: str) -> dict[str, str | None]:
    """Parse a .env file by python-dotenv: in it every variable has a value, if only an empty one."""
    values = dotenv_values(stream=io.StringIO(text))
    assert None not in values.values()
    return values


def read_markdown(text: str) -> str:
    """Parse what there is to parse in Markdown: it starts with a title, and every code block ends."""
    assert text.startswith("# ")
    assert len(re.findall("^```", text, re.MULTILINE)) % 2 == 0
    return text


def read_shell(text: str) -> str:
    """Have bash parse a script, without running it."""
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    return text


class Page(HTMLParser):
    """Fails where an element does not end in its turn."""

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, if it is of those that end."""
        if tag not in {"meta", "link", "input"}:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """End the element that was opened last."""
        assert self.opened.pop() == tag


def read_page(text: str) -> None:
    """Parse HTML; in it may be no script and no style but what the server fills in, whose hashes its policy has."""
    page = Page()
    page.feed(text)
    page.close()
    assert page.opened == []
    filled_in = text.replace("<style>STYLE</style>", "").replace('<script type="module">SCRIPT</script>', "")
    assert not re.search(r"<style|<script>| style=| on\w+=", filled_in)


def read_brackets(text: str) -> None:
    """Parse of a script or a style what there is to parse without a browser: every bracket has its other one."""
    for one, other in ("{}", "()", "[]"):
        assert text.count(one) == text.count(other), one + other


PARSERS: dict[str, Callable[[str], Any]] = {
    ".env": read_env,
    ".env.example": read_env,
    "Dockerfile": read_dockerfile,
    "requirements.txt": read_requirements,
    "constraints.txt": read_requirements,
    "requirements-dev.txt": read_requirements,
    "requirements-client.txt": read_requirements,
    "Dockerfile.client": read_agents_dockerfile,
    "packages-client.txt": read_lines,
    "requirements-no-deps.txt": read_requirements,
    "packages.txt": read_lines,
    "dag_integrity_exceptions.txt": read_lines,
    ".dockerignore": read_lines,
    ".gitignore": read_lines,
    ".airflowignore": read_lines,
    ".gitkeep": read_lines,
    "*.cfg": lambda text: configparser.ConfigParser().read_string(text),
    "*.css": read_brackets,
    "*.html": read_page,
    "*.js": read_brackets,
    "*.csv": lambda text: list(csv.DictReader(io.StringIO(text))),
    "*.json": json.loads,
    "*.md": read_markdown,
    "*.py": lambda text: compile(text, "emitted", "exec"),
    "*.sh": read_shell,
    "*.tf": hcl2.loads,
    "*.tfvars": hcl2.loads,
    "*.sql": lambda text: jinja2.Template(text).render(orders="orders"),
    "*.toml": tomllib.loads,
    "*.yaml": read_yaml,
    "*.yml": read_yaml,
}


@every_bake
def test_a_bake_has_exactly_its_files(answers: Answers, bake: Bake) -> None:
    expected = paths_for(answers)
    assert set(paths_of(bake(**answers))) == expected


@every_bake
def test_nothing_of_the_template_language_is_left(answers: Answers, bake: Bake) -> None:
    for path, content in files_of(bake(**answers)).items():
        text = content.decode()
        if path.endswith(".sql"):
            text = text.replace("{{ orders }}", "")  # astro-sdk's own, for a table
        if path.startswith(".github/"):
            text = re.sub(r"\$\{\{ [\w.()]+ \}\}", "", text)  # GitHub's own, for a variable or a secret
        assert not re.search(r"\{\{|\{%|\{#|cookiecutter", path + text), path


@every_bake
def test_a_real_parser_reads_every_file(answers: Answers, bake: Bake) -> None:
    for path, content in files_of(bake(**answers)).items():
        name = Path(path).name
        parser = PARSERS.get(name) or PARSERS[f"*{Path(path).suffix}"]
        parser(content.decode())


@every_bake
def test_all_files_end_their_lines_as_unix_does(answers: Answers, bake: Bake) -> None:
    for path, content in files_of(bake(**answers)).items():
        assert b"\r" not in content, path
        assert not content or content.endswith(b"\n"), path
        assert not content.endswith(b"\n\n"), path
        assert not re.search(rb"[ \t]$", content, re.MULTILINE), path


@every_bake
def test_the_committed_example_is_the_twin_of_the_env_file(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    assert (project / ".env").read_bytes() == (project / ".env.example").read_bytes()


@every_bake
def test_python_files_are_those_of_the_template_byte_for_byte(answers: Answers, bake: Bake) -> None:
    """Also those with a condition in their name, which cookiecutter renders whatever `_copy_without_render` says."""
    sources = emitted_names(answers)
    for path, content in files_of(bake(**answers)).items():
        if path.endswith((".py", ".css", ".html", ".js", "checks.toml", "-lock.json")):
            assert content == (PROJECT_TEMPLATE / sources[path]).read_bytes(), path


@every_bake
def test_git_ignores_only_what_holds_secrets(answers: Answers, bake: Bake, home: Path, tmp_path: Path) -> None:
    ignored = ignored_by_git(bake(**answers), home, tmp_path)
    assert ignored == NOT_FOR_GIT


@pytest.mark.parametrize("folder", ["include", "dags", "tests/dags", ".astro"])
def test_a_local_store_inside_the_project_hides_none_of_its_files_from_git(
    folder: str, bake: Bake, home: Path, tmp_path: Path
) -> None:
    try:
        project = bake(cloud="local", bucket=folder)
    except FailedHookException:
        return  # refused: as good
    assert ignored_by_git(project, home, tmp_path) == NOT_FOR_GIT


@every_bake
def test_every_emitted_path_is_legal_on_windows(answers: Answers, bake: Bake) -> None:
    assert_legal_on_windows(list(paths_of(bake(**answers))))


def test_every_path_of_this_repository_is_legal_on_windows() -> None:
    paths = paths_of_repository()
    assert any(path.startswith(PROJECT_TEMPLATE.name) for path in paths)
    assert_legal_on_windows(paths)


def test_every_text_file_of_this_repository_ends_its_lines_as_unix_does() -> None:
    for path in paths_of_repository():
        content = (ROOT / path).read_bytes()
        assert b"\r\n" not in content or b"\0" in content, path


def test_the_template_has_no_file_that_cookiecutter_would_not_render_or_should_not_copy() -> None:
    for path in PROJECT_TEMPLATE.rglob("*"):
        assert not path.is_symlink(), f"{path} is a symbolic link: not every Windows checkout has those"
        assert not path.is_file() or not path.read_bytes().startswith(b"PACK"), f"{path} looks like a git pack"


def test_every_pattern_of_files_that_are_not_rendered_matches_some_file() -> None:
    paths = [str(path.relative_to(ROOT)) for path in PROJECT_TEMPLATE.rglob("*") if path.is_file()]
    for pattern in CONFIG["_copy_without_render"]:
        only_this = {"cookiecutter": {**CONFIG, "_copy_without_render": [pattern]}}
        assert any(is_copy_only_path(path, only_this) for path in paths), f"{pattern} matches nothing"


def test_the_explorer_stays_small() -> None:
    files = [file for file in (PROJECT_TEMPLATE / "plugins" / "xcom_explorer").iterdir() if file.is_file()]
    lines = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    python = sum(count for name, count in lines.items() if ".py" in name)
    assert 0 < python <= 900
    assert 0 < sum(lines.values()) - python <= 900


def test_the_clouds_of_the_table_and_of_the_question_are_the_same() -> None:
    assert list(CONFIG["_clouds"]) == CONFIG["cloud"]
    assert list(CONFIG["_compressions"]) == CONFIG["compression"]
    assert list(CONFIG["_airflow"]) == CONFIG["airflow"]


def emitted_names(answers: Answers) -> dict[str, str]:
    """Return each path of a bake with the path in the template folder that it is made from."""
    context = {"cookiecutter": {**CONFIG, **{name: [value] for name, value in answers.items()}}}
    rendered = prompt_for_config(context, no_input=True)
    jinja = StrictEnvironment(context=context)
    paths = [path.relative_to(PROJECT_TEMPLATE).as_posix() for path in PROJECT_TEMPLATE.rglob("*") if path.is_file()]
    return {jinja.from_string(path).render(cookiecutter=rendered): path for path in paths}


def paths_of_repository() -> list[str]:
    """Return the path of every file of this repository, committed or about to be."""
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT, check=True).stdout
    return [path for path in listing.split("\0") if (ROOT / path).is_file()]


def ignored_by_git(project: Path, home: Path, scratch: Path) -> set[str]:
    """Return the files of a project that git ignores by the project's own .gitignore, without a repository in it."""
    environment = clean_environment(home, GIT_DIR=str(scratch / "git"), GIT_WORK_TREE=str(project))
    run("git", "init", "--quiet", env=environment, check=True)
    status = run("git", "status", "--porcelain", "-z", "--ignored", "-uall", env=environment, cwd=project, check=True)
    return {line[3:] for line in status.stdout.split("\0") if line.startswith("!! ") and "__pycache__" not in line}


def assert_legal_on_windows(paths: list[str]) -> None:
    """Fail for a name that Windows does not allow, or that differs from another by case alone."""
    parts = {part for path in paths for part in path.split("/")}
    for part in parts:
        assert not re.search(r'[<>:"|?*\\\x00-\x1f]|[ .]$', part), f"{part!r} is not legal on Windows"
        device = part.split(".")[0].strip()
        assert not re.fullmatch(r"(?i)con|prn|aux|nul|com[0-9]|lpt[0-9]", device), f"{part!r} is a device on Windows"
    for one, other in itertools.combinations(sorted(paths, key=str.lower), 2):
        if one.lower() != other.lower():
            continue
        assert one == other, f"{one} and {other} are one file on Windows"
