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
    """Yield a line for each answer that breaks a rule: the field, the value, the rule, and a good example."""
    cloud = answers["_clouds"][answers["cloud"]]
    bucket_rules = [[pattern, rule, cloud["bucket"]] for pattern, rule in cloud["bucket_rules"]]
    for field, rules in {**answers["_rules"], "bucket": bucket_rules}.items():
        for pattern, rule, example in rules:
            if not re.fullmatch(pattern, answers[field], re.ASCII):
                name = f"{field} ({cloud['store']})" if field == "bucket" else field
                yield f"{name} = {json.dumps(answers[field])} is refused: {rule}. A good one: {example}"
                break
    for together, rule, example in answers["_refused"]:
        if all(re.fullmatch(pattern, str(answers[field])) for field, pattern in together.items()):
            pairs = ", ".join(f"{field} = {json.dumps(answers[field])}" for field in together)
            yield f"{pairs} is refused: {rule}. A good one: {example}"


lines = list(refusals(COOKIECUTTER))
sys.exit("\n".join(lines) or 0)
