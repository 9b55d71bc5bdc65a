"""Answers that cannot go together are refused in one line each, and nothing is left of the bake."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.baking import (
    CONFIG,
    MIRRORS,
    ROOT,
    as_typed,
    clean_environment,
    command,
    is_refused,
    product,
    run,
)
from tools.template import template

# For each row of the table, answers that it is about, and what it takes beside them for no other row to be about them.
REFUSED: list[tuple[dict[str, str | bool], dict[str, str]]] = [
    ({"mirror": "gs://my_gcp_conn@second/xcom", "xcom_backend": "object_storage"}, {}),
    ({"examples": True, "xcom_backend": "object_storage"}, {}),
    ({"astro_sdk": True, "airflow": "3"}, {}),
    ({"remote_execution": True, "airflow": "2"}, {}),
    ({"explorer": True, "airflow": "2"}, {}),
    ({"remote_execution": True, "cloud": "local"}, {}),
    ({"remote_execution": True, "mirror": "file:///srv/second"}, {"xcom_backend": "custom"}),
    *[
        ({"remote_execution": True, "cloud": cloud, "mirror": MIRRORS[cloud]}, {"xcom_backend": "custom"})
        for cloud in ("aws", "gcp", "azure")
    ],
]


def test_every_row_of_the_table_has_its_answers() -> None:
    assert [list(row["answers"]) for row in CONFIG["_refused"]] == [list(together) for together, _ in REFUSED]


@pytest.mark.parametrize(("row", "case"), zip(CONFIG["_refused"], REFUSED, strict=True))
def test_a_combination_of_the_table_is_refused_in_one_line(
    row: dict[str, Any], case: tuple[dict[str, Any], dict[str, Any]], home: Path, tmp_path: Path
) -> None:
    together, beside = case
    answers = {**together, **beside}
    typed = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in answers.items()]
    arguments = (command("cookiecutter"), template(), "--no-input", "-o", tmp_path, *typed)
    done = run(*arguments, env=clean_environment(home))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " is refused: " in line]
    pairs = " with ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(together.items()))
    assert line == f"{pairs} is refused: {row['rule']}. A good one: {row['example']}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "answers",
    [
        {"project_name": 'it\'s "mine" & $HOME; `x`', "bucket": "My_Bucket", "compression": "zstd"},
        {"cloud": "gcp", "threshold": "1k", "connection_id": "a-b", "airflow": "2", "clear_override": "true"},
        {"remote_execution": "true", "mirror": "gs://my_gcp_conn@second/xcom", "xcom_backend": "object_storage"},
        {"cloud": "local", "remote_execution": "true", "astro_sdk": "true", "ci": "github"},
        {"project_name": "{{ 7 * 7 }}", "project_slug": "X"},
    ],
    ids=["quotes", "several", "agents", "together", "code"],
)
def test_the_line_that_is_printed_bakes_with_the_good_answers(
    answers: dict[str, str], home: Path, tmp_path: Path
) -> None:
    environment = clean_environment(home, PWD=str(tmp_path))
    environment["PATH"] = f"{Path(command('cookiecutter')).parent}{os.pathsep}{os.environ['PATH']}"
    typed = [f"{name}={as_typed(value) if isinstance(CONFIG[name], str) else value}" for name, value in answers.items()]
    refused = run("cookiecutter", template(), "--no-input", *typed, cwd=tmp_path, env=environment)
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    line = lines[lines.index("Without typing the rest again:") + 1]
    done = run("bash", "-c", line, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    (project,) = (path for path in tmp_path.iterdir() if path.is_dir() and path != home)
    replay = json.loads((home / "replay" / f"{template().name}.json").read_text())["cookiecutter"]
    told = " ".join(lines[: lines.index("Without typing the rest again:")])
    kept = {
        name: value for name, value in answers.items() if not re.search(rf"\b{name} (\(|= )", told) and "{" not in value
    }
    assert {name: str(replay[name]).lower() for name in kept} == {name: value.lower() for name, value in kept.items()}
    assert (project / ".env").exists()


@pytest.mark.parametrize("answer", ["cloud=s3", "xcom_backend=foo", "astro_sdk=maybe", "threshold=1k"])
def test_the_demo_refuses_an_answer_in_one_line(answer: str, home: Path) -> None:
    done = run(sys.executable, "-m", "tools.demo.start", answer, cwd=ROOT, env=clean_environment(home))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert " is refused" in line


def test_the_product_of_the_answers_has_no_refused_combination() -> None:
    assert not [answers for answers in product() for row in CONFIG["_refused"] if is_refused(answers, row)]
