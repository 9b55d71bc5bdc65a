"""Chunks: a list in a store, of which a reader fetches what it asks for, and nothing that was not written."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from custom_xcom import Configure, Relay, encoded, objects, pull, purge, push, reference, run_python, store_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.xcom_backend.chunks import Chunks
from include.xcom_backend.codecs import RefusedError
from include.xcom_backend.files import XComFile, XComFolder
from include.xcom_backend.reference import (
    InvalidReferenceError,
    ObjectCorruptError,
    ObjectMissingError,
    XComBackendError,
)

pytestmark = pytest.mark.usefixtures("configure")

ITEMS: list[Any] = [{"a": 1}, "text", b"bytes", (1, 2), Decimal("1.50"), None, [], "x" * 100_000]


def test_items_come_back_as_they_are(base: str, configure: Configure) -> None:
    for compression in ("", "gzip"):
        configure(path=base, compression=compression)
        row = push(Chunks(ITEMS))
        pulled = pull(row)
        assert isinstance(pulled, Chunks)
        assert isinstance(pulled, Sequence)
        assert len(pulled) == len(ITEMS)
        assert list(pulled) == ITEMS
        assert [pulled[place] for place in range(len(ITEMS))] == ITEMS
        assert [type(item) for item in pulled] == [type(item) for item in ITEMS]
        again = pickle.loads(pickle.dumps(pulled[2:5]))  # noqa: S301
        assert (list(again), len(again)) == (ITEMS[2:5], 3)
        assert reference(row)["summary"] == {"type": "include.xcom_backend.chunks.Chunks", "length": len(ITEMS)}
    assert repr(pulled).startswith("<8 chunks of XCom 'return_value' of task 'task'")
    assert repr(Chunks(iter([1]))) == "<Chunks of items>"


@settings(derandomize=True, deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), items=st.lists(st.one_of(st.integers(), st.text(), st.binary(max_size=50)), max_size=200))
def test_the_sequence_is_like_a_list(data: st.DataObject, items: list[Any]) -> None:
    pulled = pull(push(Chunks(iter(items))))
    assert len(pulled) == len(items)
    bounds = st.none() | st.integers(-len(items) - 2, len(items) + 2)
    steps = st.none() | st.integers(-3, 3).filter(bool)
    for _ in range(3):
        part = data.draw(st.builds(slice, bounds, bounds, steps))
        assert list(pulled[part]) == items[part]
        assert list(pulled[part][part]) == items[part][part]
    for place in (0, -1, len(items) // 2, len(items), -len(items) - 1):
        try:
            expected = items[place]
        except IndexError:
            with pytest.raises(IndexError):
                pulled[place]
        else:
            assert pulled[place] == expected
    if items:
        item = data.draw(st.sampled_from(items))
        assert item in pulled
        assert pulled.index(item) == items.index(item)
        assert pulled.count(item) == items.count(item)
    assert list(reversed(pulled)) == items[::-1]


def test_a_reader_fetches_what_it_asks_for(cloud: str, relay: Relay, configure: Configure) -> None:
    configure(path=cloud)
    items = [bytes([number]) * 100_000 for number in range(200)]
    row = push(Chunks(items))
    relay.take()
    pulled = pull(row)
    assert (len(pulled), relay.take()) == (200, [])  # the row knows the length
    before = relay.given
    assert pulled[7] == items[7]
    assert [line.split()[0] for line in relay.take()] == ["GET"] * 3  # the index, its page, the item
    assert relay.given - before < 110_000
    assert pulled[8] == items[8]
    assert len(relay.take()) == 1
    assert list(pulled[10:60]) == items[10:60]
    assert len(relay.take()) == 1  # neighbours come together
    assert list(pulled) == items
    assert len(relay.take()) <= 3 + 4  # at most 8 MiB at once, and the pages


def test_items_are_written_while_they_are_made(cloud: str, relay: Relay, configure: Configure) -> None:
    configure(path=cloud)
    seen: list[int] = []

    def make() -> Iterator[bytes]:
        for number in range(60):
            seen.append(len(relay.lines))
            yield bytes([number]) * 2**20

    row = push(Chunks(make()))
    assert seen[-1] > 2, seen  # requests before the last item was made
    assert reference(row)["size"] > 60 * 2**20
    assert [item[0] for item in pull(row)] == list(range(60))


@pytest.mark.parametrize("size", [10, 3 * 2**20])
def test_nothing_is_left_of_what_fails_in_the_middle(base: str, size: int) -> None:
    def make() -> Iterator[Any]:
        for _ in range(10):
            yield b"x" * size
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        push(Chunks(make()))
    with pytest.raises(RefusedError, match=r"value\[1\]\['a'\] is of the type object"):
        push(Chunks([1, {"a": object()}]))
    assert objects(base) == []


def test_the_length_is_known_before_the_push(base: str, configure: Configure) -> None:
    assert len(Chunks([1, 2])) == 2
    assert len(Chunks(iter([1, 2]), length=2)) == 2
    configure(path=base, compression="gzip")
    generated = Chunks(number * 2 for number in range(100))
    assert len(generated) == 100  # as Airflow does where a task is mapped over it
    assert list(pull(push(generated))) == list(range(0, 200, 2))
    with pytest.raises(XComBackendError, match=r"said to have 3 items, and gave 2"):
        push(Chunks(iter([1, 2]), length=3))
    once = Chunks(iter([1]))
    push(once)
    assert len(once) == 1  # as Airflow 2 does, after the push
    with pytest.raises(XComBackendError, match="gives its items once"):
        push(once)
    assert list(pull(push(Chunks([])))) == []


def test_threads_that_read_side_by_side_get_their_own_items(monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_backend.streams import PAGE, Index

    pulled = pull(push(Chunks(range(2 * PAGE))))
    both_are_here = threading.Barrier(2, timeout=30)

    def remember(self: Index, page: tuple[int, bytes]) -> None:
        self.__dict__["_page"] = page
        both_are_here.wait()  # the other one has remembered its page too

    monkeypatch.setattr(Index, "_page", property(lambda self: self.__dict__["_page"], remember), raising=False)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(pulled.__getitem__, (0, PAGE), timeout=60)) == [0, PAGE]


def test_what_is_no_item_is_refused() -> None:
    for inside in (Chunks([1]), pull(push(Chunks([1]))), XComFile(__file__), XComFolder("."), [Chunks([1])]):
        with pytest.raises(RefusedError, match=r"value\[1\]"):
            push(Chunks([1, inside]))
    with pytest.raises(TypeError):
        push(Chunks(5))  # type: ignore[arg-type]


def test_a_copy_in_another_process_reads_the_same(base: str) -> None:
    pulled = pull(push(Chunks(range(10))))
    assert list(copy.deepcopy(pulled)) == list(copy.copy(pulled)) == list(range(10))
    pickled = pickle.dumps([pulled[::-2], pulled])
    assert run_python(f"import pickle; print(*map(list, pickle.loads({pickled!r})))").splitlines()[-1] == (
        f"{list(range(10))[::-2]} {list(range(10))}"
    )


def test_chunks_can_be_pushed_again(base: str) -> None:
    first = pull(push(Chunks(range(100))))
    second = pull(push(first, task_id="second"))
    third = pull(push(first[::-2], task_id="third"))
    assert list(second) == list(range(100))
    assert list(third) == list(range(100))[::-2]
    with pytest.raises(RefusedError, match="PulledChunks"):
        push({"inside": first})


def test_the_mirror_takes_over_item_by_item(pair: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    primary, mirror = pair
    row = push(Chunks([b"a" * 1000, b"b" * 1000]))
    [key] = objects(primary)
    assert objects(mirror) == [key]
    good = store_of(primary).get(key, None).data.getvalue()
    store_of(primary).put(key, [b"z" + good[1:]])
    pulled = pull(row)
    with caplog.at_level("WARNING"):
        assert pulled[1] == b"b" * 1000
        assert "Took the copy" not in caplog.text
        assert pulled[0] == b"a" * 1000
        assert f"Took the copy {mirror}/{key}" in caplog.text
    store_of(primary).delete(key)
    assert list(pull(row)) == [b"a" * 1000, b"b" * 1000]
    purge(row)
    assert objects(primary) == objects(mirror) == []


def test_a_mirror_that_fails_fails_the_push_unless_told_otherwise(
    base: str, configure: Configure, tmp_path: Any
) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    for path, mirror in ((base, f"file://{tmp_path}/blocked/x"), (f"file://{tmp_path}/blocked/x", base)):
        configure(path=path, mirror=mirror, mirror_writes="all")
        with pytest.raises(XComBackendError, match=r"'return_value'.*is not stored\. Cannot write file://.*/blocked/x"):
            push(Chunks(["value"]))
        assert objects(base) == []
        configure(mirror_writes="best_effort")
        row = push(Chunks(["value"]))
        assert len(reference(row)["paths"]) == 1
        assert list(pull(row)) == ["value"]
        purge(row)
    configure(mirror=f"file://{tmp_path}/blocked/z", path=f"file://{tmp_path}/blocked/y")
    with pytest.raises(XComBackendError, match="is not stored"):
        push(Chunks(["value"]))


def test_what_is_missing_cut_or_altered_is_an_error(base: str) -> None:
    row = push(Chunks([b"a" * 1000, b"b" * 1000, b"c" * 1000]))
    [key] = objects(base)
    good = store_of(base).get(key, None).data.getvalue()
    records = 3000
    for place in (0, 999, records, records + 60, len(good) - 1, len(good) - 17):
        altered = bytearray(good)
        altered[place] ^= 1
        store_of(base).put(key, [altered])
        with pytest.raises(ObjectCorruptError) as error:
            list(pull(row))
        for word in (base, "'return_value'", "'task'", "SHA-256", "clear task"):
            assert word in str(error.value)
    for bad in (good[:-1], good[:1500], b"x", b""):
        store_of(base).put(key, [bad])
        with pytest.raises(ObjectCorruptError, match="it was cut"):
            list(pull(row))
    store_of(base).put(key, [good + b"more"])
    assert pull(row)[2] == b"c" * 1000  # what was promised is there
    store_of(base).delete(key)
    with pytest.raises(ObjectMissingError, match="the object is missing"):
        list(pull(row))


def read(row: Any) -> None:
    """Read all of what a row names."""
    pulled = pull(row)
    _ = pulled.read() if reference(row)["codec"] == "file" else list(pulled)


def test_rows_that_lie_are_refused(base: str) -> None:
    row = reference(push(Chunks(range(100))))
    lies: list[dict[str, Any]] = [{"length": value} for value in (-1, 99, 101, 164, 10**15, True, None, "100")]
    lies += [{"index": value} for value in (0, -5, 1, 10**15, None, 2.0)]
    lies += [{"size": size} for size in (0, row["size"] - 1, row["size"] + 1, 10**15)]
    lies += [{"sha256": value} for value in ("", "zz", "0" * 64)]
    lies += [{"codec": "folder"}, {"codec": "file"}, {"codec": []}]
    for lie in lies:
        with pytest.raises(XComBackendError):
            read(encoded({**row, **lie}))
    with pytest.raises(InvalidReferenceError, match="not where objects of that task instance are"):
        pull(encoded({**row, "paths": [row["paths"][0].replace("/task/", "/other/")]}))


def test_an_index_that_lies_is_refused(base: str) -> None:
    import hashlib

    import ormsgpack

    from include.xcom_backend.streams import _END, _RECORD

    def forge(records: list[tuple[int, int, int, int]], **changes: Any) -> Any:
        """Return a row whose hashes are right, of an object whose index is not."""
        row = reference(push(Chunks(["0123456789"] * 3)))
        key = objects(base)[-1]
        data = b"0123456789" * 3
        digest = hashlib.sha256(b"0123456789").digest()
        page = b"".join(_RECORD.pack(*record, digest) for record in records)
        pages = [hashlib.sha256(page).digest()]
        index = ormsgpack.packb({"kinds": [["text", "none"]], "pages": pages, **changes})
        index += _END.pack(len(records), len(index))
        store_of(base).put(key, [data + page + index])
        return encoded(
            {
                **row,
                "paths": [f"{base}/{key}"],
                "size": len(data + page + index),
                "sha256": hashlib.sha256(index).hexdigest(),
                "length": len(records),
                "index": len(index),
            }
        )

    good = [(place * 10, 10, 10, 0) for place in range(3)]
    assert list(pull(forge(good))) == ["0123456789"] * 3
    for records in (
        [(0, 10, 10, 1)],  # a codec that is not there
        [(0, 10, 11, 0)],
        [(0, 10, 2**63, 0)],
        [(25, 10, 10, 0)],  # into the records
        [(2**63, 10, 10, 0)],
        [(0, 2**63, 10, 0)],
        [(1, 10, 10, 0)],
    ):
        with pytest.raises(XComBackendError):
            list(pull(forge(records)))
    lies: list[dict[str, Any]] = [
        {"kinds": [["pickle", "none"]]},
        {"kinds": [["text", "rot13"]]},
        {"kinds": [["text"]]},
        {"kinds": 7},
        {"kinds": [[1, 2]]},
        {"pages": []},
        {"pages": [b"short"]},
        {"pages": ["text"]},
        {"pages": None},
    ]
    for changes in lies:
        with pytest.raises(XComBackendError):
            list(pull(forge(good, **changes)))


def test_people_see_what_an_object_holds(base: str, configure: Configure, tmp_path: Path) -> None:
    from include.xcom_backend.__main__ import read as show

    configure(path=base, compression="gzip")
    row = reference(push(Chunks([*ITEMS, range(3)][:-1])))
    assert row["is"].startswith("Chunks of 8, ")
    [path] = row["paths"]
    assert show(path) == ITEMS
    whole = tmp_path / "downloaded.chunks"
    whole.write_bytes(store_of(base).get(objects(base)[0], None).data.getvalue())
    assert show(str(whole)) == ITEMS
    for bad in (b"", b"x" * 15, b"x" * 100, whole.read_bytes()[:-1], whole.read_bytes()[:-16] + b"\xff" * 16):
        whole.write_bytes(bad)
        with pytest.raises(ValueError, match=r"does not end as chunks and folders do|not valid|invalid|truncated"):
            show(str(whole))


def test_settings_hold_for_items(base: str, configure: Configure) -> None:
    row = push(Chunks(["text", (1, 2)]))
    configure(path=base, allowed_codecs="chunks,text")
    pulled = pull(row)
    assert pulled[0] == "text"
    with pytest.raises(XComBackendError, match="ALLOWED_CODECS"):
        pulled[1]
    with pytest.raises(XComBackendError, match="ALLOWED_CODECS"):
        push(Chunks([(1, 2)]))
    configure(path=base, allowed_codecs="text")
    with pytest.raises(XComBackendError, match="ALLOWED_CODECS"):
        push(Chunks(["text"]))
    with pytest.raises(XComBackendError, match="ALLOWED_CODECS"):
        pull(row)
    configure(path=base, allowed_codecs="", threshold=-1)
    with pytest.raises(RefusedError, match=r"only object storage takes it, and .*THRESHOLD=-1"):
        push(Chunks(["text"]))
    configure(path=base, threshold=0, max_decoded_bytes=1000)
    big = push(Chunks(["x" * 2000, "y"]))
    assert pull(big)[1] == "y"
    with pytest.raises(XComBackendError, match="MAX_DECODED_BYTES"):
        pull(big)[0]


def test_a_table_by_groups(base: str) -> None:
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    data = {"country": ["CH", "NO", None, "CH", "NO"], "n": [1, 2, 3, 4, 5]}
    frame = pandas.DataFrame(data)
    chunks = Chunks.by(frame, "country")
    assert len(chunks) == 3
    parts = list(pull(push(chunks)))
    assert [list(part["n"]) for part in parts] == [[1, 4], [2, 5], [3]]
    pandas.testing.assert_frame_equal(pandas.concat(parts).sort_index(), frame)
    tables = list(pull(push(Chunks.by(pyarrow.table(data), "country"))))
    assert [table["n"].to_pylist() for table in tables] == [[1, 4], [2, 5], [3]]
    nan = list(pull(push(Chunks.by(pyarrow.table({"f": [1.0, float("nan"), float("nan")]}), "f"))))
    assert [table.num_rows for table in nan] == [1, 2]
    with pytest.raises(TypeError, match="takes a DataFrame or a Table, not dict"):
        Chunks.by(data, "country")


def test_a_polars_table_by_groups(base: str) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"country": ["CH", "NO", None, "CH"], "n": [1, 2, 3, 4]})
    parts = list(pull(push(Chunks.by(frame, "country"))))
    assert [part["n"].to_list() for part in parts] == [[1, 4], [2], [3]]


def test_another_backend_ends_with_an_error(base: str) -> None:
    from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend

    row = push(Chunks([1]))
    with pytest.raises(ImportError, match=r"AIRFLOW__CORE__XCOM_BACKEND=include\.xcom_backend\.XComBackend"):
        XComObjectStorageBackend.deserialize_value(SimpleNamespace(value=row))
