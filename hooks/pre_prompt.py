"""Has cookiecutter ask the first questions only, by few_questions.py.

It runs in a copy of the template, before cookiecutter.json is read. Where no hook runs before the prompts, with
``--accept-hooks no`` and in cruft, which could not import the extension later, every question is asked.
"""

import json
from pathlib import Path

file = Path("cookiecutter.json")
template = json.loads(file.read_text(encoding="utf-8"))
template["_extensions"] = ["few_questions.FewQuestions"]
file.write_text(json.dumps(template), encoding="utf-8")
