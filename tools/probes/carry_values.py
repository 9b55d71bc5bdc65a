"""Pushes every value of tests/class/values.py, or pulls what another process, maybe on another Python, has pushed.

``write FOLDER`` pushes each value stored and inline, and writes down its row and its description. ``read FOLDER``
prints a list of those whose description is another one now, as JSON. The PYTHONPATH has the project and tests/class/.
"""

from __future__ import annotations

import collections
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NAMES = {"dag_id": "dag", "run_id": "run", "task_id": "task", "key": "return_value", "map_index": -1}
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
THRESHOLDS = ("0", "-1")


def describe(value: Any) -> Any:
    """Return types, order and digits of a value as text, without what a library calls its modules."""
    kind = type(value).__name__
    if isinstance(value, dict):
        factory = getattr(value, "default_factory", None)
        return kind, repr(factory), [(describe(key), describe(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return kind, [describe(item) for item in value]
    if isinstance(value, collections.deque):
        return kind, value.maxlen, [describe(item) for item in value]
    if isinstance(value, set | frozenset):
        return kind, sorted(str(describe(item)) for item in value)
    if kind == "ndarray":
        return kind, str(value.dtype.descr), value.shape, value.ndim > 1 and value.flags.fnc, describe(value.tolist())
    if hasattr(value, "schema"):  # a table of Arrow or polars
        rows = value.to_pylist() if hasattr(value, "to_pylist") else value.to_dicts()
        fields = value.schema.items() if hasattr(value.schema, "items") else [str(value.schema)]
        return kind, list(map(str, fields)), describe(rows)
    if hasattr(value, "dtypes") and hasattr(value, "index"):
        return kind, *describe_pandas(value)
    if hasattr(value, "nlevels"):
        return kind, describe_index(value)
    return kind, repr(value)


def describe_pandas(value: Any) -> tuple[Any, ...]:
    """Return the labels, the dtypes and the cells of a DataFrame or a Series."""
    if not hasattr(value, "columns"):
        return describe(value.name), describe_index(value.index), describe_dtype(value.dtype), describe(value.tolist())
    columns = [value.iloc[:, number] for number in range(value.shape[1])]
    cells = [(describe_dtype(column.dtype), describe(column.tolist())) for column in columns]
    return describe_index(value.index), describe_index(value.columns), cells


def describe_index(index: Any) -> Any:
    """Return the type, the names, the dtypes and the labels of an index."""
    dtypes = [level.dtype for level in index.levels] if index.nlevels > 1 else [index.dtype]
    return (
        type(index).__name__,
        describe(list(index.names)),
        list(map(describe_dtype, dtypes)),
        describe(index.tolist()),
    )


def describe_dtype(dtype: Any) -> Any:
    """Return a dtype, with its categories in their order."""
    categories = getattr(dtype, "categories", None)
    return str(dtype) if categories is None else (str(dtype), dtype.ordered, describe_index(categories))


def write(folder: Path) -> int:
    """Push all values that come back exactly; return how many."""
    from values import make, rows

    from include.xcom_backend import XComBackend, settings

    pushed = []
    for threshold in THRESHOLDS:
        os.environ[THRESHOLD] = threshold
        settings.settings.cache_clear()
        for _, expected, expression in rows():
            if expected == "exact":
                value = make(expression)
                row = XComBackend.serialize_value(value, **NAMES)
                pushed.append([expression, row, json.dumps(describe(value))])
    (folder / "rows.json").write_text(json.dumps(pushed))
    return len(pushed)


def read(folder: Path) -> list[str]:
    """Pull them all and return those that are not what they were."""
    from include.xcom_backend import XComBackend

    wrong = []
    for expression, row, description in json.loads((folder / "rows.json").read_text()):
        try:
            back = json.dumps(describe(XComBackend.deserialize_value(SimpleNamespace(value=row))))
        except Exception as error:
            back = f"{type(error).__name__}: {error}"
        if back != description:
            wrong.append(f"{expression}: {description} became {back}"[:1000])
    return wrong


def main() -> None:
    """Do as the arguments say."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[2])
    print(json.dumps({"write": write, "read": read}[sys.argv[1]](folder)))


if __name__ == "__main__":
    main()
