"""Pushes every kind of value that the explorer has a view for, and some that try to harm whoever looks at them."""

from __future__ import annotations

import base64
import struct
import zlib
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from airflow.providers.common.compat.sdk import dag, get_current_context, task

FILES = {
    "a.csv": b"id,name\n" + b"1,one\n" * 9_000,
    "page.html": b"<!doctype html><script>document.title='hacked'</script>",
    "sub/notes.txt": "Größe: 5 µm".encode(),
    "<img src=x onerror=alert(1)>.bin": bytes(range(256)),
}
SCRIPT = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


def png(width: int, height: int) -> bytes:
    """Return a black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(b"\0" * (width + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def plain_values() -> dict[str, Any]:
    """Return values that every XCom backend takes."""
    deep: Any = "bottom"
    for _ in range(25):
        deep = [deep]
    return {
        "small": {"a": 1, "b": [True, None, 2.5]},
        "text": "Every line of it. " * 5_000,
        "records": [{"id": number, "name": f"row {number}"} for number in range(2_000)],
        "deep": deep,
        "wide": {f"key {number}": number for number in range(3_000)},
        "hostile text": SCRIPT * 50,
        "hostile tree": {SCRIPT: [SCRIPT] * 50, "__proto__": {"x": SCRIPT}, "constructor": SCRIPT},
        f"key {SCRIPT[:60]}": "a key that is HTML",
        "a/key/with/slashes": "x" * 3_000,
        "javascript:alert(1)": "a key that is a URL",
        "zz odd ~ key": "y" * 3_000,
    }


def rich_values() -> dict[str, Any]:
    """Return values that only the custom class takes."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame(
        {
            "number": range(1_000),
            "price": np.linspace(0, 1, 1_000),
            "name": [None if number % 10 == 0 else f"name {number}" for number in range(1_000)],
            SCRIPT: "x",
        }
    )
    values = {
        "frame": frame,
        "frame with hostile index": frame.head(60).set_index("name").rename(columns={"price": SCRIPT + "2"}),
        "odd frame": pd.DataFrame({("a", 1): [1, 2], ("a", 2): [complex(1, 2), "x"]}),
        "series": pd.Series(range(500), name="s"),
        "table": pa.table({"x": list(range(900)), "y": [[1, 2]] * 900}),
        "matrix": np.add.outer(np.arange(200), np.arange(300)).astype("f4"),
        "line": np.sin(np.linspace(0, 10, 5_000)),
        "picture of colours": np.zeros((80, 80, 3), dtype="u1") + 200,
        "not finite": np.array([np.nan, np.inf, 1.0] * 100),
        "dates": np.arange("2024-01-01", "2025-01-01", dtype="M8[D]"),
        "bytes": bytes(range(256)) * 20,
        "png": png(40, 30) + b"\0" * 2_000,
        "svg": f"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>{SCRIPT * 20}</svg>".encode(),
        "html": f"<!doctype html><html><body>{SCRIPT * 40}</body></html>".encode(),
        "exact": {
            "when": datetime(2024, 1, 1, tzinfo=timezone.utc),
            "tuple": (1, 2, (3, 4)),
            "set": {1, 2},
            "big": 2**70,
        },
        "bomb": base64.b64encode(b"\0" * 100).decode() * 2_000,
        "inline bytes": b"\x00\xff",
        "inline frame": frame.head(2)[["number"]],
    }
    if find_spec("include.xcom_backend.chunks"):
        values |= values_in_parts(frame)
    if find_spec("polars"):
        values["polars"] = __import__("polars").DataFrame({"p": list(range(700)), "q": [None] * 700})
    return values


def values_in_parts(frame: Any) -> dict[str, Any]:
    """Return values that are stored part by part."""
    from include.xcom_backend.chunks import Chunks
    from include.xcom_backend.files import XComFile, XComFolder

    folder = Path(mkdtemp())
    (folder / "sub").mkdir()
    (folder / "empty").mkdir()
    for name, data in {**FILES, "picture.png": png(40, 30)}.items():
        (folder / name).write_bytes(data)
    return {
        "chunks": Chunks([frame.head(5), "the second", {SCRIPT: [1, 2]}, SCRIPT.encode() * 9]),
        "many chunks": Chunks(range(300)),
        "file": XComFile(folder / "a.csv", name="Zürich report.csv"),
        "file that is an image": XComFile(folder / "picture.png"),
        "file that is HTML": XComFile(folder / "page.html", name=f"{SCRIPT[:40]}.html"),
        "folder": XComFolder(folder),
    }


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["explorer"])
def explorer_values() -> None:
    """Push them all, and some from mapped task instances."""

    @task
    def push(rich: bool = False) -> None:
        context: Any = get_current_context()
        values = plain_values() | (rich_values() if context["params"].get("rich") else {})
        for key, value in values.items():
            context["ti"].xcom_push(key=key, value=value)

    @task
    def many() -> None:
        context: Any = get_current_context()
        for number in range(context["params"].get("many", 0)):
            context["ti"].xcom_push(key=f"key_{number:04}", value={"number": number})

    @task
    def mapped(number: int) -> None:
        context: Any = get_current_context()
        context["ti"].xcom_push(key="mapped value", value=f"{number} " * 2_000)

    @task
    def done(_: Any) -> str:
        return "done"

    push() >> many() >> done(mapped.expand(number=[1, 2, 3]))  # type: ignore[operator]


explorer_values()
