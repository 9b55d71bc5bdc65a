"""Pushes and pulls every value of tests/class/values.py with one XCom class, and prints what became of each, as JSON.

The PYTHONPATH has the project and tests/class/. The argument is the path of the class, as Airflow's setting has it.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from values import PLAIN, TABLES, make

from include.xcom_backend.codecs.exact import pack

NAMES = {"dag_id": "dag", "run_id": "run", "task_id": "task", "key": "return_value", "map_index": -1}


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, of the same types at every level."""
    if type(one) is not type(other):
        return False
    if hasattr(one, "schema"):
        return bool(one.schema == other.schema and one.equals(other))
    try:
        return bool(pack(one) == pack(other))
    except Exception:  # what the custom class refuses, another one may have brought back
        return repr(one) == repr(other)


def outcome(backend: Any, expression: str) -> str:
    """Return what becomes of one value."""
    value = make(expression)
    try:
        row = json.loads(json.dumps(backend.serialize_value(value, **NAMES), allow_nan=False))
    except Exception:
        return "refused"
    try:
        back = backend.deserialize_value(SimpleNamespace(value=row))
    except Exception:
        return "never read"
    if same(back, value):
        return "exact"
    base = type(back) in type(value).__mro__ and type(back) is not type(value)
    return "as base" if base and back == value else "changed"


def main() -> None:
    """Try them all."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    module, _, name = sys.argv[1].rpartition(".")
    backend = getattr(import_module(module), name)
    told = []
    for line in (PLAIN + TABLES).strip().splitlines():
        group, _, expressions = (part.strip() for part in line.split("|", 2))
        told += [[group, expression, outcome(backend, expression)] for expression in expressions.split(" ; ")]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
