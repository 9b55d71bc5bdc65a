"""Every kind of value comes back as it is, or is refused at the push: the table in values.py, stored and inline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from custom_xcom import Configure, objects, pull, push
from values import make, rows

from include.xcom_backend.codecs import RefusedError
from include.xcom_backend.codecs.exact import pack

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("polars")

ROWS = list(rows())


def comparable(value: Any) -> bytes:
    """Return bytes that are the same for equal values of equal types: of a table those that the codecs do not write."""
    if hasattr(value, "equals") and type(value).__module__.startswith(("polars", "pyarrow")):
        return repr((type(value), value.schema, value.to_pylist() if hasattr(value, "to_pylist") else value)).encode()
    return pack(value)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types, by other means than the codecs where there are some."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(map(same, one.values(), other.values()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):  # the order is that of the hashes, which differ from process to process
        return one == other and sorted(map(comparable, one)) == sorted(map(comparable, other))
    if type(one).__module__.startswith("pandas.core") or type(one).__name__ in {"DataFrame", "Series"}:
        from pandas import testing

        kind = "index" if hasattr(one, "to_frame") and hasattr(one, "levels") else type(one).__name__.lower()
        check = getattr(testing, f"assert_{kind}_equal", None)
        if check is not None and not type(one).__module__.startswith("polars"):
            check(one, other, check_exact=True)
    # What Arrow keeps below a null is nobody's value, but in its repr.
    return comparable(one) == comparable(other) and ("pyarrow" in repr(one) or repr(one) == repr(other))


def test_the_table_is_long_enough() -> None:
    assert len(ROWS) >= 400
    assert len({expression for _, _, expression in ROWS}) == len(ROWS)


@pytest.mark.parametrize("threshold", [0, -1], ids=["stored", "inline"])
@pytest.mark.parametrize(("expected", "expression"), [row[1:] for row in ROWS], ids=[f"{r[0]}: {r[2]}" for r in ROWS])
def test_value(expected: str, expression: str, threshold: int, configure: Configure, tmp_path: Path) -> None:
    configure(threshold=threshold)
    value = make(expression)
    if expected == "refused":
        with pytest.raises(
            RefusedError, match=r"^XCom 'return_value' of task .* is not pushed: .* is of the type "
        ) as told:
            push(value)
        assert "\n" not in str(told.value)
        assert not Path(tmp_path, "xcom").exists() or not objects(f"file://{tmp_path}/xcom")
    else:
        back = pull(push(value))
        assert back == value if expected == "base" else same(back, value), back


@pytest.mark.parametrize("expression", [row[2] for row in ROWS if row[1] == "base"])
def test_strict_refuses_what_would_come_back_as_its_base(expression: str, configure: Configure) -> None:
    configure(strict="true")
    with pytest.raises(RefusedError, match=r"would come back as .*STRICT=true refuses"):
        push(make(expression))


def test_the_place_and_the_type_are_named(configure: Configure) -> None:
    with pytest.raises(
        RefusedError, match=r"its value\['rows'\]\[3\]\['price'\] is of the type object: .*Return plain data"
    ):
        push({"rows": [1, 2, 3, {"price": object()}]})
    with pytest.raises(RefusedError, match=r"its value\[\(1, 2\)\]\[0\] is of the type object"):
        push({(1, 2): (object(),)})


READER = """
import json, os, sys
from types import SimpleNamespace
sys.path.insert(0, "tests")
from include.xcom_backend import XComBackend
from include.xcom_backend.codecs.exact import pack
from include.xcom_backend.compat import from_row
from values import make
wrong = 0
for expression, row in json.loads(sys.stdin.read()):
    back = XComBackend.deserialize_value(SimpleNamespace(value=row))
    wrong += pack(back) != pack(make(expression)) or repr(back) != repr(make(expression))
print("wrong:", wrong)
"""


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
def test_reader_in_another_time_zone_gets_the_same(zone: str, configure: Configure) -> None:
    import json

    from include.xcom_backend.compat import AIRFLOW_2

    if AIRFLOW_2:
        pytest.skip("a row of Airflow 2 is bytes, which this JSON cannot hold")
    configure(threshold=100)
    exact = [row[2] for row in ROWS if row[1] == "exact" and row[0] not in {"arrow", "polars"}]
    pushed = [(expression, push(make(expression))) for expression in exact]
    environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-W", "ignore", "-c", READER]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, input=json.dumps(pushed), capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines()[-1] == "wrong: 0", done.stderr[-2000:]
