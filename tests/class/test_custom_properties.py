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

from include.xcom_backend.reference import (
    MAX_PART_BYTES,
    Coordinates,
    Location,
    parse_object_key,
    quote_part,
    unquote_part,
)

pytestmark = pytest.mark.usefixtures("configure")

rules = hypothesis.settings(
    max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
