"""Where the time of a push and a pull goes, step by step: for aims of `make record ONLY=bench` that are not met."""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

REPEATS = 15


def cpu(action: Callable[..., Any], *arguments: Any) -> float:
    """Return the median milliseconds of CPU time of the action in this process."""
    times = []
    for _ in range(REPEATS):
        gc.collect()
        started = time.process_time()
        action(*arguments)
        times.append((time.process_time() - started) * 1000)
    return statistics.median(times)


def steps(make: Callable[[str], Any], floor: Any) -> Iterator[tuple[str, str, str, float]]:
    """Yield payload, push or pull, step and milliseconds of CPU time of the custom class.

    :param floor: bare clients of a store, for the transfer
    """
    from include.xcom_backend import codecs

    def put_and_delete(body: bytes) -> None:
        floor.purge(floor.put(body))

    for payload in ("frame", "records", "nested", "array"):
        value = make(payload)
        codec, pieces = codecs.encode(value)
        data = b"".join(pieces)
        for step, action in inside(payload, value):
            yield payload, "push", step, cpu(action)
        yield payload, "push", "all of the codec", cpu(codecs.encode, value)
        yield payload, "push", "put of the bare client (and delete)", cpu(put_and_delete, data)
        yield payload, "push and pull", "SHA-256", cpu(hashlib.sha256, data)
        key = floor.put(data)
        yield payload, "pull", "get of the bare client", cpu(floor.get, key)
        floor.purge(key)
        for step, action in instead(payload, value, data):
            yield payload, "pull", step, cpu(action)
        yield payload, "pull", "all of the codec", cpu(codec.decode, bytearray(data))


def inside(payload: str, value: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the steps of the codec's encode."""
    if payload in {"records", "nested"}:
        import orjson
        import ormsgpack

        from include.xcom_backend.codecs import exact

        yield "orjson writes the JSON", lambda: orjson.dumps(value)
        yield "ormsgpack looks through the types", lambda: ormsgpack.packb(value, option=exact.PLAIN)
    if payload == "frame":
        import pyarrow as pa

        yield "pandas to Arrow", lambda: pa.Table.from_pandas(value)
        yield "(in place of the codec: plain Parquet with zstd)", lambda: plain_parquet(value)


def instead(payload: str, value: Any, data: bytes) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield other ways to decode, for comparison."""
    if payload == "frame":
        import pyarrow as pa
        import pyarrow.parquet as pq

        plain = plain_parquet(value)
        words = "(in place of the codec: plain Parquet, {:.1f} MB where the codec makes {:.1f})"
        yield (
            words.format(len(plain) / 2**20, len(data) / 2**20),
            lambda: pq.ParquetFile(pa.BufferReader(plain)).read().to_pandas(),
        )
        yield (
            "(in place of the codec: ParquetFile, texts row by row)",
            lambda: pq.ParquetFile(pa.BufferReader(data)).read().to_pandas(),
        )


def plain_parquet(value: Any) -> bytes:
    """Return a DataFrame as Parquet with zstd and no other choice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(value), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
