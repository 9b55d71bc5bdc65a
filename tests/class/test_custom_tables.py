"""Arrays and tables come back with the same dtypes, index and memory order."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from custom_xcom import Configure, objects, pull, push, reference

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

pytestmark = pytest.mark.usefixtures("configure")

ARRAYS = [
    np.arange(12).reshape(3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.array(5),
    np.zeros((0, 3)),
    np.array(["2026-01-01"], dtype="M8[ns]"),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("ü", "f8")]),
    np.arange(20)[::3],
    np.array(["aé", ""]),
    np.array([1 + 2j], dtype="complex64"),
    np.arange(3, dtype=">i4"),
    np.array([True, False]),
    np.array([math.nan, math.inf], dtype="float16"),
]
FRAMES = {
    "mixed": pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"], ordered=True)}),
    "named index": pd.DataFrame({"a": [1.5, math.nan]}, index=pd.Index(["x", "y"], name="i")),
    "multi-index": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["p", "q"])),
    "range index": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2)),
    "column levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("x", "a"), ("y", "b")])),
    "integer columns": pd.DataFrame([[1, 2]], columns=[3, 4]),
    "time zones": pd.DataFrame({"t": pd.to_datetime(["2026-01-01", None]).tz_localize("Europe/Zurich")}),
    "small types": pd.DataFrame({"i": np.array([1], "int8"), "f": np.array([1], "float32"), "b": [True]}),
    "nullable": pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "string types": pd.DataFrame({"s": pd.array(["a", None], "string")}),
    "objects": pd.DataFrame({"o": pd.Series(["a", None], dtype=object)}),
    "object names": pd.DataFrame(
        {"x": [1]}, index=pd.Index(["k"], dtype=object, name="i"), columns=pd.Index(["x"], dtype=object)
    ),
    "mixed nulls": pd.DataFrame({"o": pd.Series(["a", None, "b"], dtype=object), "s": ["x", None, "y"]}),
    "words": pd.DataFrame({"w": pd.Series(["a", "b", "a"], dtype=object), "a.b": pd.Series(["x"] * 3, dtype=object)}),
    "many words": pd.DataFrame({"w": pd.Series([str(number) for number in range(200_000)], dtype=object)}),
    "durations": pd.DataFrame({"d": pd.to_timedelta(["1s", None])}),
    "periods": pd.DataFrame({"p": pd.period_range("2026-01", periods=2, freq="M")}),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="int16")}),
    "no columns": pd.DataFrame(index=[1, 2]),
    "arrow types": pd.DataFrame({"a": pd.array([1, None], "int32[pyarrow]")}),
    "lists": pd.DataFrame({"l": [[1, 2], [3]]}),
    "cells of any type": pd.DataFrame({"o": pd.Series([{1: (2,)}, None, math.nan], dtype=object)}),
    "categories of numbers": pd.DataFrame({"c": pd.Categorical([3, 1], categories=[3, 2, 1], ordered=True)}),
    "frequency": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026-01-01", periods=2, freq="D")),
    "columns of dates": pd.DataFrame([[1, 2]], columns=pd.date_range("2026-01-01", periods=2)),
    "boolean labels": pd.DataFrame([[1, 2]], columns=[True, False]),
    "same labels": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "unused category": pd.DataFrame({"c": pd.Categorical(["x"], categories=["y", "x", "z"])}),
}


@pytest.fixture(params=[0, 10**9], ids=["stored", "inline"])
def threshold(request: pytest.FixtureRequest, configure: Configure) -> int:
    """Send everything to the store, or nothing."""
    configure(threshold=request.param)
    return int(request.param)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_numpy_array(array: Any, threshold: int) -> None:
    back = pull(push(array))
    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.flags.writeable
    assert back.flags.f_contiguous == array.flags.f_contiguous or not array.flags.f_contiguous


def test_numpy_array_of_objects_is_refused() -> None:
    with pytest.raises(RuntimeError, match="pickle"):
        push(np.array([object()]))


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_frame(name: str, threshold: int) -> None:
    pd.testing.assert_frame_equal(pull(push(FRAMES[name])), FRAMES[name])


def test_arrow_table(threshold: int) -> None:
    table = pa.table({"a": pa.array([1, None], pa.int8()), "d": pa.array(["x", "x"]).dictionary_encode()})
    assert pull(push(table)).equals(table)


def test_polars_frame_and_collected_lazy_frame(threshold: int) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {"a": [1, None], "c": pl.Series(["x", "y"], dtype=pl.Categorical), "t": [datetime.timedelta(1), None]}
    )
    assert pull(push(frame)).equals(frame)
    assert pull(push(frame)).schema == frame.schema
    assert pull(push(frame.lazy().filter(pl.col("a") == 1))).equals(frame.head(1))


def test_every_store(base: str) -> None:
    frame = FRAMES["mixed"]
    row = push(frame)
    pd.testing.assert_frame_equal(pull(row), frame)
    assert reference(row)["paths"] == [f"{base}/{key}" for key in objects(base)]
    np.testing.assert_array_equal(pull(push(np.arange(10_000))), np.arange(10_000))


def test_parquet_is_not_compressed_twice_and_arrays_are(configure: Configure) -> None:
    configure(compression="gzip")
    promised = reference(push(FRAMES["mixed"]))
    assert promised["compression"] == "none"
    assert promised["paths"][0].endswith(".parquet")
    assert reference(push(np.zeros(5000)))["paths"][0].endswith(".npy.gz")


def test_summary_tells_shape_and_columns() -> None:
    assert reference(push(FRAMES["mixed"]))["summary"] == {
        "type": f"{pd.DataFrame.__module__}.DataFrame",
        "shape": [2, 3],
        "columns": ["a", "b", "c"],
    }


def test_missing_library_is_named_and_is_no_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    row = push(FRAMES["mixed"])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(RuntimeError, match=r"is intact, but this worker cannot decode it.*pyarrow"):
        pull(row)
