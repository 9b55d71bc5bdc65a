"""Whoever answers the questions needs no docs open, and is never asked for a secret."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from pathlib import Path

import pytest
from cookiecutter.prompt import prompt_for_config
from rich.text import Text

from tools.baking import (
    ADDING,
    ASKED,
    CHOICES,
    CLOUDS,
    CONFIG,
    INTERACTING,
    QUESTIONS,
    clean_environment,
    command,
)
from tools.template import template

PROMPTS = {name: words for name, words in CONFIG["__prompts__"].items() if not name.startswith("__")}
SECRET = re.compile(
    r"secret|passw|token|credential|\bkey|_key|keyfile|\bsas\b|connection_string|private|login", re.IGNORECASE
)

every_question = pytest.mark.parametrize("question", QUESTIONS)
every_choice_question = pytest.mark.parametrize("question", CHOICES)


def labels_of(question: str) -> list[str]:
    """Return what a person reads at a question: the question itself, then each choice."""
    prompt = PROMPTS[question]
    return [prompt] if isinstance(prompt, str) else list(prompt.values())


def test_only_questions_that_are_asked_have_labels() -> None:
    assert list(PROMPTS) == QUESTIONS


@every_question
def test_a_label_shows_as_it_is_written_in_a_terminal_of_80_columns(question: str) -> None:
    for label in labels_of(question):
        assert len(label) > 10
        assert label != question
        assert Text.from_markup(label).plain == label, "rich takes [lowercase] for markup"
        assert len(f"    10 - {label}") <= 100
        assert label.isascii()


@every_choice_question
def test_every_choice_has_a_label(question: str) -> None:
    assert list(PROMPTS[question]) == ["__prompt__", *CHOICES[question]]


@every_choice_question
def test_the_default_comes_first_and_is_the_one_that_is_recommended(question: str) -> None:
    labels = dict(PROMPTS[question])
    del labels["__prompt__"]
    first, *others = CHOICES[question]
    assert "(recommended" in labels[first]
    for choice in others:
        assert not re.search(r"recommended(?! when| if)", labels[choice]), f"{choice}: recommended, without saying when"


@every_question
def test_no_question_asks_for_a_secret(question: str) -> None:
    assert not any(SECRET.search(text) for text in [question, *labels_of(question)])


def test_the_list_of_secret_words_knows_a_secret() -> None:
    assert all(map(SECRET.search, ["aws_access_key_id", "SAS token", "Password of the account", "keyfile", "api_key"]))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_defaults_of_a_cloud_keep_its_own_rules(cloud: str) -> None:
    answers = prompt_for_config({"cookiecutter": {**CONFIG, "cloud": [cloud]}}, no_input=True)
    for question, rules in {**CONFIG["_rules"], "bucket": CONFIG["_clouds"][cloud]["bucket_rules"]}.items():
        for pattern, *_ in rules:
            assert re.fullmatch(pattern, answers[question], re.ASCII), question


def test_every_question_with_a_fixed_list_of_answers_is_baked_in_full() -> None:
    assert {*INTERACTING, *ADDING} <= set(QUESTIONS)
    assert set(CHOICES) <= {*INTERACTING, *ADDING}, (
        "a new question: does its answer interact? Then add it to INTERACTING"
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
@pytest.mark.parametrize("hooks", [True, False])
def test_a_person_at_a_terminal_sees_seven_questions_and_without_hooks_all(
    hooks: bool, home: Path, tmp_path: Path
) -> None:
    seen = ASKED if hooks else QUESTIONS
    options = [] if hooks else ["--accept-hooks", "no"]
    arguments = [command("cookiecutter"), str(template()), "-o", str(tmp_path), *options]
    screen = answer_at_a_terminal(arguments, "\n" * len(seen), home)
    plain = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen).split())
    for question in QUESTIONS:
        for label in labels_of(question):
            assert (" ".join(label.split()) in plain) == (question in seen)
    assert "():" not in plain
    numbers = [int(number) for number in re.findall(rf"\[(\d+)/{len(seen)}\]", plain)]
    assert numbers == list(range(1, len(seen) + 1))
    assert len(ASKED) == 7
    assert (tmp_path / "my-xcom-project" / ".env").exists()
    assert ("\x1b[1;32mMy XCom project" in screen) == hooks, "the last message has no colours"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
def test_a_local_folder_is_not_asked_for_a_connection_and_a_given_answer_counts(home: Path, tmp_path: Path) -> None:
    arguments = [command("cookiecutter"), str(template()), "-o", str(tmp_path), "ci=github", "project_slug=mine"]
    screen = answer_at_a_terminal(arguments, "\n4\n" + "\n" * (len(ASKED) - 3), home)
    assert "Airflow connection ID" not in screen
    assert "file://logs/xcom-store/xcom" in (tmp_path / "mine" / ".env").read_text()
    assert (tmp_path / "mine" / ".github" / "workflows").is_dir()


def answer_at_a_terminal(arguments: list[str], typed: str, home: Path) -> str:
    """Run a program at a terminal of its own, type this at it line by line, and return all that was on the screen."""
    import pty

    keyboard, terminal = pty.openpty()
    environment = clean_environment(home, TERM="xterm-256color", COLUMNS="200")
    with subprocess.Popen(arguments, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        screen = b""
        lines = typed.splitlines(keepends=True)
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                ready, _, _ = select.select([keyboard], [], [], 0.3)
                if ready:
                    screen += read_available(keyboard)
                elif lines:
                    os.write(keyboard, lines.pop(0).encode())
                if process.poll() is not None:
                    break
        finally:
            process.kill()
        screen += read_available(keyboard)
        os.close(keyboard)
    return screen.decode()


def read_available(terminal: int) -> bytes:
    """Return what a terminal shows and nobody has read yet, or nothing when its program has ended."""
    try:
        return os.read(terminal, 65536) if select.select([terminal], [], [], 0)[0] else b""
    except OSError:  # Linux's way to say that the other end is closed
        return b""
