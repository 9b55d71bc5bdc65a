"""What somebody could try who writes rows or objects, or reads logs; the template's docs/security.md lists it all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import pickle
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from custom_xcom import COORDINATES, Configure, connection_variable, encoded, pull, purge, push, reference, run_python

from include.xcom_backend.codecs import RefusedError
from include.xcom_backend.reference import XComBackendError

pytestmark = pytest.mark.usefixtures("configure")

Forge = Callable[..., Any]


@pytest.fixture
def forge() -> Forge:
    """Return a function that makes a row and its object as somebody would who writes both: size and SHA-256 match."""

    def make(codec: str, data: bytes, compression: str = "none", decoded_size: int | None = None, **more: Any) -> Any:
        row = reference(push(["value"]))
        Path(row["paths"][0].removeprefix("file://")).write_bytes(data)
        sizes = {"size": len(data), "decoded_size": len(data) if decoded_size is None else decoded_size}
        digest = hashlib.sha256(data).hexdigest()
        return encoded(row | sizes | {"codec": codec, "compression": compression, "sha256": digest} | more)

    return make


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        """Say which folder is the mark."""
        self.mark = mark

    def __reduce__(self) -> Any:
        """Make it."""
        return os.mkdir, (str(self.mark),)


# ---------------------------------------------------------------- code in values


@pytest.mark.parametrize("codec", ["json", "serde", "text", "bytes", "numpy", "pandas", "polars", "arrow"])
def test_pickled_payload_is_never_loaded(codec: str, forge: Forge, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    payload = pickle.dumps(Payload(mark))
    if codec == "bytes":
        assert pull(forge(codec, payload)) == payload  # bytes are bytes
    else:
        with pytest.raises(XComBackendError, match="cannot decode"):
            pull(forge(codec, payload))
    assert not mark.exists()
    pickle.loads(payload)  # noqa: S301  # it would have worked
    assert mark.exists()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_numpy_array_of_pickled_objects_is_refused(version: tuple[int, int], forge: Forge, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    mark, stream = tmp_path / "mark", io.BytesIO()
    array = np.empty(1, dtype=object)
    array[0] = Payload(mark)
    np.lib.format.write_array(stream, array, version=version, allow_pickle=True)
    with pytest.raises(XComBackendError, match=r"pickled objects|allow_pickle=False"):
        pull(forge("numpy", stream.getvalue()))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "subprocess.Popen", "os.system", "include.xcom_backend.XComBackend"])
@pytest.mark.parametrize("way", ["object", "inline", "row"])
def test_class_that_a_value_names_is_not_imported(name: str, way: str, forge: Forge) -> None:
    value = {"__classname__": name, "__version__": 1, "__data__": "1"}
    inline = {"__xcom_backend__": 1, "kind": "inline", "codec": "serde", "data": json.dumps(value)}
    rows = {"object": lambda: forge("serde", json.dumps(value).encode()), "inline": lambda: encoded(inline)}
    with pytest.raises((XComBackendError, ImportError), match="not found in allow list"):
        pull(rows.get(way, lambda: encoded(value))())


def test_parquet_with_hostile_metadata_runs_nothing(forge: Forge, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    mark = tmp_path / "mark"
    extension = {
        "ARROW:extension:name": "arrow.py_extension_type",  # CVE-2023-47248
        "ARROW:extension:metadata": pickle.dumps(Payload(mark)),
    }
    field = pa.field("a", pa.int64(), metadata=extension)
    data = parquet(pa.table({"a": [1]}, schema=pa.schema([field])))
    assert pull(forge("arrow", data)).column("a").to_pylist() == [1]
    assert not mark.exists()


@pytest.mark.parametrize(
    "metadata",
    [
        b"no JSON",
        b"[]",
        b"{}",
        b'{"columns": 1, "index_columns": ["a"], "column_indexes": []}',
        b'{"columns": [{"name": "a", "field_name": "b", "numpy_type": "object"}], "column_indexes": []}',
        b'{"columns": [{"numpy_type": "eval(1)"}], "index_columns": ["' + b"x" * 10**6 + b'"], "column_indexes": [{}]}',
        b"[" * 100_000,
    ],
    ids=lambda metadata: metadata[:20].decode(),
)
def test_parquet_with_broken_pandas_metadata_is_an_error(metadata: bytes, forge: Forge) -> None:
    pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(XComBackendError, match="cannot decode"):
        pull(forge("pandas", parquet(pa.table({"a": [1]}).replace_schema_metadata({b"pandas": metadata}))))


def parquet(table: Any) -> bytes:
    """Return the bytes of a Parquet file."""
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


# ---------------------------------------------------------------- bombs

BOMBS = """
import os, sys
from include.xcom_backend import compression, settings
from include.xcom_backend.reference import XComBackendError
SIZE = 100 * 2**20
def peak():
    text = open("/proc/self/status").read()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024
for name in settings.COMPRESSIONS:
    for promised in (1000, None):
        try:
            _, [data] = compression.compress("x", name, [bytes(2**20)] * (SIZE // 2**20))
            data = bytes(data)
            open("/proc/self/clear_refs", "w").write("5")
            before = peak()
            compression.decompress(name, data, promised)
        except XComBackendError as error:
            kind = "missing" if "needs the package" in str(error) else "refused"
            print(name, promised, kind, peak() - before if kind == "refused" else 0)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a peak anew")
def test_bombs_take_little_memory(configure: Configure) -> None:
    configure(max_decoded_bytes=2**20)
    lines = [line.split() for line in run_python(BOMBS).splitlines()]
    assert len(lines) == 16, lines  # none became a value
    for name, promised, _, peak in lines:
        assert int(peak) < 40 * 2**20, f"{name}, {promised} bytes promised: {int(peak):,} bytes more"


def test_object_bigger_than_the_limit_is_not_even_read(
    configure: Configure, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.xcom_backend import stores

    configure(max_decoded_bytes=1000)
    row = forge("text", b"x" * 1001)
    monkeypatch.setattr(stores.LocalStore, "get", lambda *_: pytest.fail("it was read"))
    with pytest.raises(XComBackendError, match="AIRFLOW__XCOM_BACKEND__MAX_DECODED_BYTES=1,000"):
        pull(row)


def test_huge_object_in_place_of_the_providers_is_not_read(configure: Configure, base: str) -> None:
    from include.xcom_backend.reference import Location
    from include.xcom_backend.stores import open_store

    configure(max_decoded_bytes=1000)
    key = "dag/run/task/0b7e1a52-1111-4222-8333-123456789abc"
    open_store(Location.parse(base)).put(key, [b'"' + b"x" * 2000 + b'"'])
    with pytest.raises(XComBackendError, match=r"1,000|1,001"):
        pull(encoded(f"{base}/{key}"))


@pytest.mark.parametrize(("codec", "library"), [("arrow", "pyarrow"), ("pandas", "pandas"), ("polars", "polars")])
def test_table_that_repeats_one_value_is_refused_by_its_own_numbers(
    codec: str, library: str, configure: Configure, forge: Forge
) -> None:
    pytest.importorskip(library)
    pa = pytest.importorskip("pyarrow")
    data = parquet(pa.table({"a": pa.nulls(10**7, pa.int64())}))
    assert len(data) < 10**5
    configure(max_decoded_bytes=10**6)
    with pytest.raises(XComBackendError, match=r"80,000,000 bytes, more than AIRFLOW__XCOM_BACKEND__MAX_DECODED_BYTES"):
        pull(forge(codec, data))


def test_array_that_claims_to_be_huge_is_refused(forge: Forge) -> None:
    np = pytest.importorskip("numpy")
    for write in (np.lib.format.write_array_header_1_0, np.lib.format.write_array_header_2_0):
        stream = io.BytesIO()
        write(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
        with pytest.raises(XComBackendError, match="cannot decode"):
            pull(forge("numpy", stream.getvalue()))


@pytest.mark.parametrize("codec", ["json", "serde"])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_json_is_an_error(codec: str, opening: str, forge: Forge) -> None:
    deep = opening * 200_000
    with pytest.raises(XComBackendError, match="cannot decode"):
        pull(forge(codec, deep.encode()))
    with pytest.raises(XComBackendError, match="cannot be decoded"):
        pull(encoded({"__xcom_backend__": 1, "kind": "inline", "codec": codec, "data": deep}))


def test_deeply_nested_value_is_an_error() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(XComBackendError, match="contains itself, or is nested more than 100 levels"):
        push(value)


@pytest.mark.skipif(not hasattr(sys, "get_int_max_str_digits"), reason="this Python has no such limit")
def test_number_of_a_million_digits_is_an_error(forge: Forge) -> None:
    with pytest.raises(XComBackendError, match="cannot decode"):
        pull(forge("serde", b"1" * 10**6))


# ---------------------------------------------------------------- other Dags


def test_row_copied_to_another_dag_never_deletes_the_object(configure: Configure) -> None:
    configure(purge_failures="raise")
    row = push(["value"])
    for other in ({"dag_id": "mine"}, {"run_id": "mine"}, {"task_id": "mine"}, {"map_index": 0}):
        with pytest.raises(XComBackendError, match="not deleted"):
            purge(row, **other)
    assert pull(row) == ["value"]  # as xcom_pull(dag_id=...) would give it: Airflow has no wall between Dags


def test_part_of_a_path_with_the_same_start_is_another_task(forge: Forge) -> None:
    row = reference(push(["value"]))
    for change in ({"dag_id": "da"}, {"task_id": "tas"}, {"run_id": "manual"}, {"map_index": 1}):
        with pytest.raises(XComBackendError, match="refused"):
            pull(encoded(row | change))


# ---------------------------------------------------------------- what others can read


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_local_objects_are_nothing_for_every_user_of_the_machine(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for way in ("nameless", "renamed"):
        configure(path=f"file://{tmp_path}/private/{way}")
        old = os.umask(0)
        try:
            [path] = reference(push(["value"]))["paths"]
        finally:
            os.umask(old)
        for file in (Path(path.removeprefix("file://")), tmp_path / "private" / way):
            assert not file.stat().st_mode & stat.S_IRWXO, f"{file}: {stat.filemode(file.stat().st_mode)}"
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"  # noqa: S105  # the one of Amazon's own documentation, nearly


def test_no_secret_in_what_failures_say(
    cloud: str, configure: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    row = push(["value"])
    variable = connection_variable(cloud)
    connection = json.loads(os.environ[variable])
    extra = connection.get("extra", {})
    if "password" in connection:
        connection |= {"password": SECRET}
        extra["aws_session_token"] = f"token-{SECRET}"
    if "connection_string" in extra:
        start, _, rest = extra["connection_string"].partition("AccountKey=")
        end = rest.partition(";")[2]
        signature = f"sv=2022-11-02&sr=c&sp=rwdl&sig={SECRET}"
        extra["connection_string"] = f"{start}SharedAccessSignature={signature};{end}"
    if cloud.startswith("gs:"):
        extra |= {"is_anonymous": False, "keyfile_dict": json.dumps({"type": "service_account", "private_key": SECRET})}
    for port in (None, "1"):  # the store refuses, or is not there
        text = json.dumps(connection)
        if port:
            for key in ("endpoint_url", "gcs.endpoint"):
                text = text.replace(str(extra.get(key)), f"http://127.0.0.1:{port}")
        monkeypatch.setenv(variable, text)
        configure(path=cloud, retry_deadline=1)
        said = caplog.text
        for action in (lambda: push(["value"]), lambda: pull(row), lambda: purge(row)):
            try:
                action()
            except Exception as error:
                said += everything(error)
        assert SECRET not in said + caplog.text


def everything(error: BaseException | None) -> str:
    """Return an error, and what caused it, as a task log shows them."""
    return f"{type(error).__name__}: {error} {everything(error.__cause__ or error.__context__)}" if error else ""


def test_log_and_row_tell_nothing_of_the_value(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    configure(summary="false")
    with caplog.at_level("DEBUG", "include.xcom_backend"):
        row = push(f"password: {SECRET}")
        pull(row)
    assert "XCom push" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in json.dumps(reference(row))


def test_key_cannot_write_lines_of_its_own_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    key = "k\nERROR forged line"
    with caplog.at_level("INFO", "include.xcom_backend"):
        row = push(["value"], key=key)
        pull(row)
        with pytest.raises(XComBackendError) as told:
            pull(encoded(reference(row) | {"paths": [f"s3://x\n{key}"]}))
    messages = [record.getMessage() for record in caplog.records] + [str(told.value)]
    assert len(messages) >= 3
    assert not any("\n" in message for message in messages)
    assert COORDINATES["task_id"] in messages[-1]


def test_message_about_a_hostile_row_is_short() -> None:
    row = reference(push(["value"]))
    long = "x" * 10**6
    changes: list[dict[str, Any]] = [
        {"codec": [long]},
        {"codec": long},
        {"paths": [f"s3://{long}"]},
        {"paths": [long] * 9},
    ]
    changes += [{"sha256": 10**5 * [1]}, {"compression": f"gzip\nINFO all is well{long}"}, {"dag_id": f"\n{long}"}]
    for change in changes:
        with pytest.raises(XComBackendError) as told:
            pull(encoded(row | change))
        assert len(str(told.value)) <= 1000
        assert str(told.value).isprintable()


def test_compressed_garbage_is_an_error(forge: Forge) -> None:
    for compression in ("gzip", "zip", "bz2", "xz", "lzma"):
        for data in (b"", b"garbage", gzip.compress(b"x" * 1000)[:-9], b"PK\x05\x06" + bytes(18)):
            with pytest.raises(XComBackendError):
                pull(forge("text", data, compression, 1000))


# ---------------------------------------------------------------- tables in a row


def wrapped(codec: str, data: bytes) -> Any:
    """Return the row of a small value, as somebody could write it by hand."""
    data_text = base64.b64encode(data).decode()
    return encoded({"__xcom_backend__": 1, "kind": "inline", "codec": codec, "data": data_text})


@pytest.mark.parametrize("codec", ["arrow", "pandas"])
@pytest.mark.parametrize("nested", [False, True], ids=["column", "list of structs"])
def test_row_that_repeats_a_long_text_is_refused_before_it_takes_memory(codec: str, nested: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000), pa.array(["x" * 10**6]))
    structs = pa.ListArray.from_arrays(pa.array([0, 1000]), pa.StructArray.from_arrays([texts], names=["s"]))
    data = parquet(pa.table({"a": structs if nested else texts}))
    assert len(data) < 10**5
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(XComBackendError, match=r"1,000,000,000 bytes, more than the [0-9,]+ that a row has for it"):
        pull(wrapped(codec, data))
    assert pa.default_memory_pool().max_memory() <= max(before, 2**26)


def test_tables_of_one_row_share_its_limit() -> None:
    from include.xcom_backend.codecs.exact import pack

    pa = pytest.importorskip("pyarrow")
    np = pytest.importorskip("numpy")
    table = pa.table({"a": np.zeros(3 * 10**6)})
    assert pull(wrapped("msgpack", pack([table]))) == [table]
    with pytest.raises(XComBackendError, match="that a row has for it"):
        pull(wrapped("msgpack", pack([table] * 3)))


@pytest.mark.parametrize("part", ["batch", "dictionary"])
@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_arrow_stream_that_is_compressed_inside_is_refused(part: str, compression: str | None) -> None:
    pa = pytest.importorskip("pyarrow")
    text = pa.array(["x" * 10**6])
    table = pa.table({"a": text.dictionary_encode() if part == "dictionary" else text})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    row = wrapped("arrow_stream", sink.getvalue().to_pybytes())
    if compression is None:
        assert pull(row).equals(table)
    else:
        with pytest.raises(XComBackendError, match="compressed inside"):
            pull(row)


@pytest.mark.parametrize("nested", [False, True], ids=["frame", "nested"])
def test_table_that_no_row_can_hold_goes_to_the_store_or_is_refused(nested: bool, configure: Configure) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [0.0]}).loc[[0] * 9_000_000].reset_index(drop=True)
    value = (frame,) if nested else frame
    configure(threshold=10**6)
    back = pull(encoded(reference(push(value))))
    pd.testing.assert_frame_equal(back[0] if nested else back, frame)
    configure(threshold=-1)
    with pytest.raises(RefusedError, match=r"no worker could read it from its row: .*72,.* bytes.*THRESHOLD=1000$"):
        push(value)
