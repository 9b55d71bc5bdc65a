"""What the XCom class and the doctor share: the keys that Airflow reads itself, and the compressions."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

REPORT = "xcom_report"  # the key under which the Dags xcom_cleanup and xcom_doctor leave what they found
ZSTD_LEVEL = 1  # fsspec's writer takes 10, which is 20 times slower for a fifth less


def stays_in_database(key: str | None) -> bool:
    """Tell whether XComs of this key must stay in the metadata database, whatever the threshold.

    The scheduler reads which tasks a branch or a short circuit skipped, and the API server reads a task's links, from
    the row itself: a path there would mean "nothing was skipped". So do pages with REPORT. These values are small.
    """
    return key in {"skipmixin_key", "past_depends_met", "trigger_run_id", REPORT} or str(key).startswith("_link_")


@dataclass(frozen=True)
class Compression:
    """What an object's name ends in, and the package that pip installs, if Python alone is not enough."""

    extension: str
    package: str = ""


COMPRESSIONS = {
    "zip": Compression("zip"),
    "gzip": Compression("gz"),
    "bz2": Compression("bz2"),
    "lzma": Compression("lzma"),
    "xz": Compression("xz"),
    "snappy": Compression("sz", "python-snappy"),  # fsspec knows snappy, but no ending for it
    "zstd": Compression("zst", "zstandard"),
    "lz4": Compression("lz4", "lz4"),
}


def is_available(compression: str) -> bool:
    """Tell whether this machine has what the compression needs."""
    from fsspec.compression import compr

    return compression in compr


def compress(compression: str, pieces: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """Return all pieces as one compressed object."""
    buffer = io.BytesIO()
    with open_compressed(compression, buffer, "wb") as stream:
        for piece in pieces:
            stream.write(piece)
    return buffer.getvalue()


def open_compressed(compression: str, buffer: io.BytesIO, mode: str) -> Any:
    """Return a context manager that gives a stream: decompressed bytes with ``rb``, a compressor with ``wb``.

    :raises KeyError: if the compression is not available
    """
    from fsspec.compression import compr  # not needed by most XComs, and by no check of the doctor

    if compression == "zip":  # fsspec's own zip stores without compressing
        return _ZipStream(buffer, mode)
    if compression == "zstd" and mode == "wb":
        return _zstd_writer(buffer)
    options = {"compresslevel": 6} if compression == "gzip" and mode == "wb" else {}
    return compr[compression](buffer, mode=mode, **options)


def _zstd_writer(buffer: io.BytesIO) -> Any:
    try:
        import zstandard
    except ImportError:  # Python 3.14 has its own
        from importlib import import_module

        return import_module("compression.zstd").ZstdFile(buffer, "w", level=ZSTD_LEVEL)
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).stream_writer(buffer, closefd=False)


class _ZipStream:
    """A zip archive with one deflated file in it; any file name is read."""

    def __init__(self, buffer: io.BytesIO, mode: str) -> None:
        self._archive = zipfile.ZipFile(buffer, mode[0], zipfile.ZIP_DEFLATED)  # type: ignore[call-overload]
        name = "data" if mode == "wb" else self._archive.namelist()[0]
        self._member = self._archive.open(name, mode[0], force_zip64=mode == "wb")

    def __enter__(self) -> Any:
        return self._member

    def __exit__(self, *_: object) -> None:
        self._member.close()
        self._archive.close()
