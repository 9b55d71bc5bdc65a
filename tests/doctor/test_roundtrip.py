"""Findings of the whole path alone: settings, connection and rights are in order, and the class is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import BACKEND, PROVIDER

FORGETS = """
    @staticmethod
    def deserialize_value(result):
        value = XComObjectStorageBackend.deserialize_value(result)
        return result.value if len(str(value)) {} 1000 else value
"""
HOARDS = """
    @staticmethod
    def serialize_value(value, **where):
        return XComObjectStorageBackend.__mro__[1].serialize_value(value, **where)  # BaseXCom
"""
LITTERS = """
    @staticmethod
    def purge(xcom, *args):
        pass
"""


@pytest.mark.parametrize(
    ("body", "check", "seen"),
    [
        (FORGETS.format("<").replace("result.value", "'lost'"), "roundtrip.small", "pulled str of another content"),
        (FORGETS.format(">"), "roundtrip.big", "pushed 1016 bytes and pulled"),
        (HOARDS, "roundtrip.big", "went to the database, not to the bucket"),
        (LITTERS, "roundtrip.big", "purge left xcom_doctor/"),
    ],
    ids=["changes", "forgets", "hoards", "litters"],
)
def test_class_that(
    on_s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any, body: str, check: str, seen: str
) -> None:
    """One that does not give back, does not store, or does not delete what it should."""
    module = f"sick_{request.node.callspec.id}"
    provider, _, name = PROVIDER.rpartition(".")
    (tmp_path / f"{module}.py").write_text(f"from {provider} import {name}\n\nclass Sick({name}):{body}")
    monkeypatch.syspath_prepend(str(tmp_path))
    on_s3.set(**{BACKEND: f"{module}.Sick"}).has(check, seen)
    assert "Contents" not in on_s3.s3.list_objects_v2(Bucket=on_s3.bucket), "the doctor left something behind"
    on_s3.set(**{BACKEND: PROVIDER}).is_healthy()


@pytest.mark.parametrize(("allowed", "state"), [("json,pandas", "ok"), ("pandas", "skipped")])
def test_custom_class_that_allows_few_formats(on_s3: Any, allowed: str, state: str) -> None:
    pytest.importorskip("include.xcom_backend")
    on_s3.set(**{BACKEND: "include.xcom_backend.XComBackend", "AIRFLOW__XCOM_BACKEND__ALLOWED_CODECS": allowed})
    on_s3.is_healthy()
    assert {"roundtrip.small", "roundtrip.big"} <= set(on_s3.of(state))
