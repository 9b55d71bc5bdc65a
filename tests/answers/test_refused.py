"""Answers that cannot go together are refused in one line each, and nothing is left of the bake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.baking import CONFIG, MIRRORS, ROOT, clean_environment, command, is_refused, product, run

# For each row of the table, answers that it is about, and what it takes beside them for no other row to be about them.
REFUSED: list[tuple[dict[str, str | bool], dict[str, str]]] = [
    ({"mirror": "gs://my_gcp_conn@second/xcom", "xcom_backend": "object_storage"}, {}),
    ({"astro_sdk": True, "airflow": "3"}, {}),
    ({"remote_execution": True, "airflow": "2"}, {}),
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
    arguments = (command("cookiecutter"), ROOT, "--no-input", "-o", tmp_path, *typed)
    done = run(*arguments, env=clean_environment(home))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " is refused: " in line]
    pairs = " with ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(together.items()))
    assert line == f"{pairs} is refused: {row['rule']}. A good one: {row['example']}"
    assert not list(tmp_path.iterdir())


def test_the_product_of_the_answers_has_no_refused_combination() -> None:
    assert not [answers for answers in product() for row in CONFIG["_refused"] if is_refused(answers, row)]
