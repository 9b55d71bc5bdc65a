"""Answers that cannot go together are refused in one line each, and nothing is left of the bake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from baking import CONFIG, ROOT, clean_environment, command, is_refused, product, run


@pytest.mark.parametrize("row", CONFIG["_refused"], ids=lambda row: row["field"])
def test_a_combination_of_the_table_is_refused_in_one_line(row: dict[str, Any], home: Path, tmp_path: Path) -> None:
    together = {**row["with"], row["field"]: row["value"]}
    typed = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in together.items()]
    arguments = (command("cookiecutter"), ROOT, "--no-input", "-o", tmp_path, *typed)
    done = run(*arguments, env=clean_environment(home))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " is refused: " in line]
    value = json.dumps(row["value"])
    assert line == f"{row['field']} = {value} is refused: {row['rule']}. A good one: {row['example']}"
    assert not list(tmp_path.iterdir())


def test_the_product_of_the_answers_has_no_refused_combination() -> None:
    assert not [answers for answers in product() for row in CONFIG["_refused"] if is_refused(answers, row)]
