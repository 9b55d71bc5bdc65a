"""Every way to bake gives the same files, old projects take up what is new in the template, and the last words help."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.baking import CLOUDS, CONFIG, ROOT, clean_environment, command, files_of, run
from tools.template import template as linked_template

# Not the defaults: they must arrive on every way.
ANSWERS = {
    "project_slug": "my-project",
    "cloud": "gcp",
    "compression": "lz4",
    "threshold": "2000",
    "bucket": "a-bucket",
}
NAME = ANSWERS["project_slug"]


@dataclass(frozen=True)
class TemplateRepository:
    """A git repository with the template as it is in the working tree, tagged v1, and a commit more, tagged v2."""

    folder: Path
    home: Path

    @property
    def url(self) -> str:
        """The URL to clone from."""
        return self.folder.as_uri()

    def git(self, *arguments: str) -> None:
        """Run git in this repository."""
        git(self.folder, self.home, *arguments)


def git(folder: Path, home: Path, *arguments: str) -> str:
    """Run git in a folder, without anybody's own settings, and return its output."""
    return run("git", *arguments, cwd=folder, env=clean_environment(home), check=True).stdout


@pytest.fixture
def template(home: Path, tmp_path: Path) -> TemplateRepository:
    folder = tmp_path / "xcom-template"
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT, check=True).stdout
    for path in filter(None, listing.split("\0")):
        if (ROOT / path).is_file() and not path.startswith(("tests/", "docs/")):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    repository = TemplateRepository(folder, home)
    repository.git("init", "--quiet", "--initial-branch=main")
    commit_all(folder, home, "Version 1", tag="v1")
    return repository


def make_version_2(template: TemplateRepository) -> None:
    """Change a file that people edit, one that they do not, and the settings; add one file and remove one."""
    project = template.folder / "{{cookiecutter.project_slug}}"
    for path, old, new in (
        ("README.md", "## Honest limits", "## Honest limits of version 2"),
        ("Dockerfile", "FROM ", "# Version 2\nFROM "),
        (".env", "# The class that stores XComs.", "# The class that stores XComs, in version 2."),
    ):
        text = (project / path).read_text(encoding="utf-8")
        assert old in text
        (project / path).write_text(text.replace(old, new), encoding="utf-8")
    (project / "new.txt").write_text("For {{ cookiecutter.bucket }}\n")
    (project / "plugins" / ".gitkeep").unlink()
    commit_all(template.folder, template.home, "Version 2", tag="v2")


def commit_all(folder: Path, home: Path, message: str, tag: str = "") -> None:
    """Commit everything in a folder, and tag that."""
    git(folder, home, "add", "--all")
    git(folder, home, "commit", "--quiet", "--message", message)
    if tag:
        git(folder, home, "tag", tag)


def cookiecutter(
    home: Path, output: Path, *arguments: str | Path, answers: dict[str, str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the real cookiecutter."""
    given = [f"{name}={value}" for name, value in (answers or {}).items()]
    environment = clean_environment(home, **variables)
    return run(command("cookiecutter"), *arguments, "--output-dir", output, *given, env=environment, check=True)


@pytest.fixture
def by_folder(template: TemplateRepository, home: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the files of a bake of version 1 from its folder."""
    cookiecutter(home, tmp_path / "by-folder", template.folder, "--no-input", answers=ANSWERS)
    return files_of(tmp_path / "by-folder" / NAME)


def test_a_git_url_with_a_tag_gives_the_same_files(
    template: TemplateRepository, by_folder: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    make_version_2(template)
    for tag, is_same in (("v1", True), ("v2", False)):
        output = tmp_path / tag
        cookiecutter(home, output, template.url, "--checkout", tag, "--no-input", answers=ANSWERS)
        assert (files_of(output / NAME) == by_folder) == is_same


def test_a_zip_file_gives_the_same_files(
    template: TemplateRepository, by_folder: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "xcom-template.zip"
    template.git("archive", "--format=zip", "--prefix=xcom-template-1/", f"--output={archive}", "v1")
    cookiecutter(home, tmp_path / "by-zip", archive, "--no-input", answers=ANSWERS)
    assert files_of(tmp_path / "by-zip" / NAME) == by_folder


def test_a_replay_gives_the_same_files(
    template: TemplateRepository, by_folder: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    cookiecutter(home, tmp_path / "by-replay", template.folder, "--replay")
    assert files_of(tmp_path / "by-replay" / NAME) == by_folder


def test_a_replay_file_of_before_a_question_was_added_asks_only_that_one(
    template: TemplateRepository, by_folder: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    answers = json.loads((home / "replay" / "xcom-template.json").read_text())
    del answers["cookiecutter"]["compression"]
    (tmp_path / "old.json").write_text(json.dumps(answers))
    number = str(CONFIG["compression"].index(ANSWERS["compression"]) + 1)
    arguments = [template.folder, "--replay-file", tmp_path / "old.json", "--output-dir", tmp_path / "by-old-replay"]
    run(command("cookiecutter"), *arguments, env=clean_environment(home), input=f"{number}\n", check=True)
    assert files_of(tmp_path / "by-old-replay" / NAME) == by_folder


def test_without_hooks_the_files_are_the_same(
    template: TemplateRepository, by_folder: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    options = ["--no-input", "--accept-hooks", "no"]
    done = cookiecutter(home, tmp_path / "without-hooks", template.folder, *options, answers=ANSWERS)
    assert files_of(tmp_path / "without-hooks" / NAME) == by_folder
    assert done.stdout == ""
    cookiecutter(home, tmp_path / "replayed", template.folder, "--replay", "--accept-hooks", "no")
    assert files_of(tmp_path / "replayed" / NAME) == by_folder


def test_the_defaults_of_the_users_own_cookiecutter_settings_are_taken_and_checked(home: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    for bucket in ("their-bucket", "Their Bucket"):
        defaults = {"default_context": {"bucket": bucket}, "replay_dir": str(tmp_path / "replay")}
        settings.write_text(json.dumps(defaults))
        arguments = [linked_template(), "--no-input", "--config-file", settings, "--output-dir", tmp_path / bucket]
        done = run(command("cookiecutter"), *arguments, env=clean_environment(home))
        assert (done.returncode == 0) == (bucket == "their-bucket")
    assert "s3://my_aws_conn@their-bucket/" in (tmp_path / "their-bucket" / "my-xcom-project" / ".env").read_text()


def test_baking_over_a_project_replaces_its_files_only_when_told_to(home: Path, tmp_path: Path) -> None:
    cookiecutter(home, tmp_path, linked_template(), "--no-input")
    project = tmp_path / "my-xcom-project"
    (project / ".env").write_text("MY=own\n")
    with pytest.raises(subprocess.CalledProcessError):
        cookiecutter(home, tmp_path, linked_template(), "--no-input")
    cookiecutter(home, tmp_path, linked_template(), "--no-input", "--overwrite-if-exists", "--skip-if-file-exists")
    assert (project / ".env").read_text() == "MY=own\n"


def test_a_refused_answer_leaves_an_older_project_of_the_same_name_alone(home: Path, tmp_path: Path) -> None:
    cookiecutter(home, tmp_path, linked_template(), "--no-input")
    before = files_of(tmp_path)
    for options in ([], ["--overwrite-if-exists"]):
        with pytest.raises(subprocess.CalledProcessError):
            cookiecutter(home, tmp_path, linked_template(), "--no-input", *options, answers={"threshold": "1k"})
        assert files_of(tmp_path) == before


def test_cruft_creates_the_same_files_and_later_brings_what_is_new(
    template: TemplateRepository, by_folder: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    environment = clean_environment(home)
    create = ["create", template.url, "--no-input", "--output-dir", tmp_path / "by-cruft"]
    run(command("cruft"), *create, "--extra-context", json.dumps(ANSWERS), env=environment, check=True)
    project = tmp_path / "by-cruft" / NAME
    files = files_of(project)
    cruft = json.loads(files.pop(".cruft.json"))
    assert files == by_folder
    assert ANSWERS.items() <= cruft["context"]["cookiecutter"].items()

    git(project, home, "init", "--quiet")
    (project / ".env").write_text((project / ".env").read_text().replace("PASTE-THE-PROJECT-ID", "my-project-1"))
    (project / "dags" / "mine.py").write_text('"""My Dag."""\n')
    (project / "README.md").write_text((project / "README.md").read_text() + "\nMy own line.\n")
    commit_all(project, home, "My project")
    make_version_2(template)
    run(command("cruft"), "update", "--skip-apply-ask", cwd=project, env=environment, check=True)

    readme = (project / "README.md").read_text()
    assert "## Honest limits of version 2" in readme
    assert readme.endswith("\nMy own line.\n")
    assert (project / "Dockerfile").read_text().startswith("# Version 2\nFROM ")
    assert (project / "new.txt").read_text() == "For a-bucket\n"
    assert not (project / "plugins" / ".gitkeep").exists()
    assert (project / "dags" / "mine.py").exists()
    assert "my-project-1" in (project / ".env").read_text()
    assert "in version 2." in (project / ".env.example").read_text()
    assert not list(project.rglob("*.rej"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_last_words_of_a_bake_name_what_was_answered(cloud: str, home: Path, tmp_path: Path) -> None:
    remote = bool(CONFIG["_clouds"][cloud]["connection"])
    answers = {"cloud": cloud, "connection_id": "Some_Conn", "bucket": "some-place", "project_slug": "some-folder"}
    words = cookiecutter(home, tmp_path, linked_template(), "--no-input", answers=answers).stdout
    assert "cd some-folder\n" in words
    assert re.search(r"\S some-place|/some-place", words)
    assert ("AIRFLOW_CONN_SOME_CONN" in words) == remote
    assert "my-xcom" not in words
    steps = re.findall(r"^  (\d+)\. \S", words, re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    for line in words.splitlines():
        assert len(line) <= 80 or line.startswith("     "), f"only commands may be longer than a line: {line}"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_last_words_of_a_bake_give_the_same_commands_as_its_readme(cloud: str, home: Path, tmp_path: Path) -> None:
    words = cookiecutter(home, tmp_path, linked_template(), "--no-input", answers={"cloud": cloud}).stdout
    shown = re.findall(r"^     (?!into |cd )(\S.*)$", words, re.MULTILINE)
    blocks = re.findall(r"```bash\n(.*?)```", (tmp_path / "my-xcom-project" / "README.md").read_text(), re.DOTALL)
    in_readme = list(dict.fromkeys("".join(blocks).splitlines()))  # a command that it repeats is told once
    assert shown
    assert not set(shown) - set(in_readme)
    needed = in_readme[: in_readme.index(shown[-1]) + 1]
    assert shown == needed, "a step of the README is missing in the last words"


@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1"}, False)]
)
def test_colours_are_for_terminals_that_want_them(
    variables: dict[str, Any], coloured: bool, home: Path, tmp_path: Path
) -> None:
    words = cookiecutter(home, tmp_path, linked_template(), "--no-input", **variables, TERM="xterm-256color").stdout
    assert ("\x1b[" in words) == coloured
