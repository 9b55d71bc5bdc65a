"""Refuses answers that cannot work, in one line each, before a file is written. The rules are in cookiecutter.json."""

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

# tojson escapes all that could end this string: whatever was typed at a prompt stays data.
COOKIECUTTER = json.loads(
    r"""
{{ cookiecutter | tojson }}
"""
)


def refusals(answers: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield for each answer that breaks a rule, alone or with another: a line that says so, a field, a good answer."""
    cloud = answers["_clouds"][answers["cloud"]]
    bucket_rules = [[pattern, rule, cloud["bucket"]] for pattern, rule in cloud["bucket_rules"]]
    for field, rules in {**answers["_rules"], "bucket": bucket_rules}.items():
        for pattern, rule, example in rules:
            if not re.fullmatch(pattern, answers[field], re.ASCII):
                name = f"{field} ({cloud['store']})" if field == "bucket" else field
                line = f"{name} = {json.dumps(answers[field])} is refused: {rule}. A good one: {example}"
                yield line, field, example
                break
    for refused in answers["_refused"]:
        together = refused["answers"]
        if all(re.fullmatch(pattern, str(answers[field])) for field, pattern in together.items()):
            pairs = " with ".join(f"{field} = {json.dumps(answers[field])}" for field in together)
            line = f"{pairs} is refused: {refused['rule']}. A good one: {refused['example']}"
            yield line, *re.match(r"(\w+)=([^\s,]+)", refused["example"]).groups()  # type: ignore[union-attr]


def command(answers: dict[str, Any], better: dict[str, str]) -> str:
    """Return the command that bakes without a question: the better answers, and those that are not the default."""
    defaults: dict[str, Any] = {}
    with suppress(OSError):
        file = Path(os.environ.get("PWD", ""), answers["_repo_dir"], "cookiecutter.json")
        defaults = json.loads(file.read_text(encoding="utf-8"))
    cloud = answers["_clouds"][answers["cloud"]]
    defaults.update(project_slug="my-xcom-project", connection_id=cloud["connection_id"], bucket=cloud["bucket"])
    words = ["cookiecutter", shlex.quote(answers["_template"]), "--no-input"]
    if answers["_checkout"]:
        words.append(f"--checkout {shlex.quote(answers['_checkout'])}")
    if answers["_output_dir"] != os.environ.get("PWD"):
        words.append(f"--output-dir {shlex.quote(answers['_output_dir'])}")
    for field in (name for name in answers if not name.startswith("_")):
        default, answer = defaults.get(field), str(better.get(field, answers[field]))
        default = default[0] if isinstance(default, list) else default
        # cookiecutter would render an answer with a brace, and never one that is typed at a prompt.
        if "{" not in answer and (field in better or answers[field] != default):
            words.append(f"{field}={shlex.quote(answer)}")
    return " ".join(words)


found = list(refusals(COOKIECUTTER))
if found:
    better = {field: answer for _, field, answer in found}
    lines = [line for line, _, _ in found]
    lines += ["Without typing the rest again:", command(COOKIECUTTER, better)]
    copy = Path(
        COOKIECUTTER["_repo_dir"]
    ).parent  # made for hooks/pre_prompt.py; after a refusal cookiecutter leaves it
    if copy.parent == Path(tempfile.gettempdir()) and copy.name.startswith("cookiecutter"):
        shutil.rmtree(copy, ignore_errors=True)
    sys.exit("\n".join(lines))
