"""What is fuzzed: the codecs, decompression, the reference parser, keys and paths. Runs in the project's environment.

test_fuzz.py sets what Airflow reads when it is imported.

`python targets.py <target> [libFuzzer's options] [folders of the corpus]` runs until an invariant breaks or the time is
over; `python targets.py --seeds <folder>` writes the first corpus.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["include", "numpy.lib.format", "zipfile"]):
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from include.xcom_backend import backend, codecs, compression, reference
    from include.xcom_shared import COMPRESSIONS

FOLDER = os.environ["AIRFLOW_HOME"]
LIMIT = int(os.environ["AIRFLOW__XCOM_BACKEND__MAX_DECODED_BYTES"])
SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:+-~")
COORDINATES = reference.Coordinates("dag", "manual__2026-01-01T00:00:00+00:00", "task", -1, "return_value")
# Not Parquet: broken bytes can end the process inside of pyarrow, which its own project fuzzes. It gets only bytes
# whose SHA-256 is that of the row.
CODECS = ("json", "text", "bytes", "numpy", "serde", "msgpack")


def fuzz_json(data: bytes) -> None:
    """What decodes comes back the same after another push and pull."""
    try:
        value = codecs.registry()["json"].decode(data)
    except (ValueError, RecursionError):
        return
    with suppress(codecs.RefusedError):  # what is nested too deep
        check_round_trip(value)


def check_round_trip(value: Any) -> None:
    """Fail if a value does not come back from its object, and from its row after the way through a database."""
    codec, pieces = codecs.encode(value)
    again = codec.decode(b"".join(map(bytes, pieces)))
    check(same(again, value), f"{value!r} came back as {again!r}")
    again = backend.pull(as_jsonb(codecs.to_inline(codec, value, pieces)))
    check(same(again, value), f"{value!r} came back inline as {again!r}")


def as_jsonb(row: Any) -> Any:
    """Return what PostgreSQL's JSONB makes of a row: keys in its order, and whole numbers of floats that are whole."""
    if isinstance(row, dict):
        return {key: as_jsonb(row[key]) for key in sorted(row, key=lambda key: (len(key.encode()), key.encode()))}
    if isinstance(row, list):
        return [as_jsonb(item) for item in row]
    if isinstance(row, float) and "e+" in repr(row):
        return int(row)
    return json.loads(json.dumps(row, allow_nan=False)) if not isinstance(row, float) or row else 0.0


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types; NaN is equal to itself."""
    return repr(one) == repr(other)


def fuzz_values(data: bytes) -> None:
    """Any nested value comes back, inline and from an object."""
    check_round_trip(build(atheris.FuzzedDataProvider(data), 4))


def build(source: Any, depth: int) -> Any:
    """Return a value made of the fuzzer's bytes."""
    kind = source.ConsumeIntInRange(0, 9 if depth else 6)
    if kind in (0, 1):
        return (None, True)[kind]
    if kind == 2:
        return source.ConsumeInt(source.ConsumeIntInRange(1, 12))
    if kind == 3:
        return source.ConsumeFloat()
    if kind == 4:
        return source.ConsumeUnicode(20)
    if kind == 5:
        return source.PickValueInList(["__xcom_backend__", "__classname__", "null", "NaN", "s3://c@b/x", "\x00", ""])
    if kind == 6:
        return source.ConsumeUnicodeNoSurrogates(20)
    items = [build(source, depth - 1) for _ in range(source.ConsumeIntInRange(0, 4))]
    if kind == 7:
        return tuple(items)
    return items if kind == 8 else {str(build(source, 0)): item for item in items}


def fuzz_codecs(data: bytes) -> None:
    """Whatever the bytes are, a codec gives a value or an error that a task can show."""
    codec = codecs.registry()[CODECS[data[0] % len(CODECS)]] if data else codecs.registry()["json"]
    with suppress(Exception):
        value = codec.decode(bytearray(data[1:]))
        check(size_of(value) <= 100 * LIMIT, f"{codec.name} made {size_of(value):,} bytes of {len(data)}")


def size_of(value: Any) -> int:
    """Return the bytes of an array or a table."""
    return int(getattr(value, "nbytes", 0)) if isinstance(value, np.ndarray | pa.Table) else 0


def fuzz_compression(data: bytes) -> None:
    """No bytes become more than they may."""
    names = sorted(COMPRESSIONS)
    name = names[data[0] % len(names)] if data else "zip"
    for size in (None, 1000):
        with suppress(Exception):
            got = compression.decompress(name, data[1:], size)
            check(len(got) <= LIMIT and size in (None, len(got)), f"{name} made {len(got):,} bytes")


def fuzz_row(data: bytes) -> None:
    """A row with the tag is a value, or an error of this package; nothing outside its own folder is read."""
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(row, dict):
        row = {"kind": "inline", "codec": "json", "data": row}
    row[reference.TAG] = 1
    with suppress(reference.XComBackendError):
        backend.pull(row)
    with suppress(reference.XComBackendError):
        parsed = reference.Reference.from_json(row)
        for path, base, key in backend.locate(parsed):
            where = os.path.abspath(f"{base.prefix}/{key}")
            check(path == base.url_of(key), f"{path} is not {base.url_of(key)}")
            check(where.startswith(f"{FOLDER}/xcom/{parsed.coordinates.folder()}/"), f"{path} leads to {where}")
            check(not set(key) - SAFE - {"/"}, f"{key!r} is no key")


def fuzz_keys(data: bytes) -> None:
    """Any text becomes one safe part of a key, and no key is taken for another XCom's."""
    text = data.decode("utf-8", "surrogateescape").encode("utf-8", "surrogateescape").decode("latin-1")
    quoted = reference.quote_part(text)
    check(0 < len(quoted) <= reference.MAX_PART_BYTES and not set(quoted) - SAFE, f"{text!r} became {quoted!r}")
    check(quoted not in {".", ".."} and quoted[0] != ".", f"{text!r} became {quoted!r}")
    check(reference.unquote_part(quoted) in {text, None}, f"{text!r} came back as {reference.unquote_part(quoted)!r}")
    with suppress(UnicodeDecodeError):
        found = reference.parse_object_key(text)
        check(found is None or ".." not in found.folder().split("/"), f"{text!r} is {found}")


def fuzz_paths(data: bytes) -> None:
    """A base path is refused or unambiguous, and no other path is under it."""
    text = data.decode("utf-8", "replace")
    url, _, other = text.partition("\n")
    try:
        base = reference.Location.parse(url)
    except reference.LocationError:
        return
    check(reference.Location.parse(base.url) == base, f"{url!r} became {base.url!r}")
    key = base.key_of(other)
    if key is not None:
        check(other == base.url_of(key) and ".." not in key.split("/"), f"{other!r} is under {url!r}")
    for path in (other, f"{base.url}/{other}"):
        reference.resembles_provider_url(path)
        found = reference.provider_object_key(path, base)
        check(found is None or path == base.url_of(found), f"{path!r} is {found!r}")


def check(right: bool, message: str) -> None:
    """Fail with the message; an assert would go with python -O."""
    if not right:
        raise AssertionError(message)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "json": fuzz_json,
    "values": fuzz_values,
    "codecs": fuzz_codecs,
    "compression": fuzz_compression,
    "row": fuzz_row,
    "keys": fuzz_keys,
    "paths": fuzz_paths,
}


def seeds() -> dict[str, list[bytes]]:
    """Return real bytes for each target: a fuzzer that starts with them gets further."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    values = [{"a": [1, 2.5, None, True, "é"]}, "text", b"bytes", np.arange(4), (1, 2), pa.table({"a": [1]}), frame]
    encoded = [codecs.encode(value) for value in values]
    bodies = [(codec.name, b"".join(map(bytes, pieces))) for codec, pieces in encoded]
    stream = io.BytesIO()
    np.lib.format.write_array_header_2_0(stream, {"descr": "<f8", "fortran_order": True, "shape": (1,)})
    bodies.append(("numpy", stream.getvalue() + bytes(8)))
    rows = [backend.push(value, COORDINATES) for value in values[:3]]
    rows.append(reference.inline("numpy", base64.b64encode(bodies[3][1]).decode()))
    rows.append(reference.inline("serde", json.dumps({"__classname__": "os.system", "__version__": 1, "__data__": 1})))
    names = sorted(COMPRESSIONS)
    urls = ("s3://c@b/xcom", "file:///data/xcom", "gs://b", "abfs://c@b/a/b")
    return {
        "json": [bodies[0][1], b'[1e400,-0.0,NaN,"\\ud800",18446744073709551616]', b'{"__xcom_backend__":1}'],
        "values": [bytes(range(start, start + 64)) for start in (0, 64, 128)],
        "codecs": [bytes([CODECS.index(name)]) + body for name, body in bodies],
        "compression": [
            bytes([number]) + b"".join(map(bytes, compression.compress("x", name, [b"ab" * 500])[1]))
            for number, name in enumerate(names)
            if name in compression.compr
        ],
        "row": [json.dumps(row).replace(FOLDER, "/tmp").encode() for row in rows],  # noqa: S108  # a name, no folder
        "keys": [COORDINATES.new_object_key("json").encode(), b"~2E~2E", "Zürich/../%2e".encode(), b"x" * 300],
        "paths": [f"{url}\n{url}/dag/run/task/0b7e1a52-1111-4222-8333-123456789abc".encode() for url in urls],
    }


def main() -> None:
    """Fuzz one target."""
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "--seeds":
        for target, inputs in seeds().items():
            folder = Path(sys.argv[2], target)
            folder.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(inputs):
                (folder / f"seed-{number}").write_bytes(data)
        return
    # libFuzzer's -merge starts the program of this name again, through a shell.
    again = shlex.join([sys.executable, "-W", "ignore", *sys.argv[:2]])
    atheris.Setup([again, *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
