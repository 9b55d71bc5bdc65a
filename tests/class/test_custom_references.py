"""Keys that people find, and rows that point where they must not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from custom_xcom import Configure, encoded, objects, pull, purge, push, reference

from include.xcom_backend.reference import (
    MAX_PREFIX_BYTES,
    Coordinates,
    InvalidReferenceError,
    Location,
    resembles_provider_url,
    words,
)

pytestmark = pytest.mark.usefixtures("configure")

HOSTILE = ["..", ".", "a/b", "a//b", "%2F", "a b", "#", "?v=1", "~", "é日\U0001f600", "a.", "*[x]", "\\", "x" * 250]


def test_longest_ids_that_airflow_allows() -> None:
    key = Coordinates("日" * 250, "r" * 250, "t" * 250, 10**6, "k" * 512).new_object_key("parquet", "0" * 12)
    assert len(key.encode()) < 1024 - MAX_PREFIX_BYTES
    assert all(len(part) <= 255 for part in key.split("/"))


@pytest.mark.parametrize("inner", ["mirror", "former_paths"])
def test_one_base_path_may_be_inside_another(inner: str, configure: Configure, tmp_path: Path) -> None:
    outer, nested = f"file://{tmp_path}/outer", f"file://{tmp_path}/outer/nested"
    if inner == "mirror":
        configure(path=outer, mirror=nested)
        row = push(["value"])
        Path(reference(row)["paths"][0].removeprefix("file://")).unlink()
    else:
        configure(path=nested)
        row = push(["value"])
        configure(path=outer, former_paths=nested)
    assert pull(row) == ["value"]
    assert objects(outer) != []
    purge(row)
    assert objects(outer) == []


def test_every_store_accepts_hostile_ids(base: str) -> None:
    rows = [push([name], dag_id=name, run_id=name, task_id=name, key=name) for name in HOSTILE]
    assert [pull(row) for row in rows] == [[name] for name in HOSTILE]
    assert len(objects(base)) == len(HOSTILE)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://conn@bucket/xcom", ("s3", "conn", "bucket", "xcom")),
        ("s3://conn@bucket/xcom/", ("s3", "conn", "bucket", "xcom")),
        ("gs://bucket", ("gs", None, "bucket", "")),
        ("abfs://conn@container/a/b", ("abfs", "conn", "container", "a/b")),
        ("file:///data/xcom", ("file", None, "", "/data/xcom")),
    ],
)
def test_base_paths(url: str, parts: tuple[Any, ...]) -> None:
    base = Location.parse(url)
    assert (base.scheme, base.conn_id, base.bucket, base.prefix) == parts
    assert base.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["", "bucket/x", "s3://", "s3://conn@/x", "file://", "file:///", "file://../x", "s3://b//a"]
)
def test_bad_base_paths(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|missing|needs"):
        Location.parse(url)


def test_relative_folder_is_where_fsspec_and_the_provider_have_it(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    monkeypatch.chdir(tmp_path)
    configure(path="file://include/xcom-store/xcom")
    assert Location.parse("file://include/xcom-store/xcom").prefix == f"{tmp_path}/include/xcom-store/xcom"
    row = push(["value"])
    assert reference(row)["paths"][0].startswith(f"file://{tmp_path}/include/xcom-store/xcom/dag/")
    stored = [path for path in ObjectStoragePath("file://include/xcom-store/xcom").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in stored] == [b'["value"]']
    monkeypatch.chdir("/")
    assert pull(row) == ["value"]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Put a file outside the base path, and one of another task inside."""
    other = tmp_path / "xcom/other_dag/run/task/-1/return_value.0123456789abcdef.json"
    other.parent.mkdir(parents=True)
    other.write_text('"secret"')
    (tmp_path / "secret.json").write_text('"secret"')
    return other


@pytest.mark.parametrize(
    "path",
    [
        "file://TMP/secret.json",
        "file://TMP/xcom/../secret.json",
        "file://OWN/../../../../../../secret.json",
        "file://OWN/x/return_value.0123456789abcdef.json",
        "file://TMP/xcom/other_dag/run/task/-1/return_value.0123456789abcdef.json",
        "file://TMP/xcom-2/return_value.json",
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://conn@bucket/xcom/key",
        "https://example.com/x",
        "file://OWN/..",
        "file://OWN/",
        "",
    ],
)
def test_reference_to_elsewhere_is_neither_read_nor_purged(
    path: str, tmp_path: Path, secret: Path, configure: Configure
) -> None:
    row = reference(push(["value"]))
    own = str(Path(row["paths"][0].removeprefix("file://")).parent)
    forged = encoded(row | {"paths": [path.replace("TMP", str(tmp_path)).replace("OWN", own)]})
    with pytest.raises(InvalidReferenceError, match=r"refused|none of the configured"):
        pull(forged)
    configure(purge_failures="raise")
    with pytest.raises(InvalidReferenceError):
        purge(forged)
    assert secret.exists()
    assert (tmp_path / "secret.json").exists()


def test_link_that_leads_out_of_the_base_is_refused(tmp_path: Path, secret: Path) -> None:
    row = reference(push(["value"]))
    path = Path(row["paths"][0].removeprefix("file://"))
    path.unlink()
    path.symlink_to(tmp_path / "secret.json")
    with pytest.raises(RuntimeError, match="refused"):
        pull(encoded(row))


@pytest.mark.parametrize(
    "change",
    [
        {"paths": []},
        {"paths": "x"},
        {"paths": [1]},
        {"size": "1"},
        {"size": None},
        {"size": True},
        {"sha256": 1},
        {"codec": None},
        {"codec": "unknown"},
        {"compression": "unknown"},
        {"map_index": "x"},
        {"__xcom_backend__": 2},
        {"__xcom_backend__": "1"},
        {"kind": "other", "paths": None},
        {"kind": "inline", "codec": "json", "data": "{"},
        {"kind": "inline", "codec": "bytes", "data": "?"},
        {"kind": "inline", "codec": "nothing", "data": ""},
    ],
    ids=str,
)
def test_malformed_row_is_an_error_and_never_a_value(change: dict[str, Any]) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        pull(encoded(reference(push(["value"])) | change))


@pytest.mark.parametrize("threshold", [0, 10**6])
def test_strings_that_look_like_paths_are_strings(threshold: int, configure: Configure, tmp_path: Path) -> None:
    configure(threshold=threshold)
    old = tmp_path / "xcom/dag/run/task/0b7e1a52-1111-4222-8333-123456789abc.gz"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text('"somebody else\'s"')
    for text in (
        f"file://{old}",
        f"file://{tmp_path}/xcom/x.json",
        "s3://b/k.json.gz",
        f"file://{old}.gz",
        "file:///etc/passwd",
    ):
        assert pull(push(text)) == text
    assert resembles_provider_url(f"file://{old}")


def test_former_path_is_read_when_it_is_named(configure: Configure, tmp_path: Path) -> None:
    row = push(["value"])
    configure(path=f"file://{tmp_path}/new")
    with pytest.raises(InvalidReferenceError, match=r"AIRFLOW__XCOM_BACKEND__FORMER_PATHS"):
        pull(row)
    configure(former_paths=f"file://{tmp_path}/xcom, s3://gone@gone/xcom")
    assert pull(row) == ["value"]
    purge(row)
    assert objects(f"file://{tmp_path}/xcom") == []


def test_bomb_is_not_unpacked(configure: Configure) -> None:
    configure(compression="gzip")
    row = push("\x00" * 10**7)
    configure(max_decoded_bytes=10**6)
    with pytest.raises(RuntimeError, match="AIRFLOW__XCOM_BACKEND__MAX_DECODED_BYTES"):
        pull(row)
    configure(max_decoded_bytes=10**8)
    with pytest.raises(RuntimeError, match="decodes to"):
        pull(encoded(reference(row) | {"decoded_size": 10}))
    assert len(pull(row)) == 10**7


@pytest.mark.parametrize("compression", ["", "gzip", "zip", "xz"])
def test_what_the_providers_backend_wrote_is_read_and_purged(compression: str, base: str, configure: Configure) -> None:
    from airflow.providers.common.io.xcom import backend as provider

    if compression and base.startswith("gs:"):
        pytest.skip("the provider's backend may lose compressed objects on Google Cloud Storage")
    configure(compression=compression, purge_failures="raise")
    forget(provider)
    value = {"a": list(range(500)), "t": "x" * 100}
    names = {"key": "return_value", "dag_id": "dag", "run_id": "run", "task_id": "task"}
    row = provider.XComObjectStorageBackend.serialize_value(value, map_index=-1, **names)
    forget(provider)
    assert pull(row) == value
    with pytest.raises(RuntimeError, match="another task"):
        purge(row, task_id="other", run_id="run")
    purge(row, run_id="run")
    assert objects(base) == []
    with pytest.raises(RuntimeError, match="missing"):
        pull(row)


def forget(provider: Any) -> None:
    """Let the provider's backend read its settings again."""
    for remembered in (provider._get_base_path, provider._get_compression, provider._get_threshold):
        remembered.cache_clear()


def test_provider_url_outside_the_base_is_a_plain_string(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/xcom/../d/r/t/0b7e1a52-1111-4222-8333-123456789abc.gz"
    assert pull(encoded(url)) == url
    purge(encoded(url))


def test_own_folder_can_be_read_without_airflow(tmp_path: Path) -> None:
    push(["value"], dag_id="my dag", map_index=3)
    [path] = [Path(folder, name) for folder, _, names in os.walk(tmp_path / "xcom") for name in names]
    assert path.relative_to(tmp_path / "xcom").parts[:-1] == (
        "my~20dag",
        "manual__2026-01-01T00:00:00+00:00",
        "task",
        "3",
    )
    assert path.name.startswith("return_value.")
    assert path.suffix == ".json"


def test_a_row_says_first_what_the_value_is_also_where_jsonb_sorts_its_keys() -> None:
    row = reference(push({"numbers": list(range(1000))}))
    assert next(iter(row)) == "is"
    assert min(row, key=lambda key: (len(key), key)) == "is"
    assert row["is"] == "dict of 1, JSON, 3.9 kB"
    assert pull(encoded({key: value for key, value in row.items() if key != "is"})) == {"numbers": list(range(1000))}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"summary": {"type": "numpy.ndarray", "shape": [3, 4_000]}, "codec": "numpy", "size": 96_128},
            "ndarray 3 x 4,000, .npy, 96.1 kB",
        ),
        ({"summary": {"type": "str", "length": 5_000}, "codec": "text", "size": 999}, "str of 5,000, 999 B"),
        ({"summary": {}, "codec": "mine", "size": 2 * 10**9}, "value, mine, 2.0 GB"),
        ({"summary": {"type": ["x"], "shape": "x"}, "codec": "a\nb", "size": None}, "['x'], a\\nb, 0 B"),
    ],
)
def test_words_about_any_row_are_one_line(row: dict[str, Any], said: str) -> None:
    assert words(row) == said
