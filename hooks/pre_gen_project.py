"""Refuses answers that cannot work, in one line each, before a file is written. The rules are in cookiecutter.json."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

# tojson escapes all that could end this string: whatever was typed at a prompt stays data.
COOKIECUTTER = json.loads(
    r"""
{{ cookiecutter | tojson }}
"""
)


def refusals(answers: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each answer that breaks a rule, alone or with another: field, value, rule, a good example."""
    cloud = answers["_clouds"][answers["cloud"]]
    bucket_rules = [[pattern, rule, cloud["bucket"]] for pattern, rule in cloud["bucket_rules"]]
    for field, rules in {**answers["_rules"], "bucket": bucket_rules}.items():
        for pattern, rule, example in rules:
            if not re.fullmatch(pattern, answers[field], re.ASCII):
                name = f"{field} ({cloud['store']})" if field == "bucket" else field
                yield f"{name} = {json.dumps(answers[field])} is refused: {rule}. A good one: {example}"
                break
    for row in answers["_refused"]:
        field, value = row["field"], row["value"]
        if all(answers[name] == answer for name, answer in {**row["with"], field: value}.items()):
            yield f"{field} = {json.dumps(value)} is refused: {row['rule']}. A good one: {row['example']}"


lines = list(refusals(COOKIECUTTER))
sys.exit("\n".join(lines) or 0)
