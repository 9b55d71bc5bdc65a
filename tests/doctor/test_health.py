"""Healthy projects: no finding, on every store and with every backend, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import BACKEND, COMPRESSION, THRESHOLD


def asked(patient: Any) -> set[str]:
    return {result.check for result in patient.results if result.state in ("ok", "warning")}


def test_s3(on_s3: Any) -> None:
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}
    assert {"rights.delete", "roundtrip.small", "roundtrip.big", "store.public", "references.missing"} <= asked(on_s3)
    assert "Contents" not in on_s3.s3.list_objects_v2(Bucket=on_s3.bucket), "the doctor left something behind"


def test_gcs(on_gcs: Any) -> None:
    on_gcs.is_healthy()
    assert on_gcs.of("warning") == {}
    assert {"rights.delete", "roundtrip.big"} <= asked(on_gcs)


def test_azure(on_azure: Any) -> None:
    on_azure.is_healthy()
    assert on_azure.of("warning") == {}
    assert {"rights.delete", "roundtrip.big", "store.public"} <= asked(on_azure)
    assert list(on_azure.service.get_container_client(on_azure.bucket).list_blobs()) == []


def test_folder(on_folder: Any, tmp_path: Any) -> None:
    on_folder.is_healthy()
    assert on_folder.of("warning") == {}
    assert {"rights.delete", "roundtrip.big"} <= asked(on_folder)
    assert list((tmp_path / "store").rglob("*")) == []


def test_default_backend(patient: Any) -> None:
    patient.has("class.default", "nothing that asks for object storage", state="warning")
    assert "roundtrip.small" in patient.of("ok"), patient.told()
    assert patient.of("ok")["roundtrip.small"].seen.endswith("in the database, and back, equal")


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz"])
def test_compression(on_s3: Any, compression: str) -> None:
    on_s3.set(**{COMPRESSION: compression}).is_healthy()


@pytest.mark.parametrize("threshold", ["0", "1", "1000000"])
def test_threshold(on_s3: Any, threshold: str) -> None:
    on_s3.set(**{THRESHOLD: threshold}).is_healthy()
    assert "roundtrip.big" in asked(on_s3)


def test_custom_class(on_s3: Any) -> None:
    pytest.importorskip("include.xcom_backend")
    on_s3.set(**{BACKEND: "include.xcom_backend.XComBackend"}).is_healthy()
    assert "include.xcom_backend.XComBackend: in the bucket" in on_s3.of("ok")["roundtrip.big"].seen


def test_thin_subclass(on_gcs: Any) -> None:
    pytest.importorskip("include.xcom_object_storage")
    on_gcs.set(**{BACKEND: "include.xcom_object_storage.XComObjectStorageBackend", COMPRESSION: "zip"}).is_healthy()
    assert on_gcs.of("warning") == {}
