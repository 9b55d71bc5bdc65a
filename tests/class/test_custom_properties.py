"""Rules that hold for every value and every name, tried on random ones."""

from __future__ import annotations

import collections
import datetime
import json
from typing import Any

import hypothesis
import pytest
from custom_xcom import Configure, pull, push
from hypothesis import HealthCheck, given
from hypothesis import strategies as some

from include.xcom_backend.codecs import RefusedError
from include.xcom_backend.reference import (
    MAX_PART_BYTES,
    Coordinates,
    Location,
    parse_object_key,
    quote_part,
    unquote_part,
)

pytestmark = pytest.mark.usefixtures("configure")

# The same examples in each run, so that a red one means a change: e2e/fuzz goes further.
rules = hypothesis.settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NASTY = some.text(some.sampled_from("aB9_.:+-~%=#?/\\ ü日\x00\ud800\U0001f600\n*[]&@"), max_size=300)
NAMES = some.builds(Coordinates, NASTY, NASTY, NASTY, some.integers(-1, 10**6), NASTY)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(some.characters()),
    lambda inner: (
        some.lists(inner, max_size=5)
        | some.dictionaries(some.text(max_size=8), inner, max_size=5)
        | some.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=20,
)


@given(one=NASTY, other=NASTY)
@rules
def test_quoting_is_safe_and_unique(one: str, other: str) -> None:
    quoted = quote_part(one)
    assert 0 < len(quoted.encode()) <= MAX_PART_BYTES
    assert quoted not in {".", ".."}
    assert quoted[0] != "."
    assert quoted[-1] != "."
    assert not set(quoted) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:+-~")
    assert unquote_part(quoted) in {one, None}
    assert (quote_part(other) == quoted) == (one == other)


@given(one=NAMES, other=NAMES)
@rules
def test_keys_fit_and_do_not_collide(one: Coordinates, other: Coordinates) -> None:
    base = Location.parse("s3://c@b/" + "p" * 240)
    first, second = one.new_object_key("serde.json.snappy"), other.new_object_key("serde.json.snappy")
    assert len(f"{base.prefix}/{first}".encode()) <= 1024
    assert base.key_of(base.url_of(first)) == first
    assert parse_object_key(first) in {one, None}
    assert (first.rsplit(".", 4)[0] == second.rsplit(".", 4)[0]) == (one == other)
    assert first != one.new_object_key("serde.json.snappy")


ZONES = (
    some.none()
    | some.timezones()
    | some.timedeltas(datetime.timedelta(hours=-23), datetime.timedelta(hours=23)).map(datetime.timezone)
)
KEYS = (
    some.none() | some.booleans() | some.integers() | some.text(some.characters()) | some.binary() | some.uuids()
    | some.dates() | some.timedeltas() | some.fractions() | some.decimals(allow_nan=False) | some.tuples(some.text())
)  # fmt: skip
EXACT = some.recursive(
    KEYS | some.floats() | some.complex_numbers() | some.decimals() | some.datetimes(timezones=ZONES)
    | some.times(timezones=ZONES),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.lists(inner, max_size=3).map(tuple)
        | some.dictionaries(KEYS, inner, max_size=4)
        | some.frozensets(KEYS, max_size=4)
        | some.lists(inner, max_size=3).map(collections.deque)
        | some.dictionaries(some.text(), inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=15,
)  # fmt: skip


def shape(value: Any) -> Any:
    """Return types, order and digits of a value as text; a set has no order."""
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return type(value), [shape(item) for item in value]
    return type(value), sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


@given(value=EXACT, small=some.booleans())
@rules
def test_all_supported_types_nest(value: Any, small: bool, configure: Configure) -> None:
    configure(threshold=-1 if small else 0)
    assert shape(pull(push(value))) == shape(value)


@some.composite
def columns(draw: some.DrawFn, rows: int, hashable: bool = False) -> Any:
    """Return the cells of a column of any kind that pandas has, or only of those that an index may have."""
    import numpy as np
    import pandas as pd
    from hypothesis.extra import numpy

    def cells(strategy: Any) -> list[Any]:
        return list(draw(some.lists(strategy, min_size=rows, max_size=rows)))

    kind = draw(some.sampled_from(["numpy", "object", "categorical", "extension", "zoned", "period", "interval"]))
    if kind == "numpy":
        names = "bool int8 int64 uint8 uint64 float32 float64 complex128 M8[s] M8[ms] M8[us] M8[ns] m8[s] m8[ns]"
        dtypes = some.sampled_from([*names.split(), *([] if hashable else ["float16"])])
        return draw(numpy.arrays(draw(dtypes), rows))
    if kind == "object":
        array = np.empty(rows, object)
        for number, cell in enumerate(cells(KEYS if hashable else EXACT)):
            array[number] = cell
        return array
    if kind == "categorical":
        of = draw(some.sampled_from([some.text(), some.integers(-(2**63), 2**63 - 1), some.dates(), some.booleans()]))
        categories = draw(some.lists(of, unique=True, max_size=4))
        codes = cells(some.integers(-1, len(categories) - 1))
        return pd.Categorical.from_codes(codes, pd.Index(categories), ordered=draw(some.booleans()))
    if kind == "extension":
        numbers = some.integers(-(2**31), 2**31 - 1)
        texts = some.text(some.characters(exclude_categories=["Cs"]))
        types: dict[str, Any] = {"Int64": numbers, "Float64": some.floats(allow_nan=False), "boolean": some.booleans()}
        types["string"] = texts
        name = draw(some.sampled_from(sorted(types)))
        return pd.array(cells(some.none() | types[name]), dtype=name)
    moments = cells(some.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)) | some.just(pd.NaT))
    if kind == "zoned":
        zone = draw(some.sampled_from(["UTC", "Europe/Zurich", "Asia/Kathmandu"]))
        return pd.DatetimeIndex(moments, dtype="M8[us]").tz_localize("UTC").tz_convert(zone).array
    if kind == "period":
        return pd.PeriodIndex(moments, freq=draw(some.sampled_from(["D", "M", "h"]))).array
    starts = sorted(cells(some.integers(-(2**40), 2**40)))
    closed = draw(some.sampled_from(["left", "right", "both", "neither"]))
    return pd.arrays.IntervalArray.from_arrays(starts, [start + 1 for start in starts], closed)


@some.composite
def indexes(draw: some.DrawFn, rows: int) -> Any:
    """Return an index of any kind, with names of any kind."""
    import pandas as pd

    name = draw(some.none() | some.text(max_size=3) | some.integers() | some.tuples(some.text(max_size=2), some.none()))
    kind = draw(some.sampled_from(["range", "column", "multi"]))
    if kind == "range":
        start, step = draw(some.integers(-9, 9)), draw(some.sampled_from([-2, 1, 3]))
        return pd.RangeIndex(start, start + step * rows, step, name=name)
    if kind == "column":
        return pd.Index(draw(columns(rows, hashable=True)), name=name, tupleize_cols=False)
    levels = [draw(columns(rows, hashable=True)) for _ in range(2)]
    return pd.MultiIndex.from_arrays(levels, names=[name, None])


@some.composite
def frames(draw: some.DrawFn) -> Any:
    """Return a DataFrame of any index, labels and dtypes."""
    import pandas as pd

    rows = draw(some.integers(0, 4))
    frame = pd.DataFrame(index=draw(indexes(rows)))
    for number in range(draw(some.integers(0, 3))):
        frame.insert(number, f"column {number}", draw(columns(rows)))
    frame.columns = draw(indexes(len(frame.columns)))
    return frame


def drawing(index: Any) -> Any:
    """Return all that an index has, as text where that tells more than an equality."""
    dtypes = [level.dtype for level in index.levels] if index.nlevels > 1 else [index.dtype]
    return type(index), shape(list(index.names)), list(map(drawn_dtype, dtypes)), shape(index.tolist())


def drawn_dtype(dtype: Any) -> Any:
    """Return a dtype with its categories in their order."""
    categories = getattr(dtype, "categories", None)
    return (str(dtype), dtype.ordered, drawing(categories)) if categories is not None else str(dtype)


def drawn(frame: Any) -> Any:
    """Return all that a frame has."""
    cells = [(drawn_dtype(frame.dtypes.iloc[n]), shape(frame.iloc[:, n].tolist())) for n in range(frame.shape[1])]
    return type(frame), drawing(frame.index), drawing(frame.columns), cells


def test_frames_come_back_or_are_refused(configure: Configure) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    outcomes: collections.Counter[str] = collections.Counter()

    @given(frame=frames(), small=some.booleans())
    @hypothesis.settings(rules, max_examples=300)
    def try_one(frame: Any, small: bool) -> None:
        configure(threshold=-1 if small else 0)
        try:
            row = push(frame)
        except RefusedError:
            outcomes["refused"] += 1
            return
        assert drawn(pull(row)) == drawn(frame)
        outcomes["exact"] += 1

    try_one()
    assert outcomes["exact"] >= 4 * outcomes["refused"]


@given(value=JSON, small=some.booleans())
@rules
def test_any_nested_value_comes_back(value: Any, small: bool, configure: Configure) -> None:
    configure(threshold=-1 if small else 0)
    assert repr(pull(push(value))) == repr(value)


@given(value=some.text() | some.binary() | JSON, off=some.integers(-2, 2))
@rules
def test_greater_than_the_threshold_is_stored_and_equal_is_not(value: Any, off: int, configure: Configure) -> None:
    from include.xcom_backend import codecs
    from include.xcom_backend.reference import TAG

    configure(threshold=-1)
    size = sum(len(piece) for piece in codecs.encode(value)[1])
    configure(threshold=max(1, size + off))
    row = push(value)
    row = json.loads(row) if isinstance(row, bytes) else row
    stored = isinstance(row, dict) and TAG in row and row["kind"] == "reference"
    assert stored == (size > max(1, size + off))


@given(
    row=some.dictionaries(some.sampled_from(["kind", "paths", "size", "codec", "data"]), some.text() | some.integers())
)
@rules
def test_any_dict_of_a_user_that_has_the_tag_is_just_a_dict(row: dict[str, Any]) -> None:
    value = {"__xcom_backend__": 1, **row}
    assert pull(push(value)) == value
