"""Answers what a first project need not think about with the defaults, and asks again after a bad answer.

cookiecutter has no question that ``name=value`` alone answers, and looks at the answers when all are given. So this
Jinja extension stands before its prompts. What is not asked is in cookiecutter.json, ``__not_asked__`` among the
prompts; an answer from the command line is the question's default by then.
"""

import json
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from cookiecutter import prompt
from jinja2 import Environment
from jinja2.ext import Extension

Ask = Callable[..., Any]
_given: dict[str, Any] = {}


class FewQuestions(Extension):
    """Loaded by cookiecutter, as hooks/pre_prompt.py asks it to, before the first prompt."""

    def __init__(self, environment: Environment) -> None:
        """Stand before each kind of prompt; where another cookiecutter has no such function, it asks as ever."""
        super().__init__(environment)
        for name in ("read_user_variable", "read_user_choice", "read_user_yes_no"):
            ask = getattr(prompt, name, None)
            if ask is not None and not hasattr(ask, "__wrapped__"):
                setattr(prompt, name, _few(ask))


def _few(ask: Ask) -> Ask:
    @wraps(ask)
    def answer(name: str, default: Any, prompts: dict[str, Any] | None = None, prefix: str = "") -> Any:
        not_asked = (prompts or {}).get("__not_asked__")
        if not not_asked:  # another template, in the same process
            return ask(name, default, prompts, prefix)
        _given[name] = default[0] if isinstance(default, list) else default
        if name not in not_asked and f"{name}={default}" not in not_asked:
            asked = [one for one in prompts or {} if one not in ("__not_asked__", *not_asked)]
            prefix = f"  [dim][{asked.index(name) + 1}/{len(asked)}][/] "
            _given[name] = ask(name, default, prompts, prefix)
            while words := _refusal(name):
                print(f"  {words}")
                _given[name] = ask(name, default, prompts, prefix)
        return _given[name]

    return answer


def _refusal(name: str) -> str:
    """Return the rule that an answer breaks and a good answer; what breaks a rule together is found after the last."""
    template = json.loads(Path(__file__).with_name("cookiecutter.json").read_text(encoding="utf-8"))
    rules = template["_rules"].get(name, [])
    if name == "bucket" and "cloud" in _given:  # a replay may have answered it
        cloud = template["_clouds"][_given["cloud"]]
        rules = [[pattern, rule, cloud["bucket"]] for pattern, rule in cloud["bucket_rules"]]
    broken = (f"{rule}. A good one: {good}" for pattern, rule, good in rules if not _fits(pattern, _given[name]))
    return next(broken, "")


def _fits(pattern: str, answer: str) -> bool:
    return re.fullmatch(pattern, answer, re.ASCII) is not None
