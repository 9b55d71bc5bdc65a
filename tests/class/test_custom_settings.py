"""Bad settings are one clear line; small values never import storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from custom_xcom import COORDINATES, Configure, run_python

from include.xcom_backend.compat import AIRFLOW_2
from include.xcom_backend.settings import XComSettingsError

PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"
OWN = "AIRFLOW__XCOM_BACKEND__"


@pytest.mark.parametrize(
    ("name", "bad", "variable", "good"),
    [
        ("threshold", "1k", THRESHOLD, "1000000"),
        ("threshold", '"1000"', THRESHOLD, "1000000"),
        ("threshold", "-2", THRESHOLD, "1000000"),
        ("compression", "zipp", COMPRESSION, "zstd"),
        ("compression", "gz", COMPRESSION, "zstd"),
        ("path", "", PATH, "s3://"),
        ("path", "bucket/xcom", PATH, "s3://"),
        ("path", "s3://b/" + "x" * 251, PATH, "240 bytes"),
        ("mirror", "bucket", f"{OWN}MIRROR", "gs://"),
        ("former_paths", "s3://ok@b/x, nope", f"{OWN}FORMER_PATHS", "s3://"),
        ("mirror_writes", "some", f"{OWN}MIRROR_WRITES", "all or best_effort"),
        ("purge_failures", "ignore", f"{OWN}PURGE_FAILURES", "log or raise"),
        ("summary", "perhaps", f"{OWN}SUMMARY", "true or false"),
        ("allow_anonymous", "2", f"{OWN}ALLOW_ANONYMOUS", "true or false"),
        ("retry_deadline", "0", f"{OWN}RETRY_DEADLINE", "60"),
        ("retry_deadline", "nan", f"{OWN}RETRY_DEADLINE", "60"),
        ("max_decoded_bytes", "16GB", f"{OWN}MAX_DECODED_BYTES", "17179869184"),
        ("data_format", "yaml", f"{OWN}DATA_FORMAT", "json or msgpack"),
        ("strict", "very", f"{OWN}STRICT", "true or false"),
    ],
)
def test_bad_setting_is_one_clear_line(name: str, bad: str, variable: str, good: str, configure: Configure) -> None:
    with pytest.raises(XComSettingsError) as error:
        configure(**{name: bad})
    message = str(error.value)
    assert message.startswith(variable)
    assert "\n" not in message
    assert good in message
    assert repr(bad) in message or name == "former_paths"


def test_mirror_must_be_another_place(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(XComSettingsError, match="must not be the primary path itself"):
        configure(mirror=f"file://{tmp_path}/xcom/")


def test_unknown_name_is_refused(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{OWN}ALOWED_CODECS", "json")
    with pytest.raises(XComSettingsError) as error:
        configure()
    assert str(error.value) == (
        f"{OWN}ALOWED_CODECS is 'json': the XCom backend has no setting of this name. A good name: {OWN}ALLOWED_CODECS"
    )


def test_unknown_name_in_the_file_is_refused_too(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_backend.compat import conf

    conf.read_dict({"xcom_backend": {"allowed_codec": "text,json"}})
    try:
        with pytest.raises(XComSettingsError) as error:
            configure()
    finally:
        conf.remove_section("xcom_backend")
    assert str(error.value) == (
        "[xcom_backend] allowed_codec of airflow.cfg is 'text,json': the XCom backend has no setting of this name. "
        "A good name: allowed_codecs"
    )


@pytest.mark.parametrize(("raw", "meant"), [("", True), ("off", False), ("FALSE", False), ("1", True)])
def test_booleans(raw: str, meant: bool, configure: Configure) -> None:
    assert configure(summary=raw or "true").summary is meant


@pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 imports everything itself")
def test_small_values_import_nothing_of_storage_or_tables(configure: Configure) -> None:
    configure(threshold=10**6, path="s3://nowhere@bucket/xcom", mirror="gs://nowhere@bucket/xcom")
    output = run_python(
        "import os, sys; del os.environ['AIRFLOW__CORE__XCOM_BACKEND']\n"
        "import airflow.sdk.execution_time.task_runner\n"
        "before = set(sys.modules)\n"
        "from types import SimpleNamespace\n"
        "from include.xcom_backend import XComBackend\n"
        "for value in (dict(a=1), 'text', (1, 2), b'bytes', 1.5):\n"
        f"    row = XComBackend.serialize_value(value, map_index=-1, **{COORDINATES!r})\n"
        "    assert XComBackend.deserialize_value(SimpleNamespace(value=row)) == value\n"
        "new = set(sys.modules) - before\n"
        "print(*(set(name.partition('.')[0] for name in new) - set(sys.stdlib_module_names)))\n"
        "print(*sorted(name for name in new if name.startswith('include')))\n"
    )
    third_party, own = (line.split() for line in output.splitlines()[-2:])
    assert set(third_party) <= {"include", "airflow", "ormsgpack", "orjson"}
    assert not any(name.endswith(("stores", "compression")) for name in own)


def test_any_module_can_be_imported_first() -> None:
    names = "[kind.__name__ for kind in X.__mro__]"
    output = run_python(
        "import include.xcom_backend.cleanup\n"
        f"from include.xcom_backend import XComBackend as X\nprint('BaseXCom' in {names})"
    )
    assert output.splitlines()[-1] == "True"
    assert "does not define" not in output
