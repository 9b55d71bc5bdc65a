"""What goes in comes out: every type that is no table, every store, above and below the threshold."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from custom_xcom import Configure, objects, pull, push, reference

from include.xcom_backend.codecs import RefusedError
from include.xcom_backend.settings import XComSettingsError

pytestmark = pytest.mark.usefixtures("configure")

PLAIN: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    -0.0,
    2**63,
    2**64,
    -(10**40),
    "",
    "text",
    "a\x00b",
    "\ud800",
    "ünï\U0001f600",
    "s3://conn@bucket/key",
    "{}",
    '{"__xcom_backend__": 1}',
    [],
    {},
    [[]],
    {
        "a": {},
    },
    {"a": [1, {"b": None}], "ü": "null"},
    ["null", None, 0.5, {"null": None}],
    {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1]},
    {"__type": "set", "__var": [1]},
    {"__xcom_backend__": 1, "kind": "reference", "paths": ["file:///etc/passwd"]},
    {
        "nested": {"__xcom_backend__": 1},
    },
]
RICH: list[Any] = [
    (),
    (1, (2, [3, (4,)])),
    {"a": (1, 2)},
    {1, 2},
    frozenset({1}),
    [{1}, (2,)],
    datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone.utc),
    datetime.date(2026, 1, 2),
    datetime.timedelta(seconds=1.5),
    Decimal("1.5"),
    b"",
    b"\x00\xff",
]


@pytest.fixture(params=[0, 10**9, -1], ids=["stored", "inline", "never"])
def threshold(request: pytest.FixtureRequest, configure: Configure) -> int:
    """Send everything to the store, or nothing."""
    configure(threshold=request.param)
    return int(request.param)


@pytest.mark.parametrize("value", PLAIN + RICH, ids=repr)
def test_value_comes_back_equal_and_of_the_same_type(value: Any, threshold: int) -> None:
    back = pull(push(value))
    assert back == value
    assert type(back) is type(value)
    if not isinstance(value, datetime.datetime):  # serde gives an equal time zone of another class
        assert repr(back) == repr(value)


@pytest.mark.parametrize("value", [[math.nan, None, "null"], {"a": math.inf, "b": [-math.inf, math.nan]}], ids=repr)
def test_nan_and_infinity_survive(value: Any, threshold: int) -> None:
    assert repr(pull(push(value))) == repr(value)


def test_time_zone_survives(threshold: int) -> None:
    from zoneinfo import ZoneInfo

    when = datetime.datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Zurich"))
    back = pull(push(when))
    assert back == when
    assert back.utcoffset() == when.utcoffset()


def test_keys_keep_their_types(threshold: int) -> None:
    value = {1: "a", "1": "b", None: "c", 1.5: [{True: 2, (1, 2): 3}]}
    assert repr(pull(push(value))) == repr(value)


def test_row_of_a_small_value_is_what_airflow_itself_would_store(configure: Configure) -> None:
    from include.xcom_backend.compat import BaseXCom, from_row

    configure(threshold=10**6)
    for value in ({"a": [1, "x", None, 2.5]}, "text", 7, True, [1, 2], {"id": 1, "name": "x"}):
        assert from_row(push(value)) == from_row(BaseXCom.serialize_value(value))


FRAGILE: list[Any] = [1e300, 1e16, -0.0, 2**64, "\x00", {"name": 1, "id": 2}, {"__type": "x"}, [[{"b": 1, "a": 2}]]]


@pytest.mark.parametrize("value", FRAGILE, ids=repr)
def test_what_a_database_or_the_way_to_it_would_change_is_wrapped(value: Any, configure: Configure) -> None:
    from include.xcom_backend.compat import from_row

    configure(threshold=10**6)
    row = from_row(push(value))
    assert row["kind"] == "inline"
    assert repr(pull(push(value))) == repr(value)


@dataclasses.dataclass
class Point:
    """A class of the user's own."""

    x: Any


def test_allowed_class_passes_and_another_does_not(threshold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_backend import compat

    serde = __import__(compat.deserialize.__module__, fromlist=["_match"])
    with pytest.raises(RefusedError, match=rf"its value\[0\] is of the type {__name__}.Point: .*allow list"):
        push([Point(1)])
    monkeypatch.setattr(serde, "_match", lambda name: True)
    assert pull(push(Point(1))) == Point(1)
    assert repr(pull(push([Point((1, Decimal("1.10")))]))) == "[Point(x=(1, Decimal('1.10')))]"


@pytest.mark.parametrize("value", [None, "", b"", [], {}, 0, False], ids=repr)
def test_zero_stores_even_what_is_empty(value: Any) -> None:
    assert pull(push(value)) == value
    reference(push(value))


@pytest.mark.parametrize("value", ["x" * 98, b"x" * 100, {"k": "x" * 92}], ids=["text", "bytes", "json"])
def test_greater_than_the_threshold_is_stored_and_equal_is_not(value: Any, configure: Configure) -> None:
    from include.xcom_backend import codecs

    size = sum(len(piece) for piece in codecs.encode(value)[1])
    for threshold in (size - 1, size, size + 1):
        configure(threshold=threshold)
        row = push(value)
        parsed = json.loads(row) if isinstance(row, bytes) else row
        assert (isinstance(parsed, dict) and parsed.get("kind") == "reference") == (size > threshold)


@pytest.mark.parametrize("compression", ["none", "zip", "gzip", "bz2", "lzma", "xz", "snappy", "zstd", "lz4"])
def test_compression(compression: str, configure: Configure, tmp_path: Any) -> None:
    needed = {"snappy": "snappy", "zstd": "zstandard", "lz4": "lz4.frame"}.get(compression)
    if needed:
        pytest.importorskip(needed, reason=f"{compression} needs a package that only its own answer adds")
    configure(compression=compression)
    for value in ({"a": ["same"] * 5000}, "same " * 5000, b"same" * 5000, "", [(1, 2)] * 5000):
        row = push(value)
        promised = reference(row)
        assert pull(row) == value
        if compression != "none" and promised["decoded_size"] > 100:
            assert promised["size"] < promised["decoded_size"] / 10
    extension = {"none": "", "gzip": ".gz", "snappy": ".sz", "zstd": ".zst"}.get(compression, f".{compression}")
    keys = objects(f"file://{tmp_path}/xcom")
    assert sum(key.endswith((f".json{extension}", f".msgpack{extension}")) for key in keys) == 2


@pytest.mark.parametrize("compression", ["none", "zip"])
def test_every_store(compression: str, base: str, configure: Configure) -> None:
    configure(compression=compression)
    values = [{"a": list(range(1000))}, "text" * 1000, b"\x00" * 10_000, b"", (1, 2)]
    rows = [push(value, key=f"k/{n}#%?ü") for n, value in enumerate(values)]
    assert [pull(row) for row in rows] == values
    assert sorted(reference(row)["paths"][0] for row in rows) == [f"{base}/{key}" for key in objects(base)]


class UuidCodec:
    """A codec of the user's own: ten lines."""

    name, extension, compress, mutable = "uuid", "uuid", True, False

    def handles(self, value: Any) -> bool:
        """Take UUIDs."""
        return isinstance(value, uuid.UUID)

    def encode(self, value: Any) -> list[bytes]:
        """Write 16 bytes."""
        return [value.bytes]

    def decode(self, data: Any) -> uuid.UUID:
        """Read them."""
        return uuid.UUID(bytes=bytes(data))

    def describe(self, value: Any) -> dict[str, Any]:
        """Say nothing in the reference."""
        return {}


@pytest.mark.parametrize("threshold", [0, 10**6])
def test_own_codec_is_asked_first(threshold: int, configure: Configure) -> None:
    configure(codecs=f"{__name__}.UuidCodec", threshold=threshold)
    value = uuid.uuid4()
    row = push(value)
    assert pull(row) == value
    assert (json.loads(row) if isinstance(row, bytes) else row)["codec"] == "uuid"


def test_codec_that_cannot_be_imported_is_named(configure: Configure) -> None:
    configure(codecs="include.nothing.Here")
    with pytest.raises(XComSettingsError, match="AIRFLOW__XCOM_BACKEND__CODECS"):
        push(1)


class TextTwice(UuidCodec):
    """A codec of the user's own with a name that is taken."""

    name = "text"


def test_codec_with_a_name_that_is_taken_is_refused(configure: Configure) -> None:
    for codecs in (f"{__name__}.TextTwice", f"{__name__}.UuidCodec,{__name__}.UuidCodec"):
        configure(codecs=codecs)
        with pytest.raises(XComSettingsError, match=r"CODECS names .*another codec has this name already.*my_"):
            push(1)


def test_codecs_can_be_restricted(configure: Configure) -> None:
    row = push((1, 2))
    configure(allowed_codecs="json, text")
    assert pull(push({"a": 1})) == {"a": 1}
    with pytest.raises(RuntimeError, match=r"tuple.*'msgpack'.*ALLOWED_CODECS=json,text"):
        push((1, 2))
    with pytest.raises(RuntimeError, match="ALLOWED_CODECS"):
        pull(row)


@pytest.mark.parametrize("wrap", [False, True], ids=["alone", "nested"])
def test_arrays_of_a_frame_are_a_part_of_it_and_arrays_beside_it_are_not(wrap: bool, configure: Configure) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frames = [pd.DataFrame({"a": [1.5]}), pd.DataFrame({"a": [{1: 2}], "b": [1]}), pd.Series([1.5]), pd.Index([1.5])]
    rows = []
    for value in [(one,) if wrap else one for one in frames]:
        for threshold in (0, -1):
            configure(allowed_codecs="pandas,msgpack", threshold=threshold)
            rows.append(push(value))
            assert repr(pull(rows[-1])) == repr(value)
            configure(allowed_codecs="msgpack,numpy")
            with pytest.raises(RuntimeError, match=r"A value of type pandas\.\S+ needs the codec 'pandas'"):
                push(value)
            with pytest.raises(RuntimeError, match="needs the codec 'pandas'"):
                pull(rows[-1])
    configure(allowed_codecs="pandas,msgpack")
    with pytest.raises(RuntimeError, match="needs the codec 'numpy'"):
        push((frames[0], frames[0].to_numpy()))


def test_summary_tells_what_it_is_and_can_be_off(configure: Configure) -> None:
    assert reference(push("secret" * 100))["summary"] == {"type": "str", "length": 600, "start": ("secret" * 14)[:80]}
    assert reference(push({"k\x00": 1}))["summary"] == {"type": "dict", "length": 1, "keys": ["k?"]}
    configure(summary="off")
    assert reference(push("secret" * 100))["summary"] == {}
