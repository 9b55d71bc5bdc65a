"""Findings in settings: class, names, quotes, sources, path, threshold, compression. No network is needed."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import BACKEND, COMPRESSION, PATH, PROVIDER, THRESHOLD

from include.xcom_doctor.situation import load_airflow as _real_load

CONN = "AIRFLOW_CONN_MY_AWS_CONN"

# --- class ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seen", "fix"),
    [
        (PROVIDER.replace("Storage", "Store"), "no such class", PROVIDER),
        ("airflow.providers.common.io.xcom.backends.XComObjectStorageBackend", "there is no module", PROVIDER),
        (
            "include.xcom_backed.XComBackend",
            "there is no module include.xcom_backed",
            "include.xcom_backend.XComBackend",
        ),
        ("XComObjectStorageBackend", "not a dotted path", PROVIDER),
    ],
)
def test_misspelt_class(on_s3: Any, name: str, seen: str, fix: str) -> None:
    if "include.xcom_backend.XComBackend" in fix:
        pytest.importorskip("include.xcom_backend")
    on_s3.set(**{BACKEND: name}).is_fixed_by_its_word("class.found", seen, f"{BACKEND}={fix}")


def test_class_whose_package_is_missing(on_s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy.py").write_text("import package_that_is_not_there\nclass Needy: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    on_s3.set(**{BACKEND: "needy.Needy"})
    on_s3.has(
        "class.found",
        "package_that_is_not_there, which is not installed",
        "requirements.txt: package_that_is_not_there",
    )


def test_class_whose_provider_is_missing(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.common.io", None)
    monkeypatch.delitem(sys.modules, "airflow.providers.common.io.xcom.backend", raising=False)
    monkeypatch.delitem(sys.modules, "airflow.providers.common.io.xcom", raising=False)
    monkeypatch.setattr("conftest.forget", lambda: None)
    on_s3.has("class.found", "airflow.providers.common.io is not installed", "apache-airflow-providers-common-io")
    monkeypatch.undo()


def test_class_that_breaks_at_import(on_s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks.py").write_text("raise ValueError('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    on_s3.set(**{BACKEND: "breaks.Breaks"}).has("class.found", "raised ValueError: no", 'python -c "import breaks"')


def test_class_that_is_no_xcom_backend(on_s3: Any) -> None:
    on_s3.set(**{BACKEND: "collections.OrderedDict"}).is_fixed_by_its_word("class.base", "not a subclass of airflow")


def test_default_class_beside_settings(on_s3: Any) -> None:
    on_s3.set(**{BACKEND: None}).is_fixed_by_its_word(
        "class.default", "although these are set", f"{BACKEND}=include.xcom_object_storage"
    )


def test_custom_settings_without_the_custom_class(on_s3: Any) -> None:
    pytest.importorskip("include.xcom_backend")
    on_s3.set(AIRFLOW__XCOM_BACKEND__MIRROR="").is_fixed_by_its_word("class.custom", "AIRFLOW__XCOM_BACKEND__MIRROR")


def test_misspelt_setting_of_the_custom_class(on_s3: Any) -> None:
    custom = pytest.importorskip("include.xcom_backend").__name__ + ".XComBackend"
    on_s3.set(**{BACKEND: custom, "AIRFLOW__XCOM_BACKEND__ALOWED_CODECS": "json,arrow"}).is_fixed_by_its_word(
        "custom.settings", "no setting of this name. A good name: AIRFLOW__XCOM_BACKEND__ALLOWED_CODECS", "rename"
    )


def test_setting_of_the_custom_class_with_a_bad_value(on_s3: Any) -> None:
    custom = pytest.importorskip("include.xcom_backend").__name__ + ".XComBackend"
    on_s3.set(**{BACKEND: custom, "AIRFLOW__XCOM_BACKEND__PURGE_FAILURES": "ignore"}).is_fixed_by_its_word(
        "custom.settings", "AIRFLOW__XCOM_BACKEND__PURGE_FAILURES is 'ignore'", "_PURGE_FAILURES=log"
    )


# --- names, quotes, comments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_PATH", PATH),
        ("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_THRESHOLD", THRESHOLD),
        ("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_COMPRESSION", COMPRESSION),
        ("AIRFLOW__COMMON.IO__XCOM_OBJECTSTORAGE_PATH", PATH),
        ("AIRFLOW__COMMONIO__XCOM_OBJECTSTORAGE_THRESHOLD", THRESHOLD),
        ("AIRFLOW__CORE__XCOM_OBJECTSTORAGE_PATH", PATH),
        ("AIRFLOW_COMMON_IO_XCOM_OBJECTSTORAGE_PATH", PATH),
        ("airflow__common_io__xcom_objectstorage_threshold", THRESHOLD),
        ("xcom_objectstorage_threshold", THRESHOLD),
        ("XCOM_BACKEND", BACKEND),
        ("AIRFLOW__CORE__XCOM_BACKND", BACKEND),
        ("AIRFLOW__XCOM__XCOM_BACKEND", BACKEND),
    ],
)
def test_misspelt_name(on_s3: Any, wrong: str, right: str) -> None:
    value = on_s3.settings.get(right) or "gzip"
    on_s3.set(**{right: None, wrong: value})
    on_s3.is_fixed_by_its_word("settings.names", f"{wrong} is ignored: Airflow reads {right}", f"{wrong} -> {right}")
    assert on_s3.settings[right] == value


def test_compression_without_effect_because_of_its_name(on_s3: Any) -> None:
    on_s3.set(**{COMPRESSION: None, "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESION": "gzip"})
    on_s3.is_fixed_by_its_word("settings.names", fix=f"-> {COMPRESSION}")


def test_another_misspelt_name_is_a_warning(on_s3: Any) -> None:
    on_s3.set(AIRFLOW__CORE__LOAD_EXAMPLE="False")
    warned = on_s3.has(
        "settings.other_names", "AIRFLOW__CORE__LOAD_EXAMPLE is ignored", state="warning", only=["settings"]
    )
    on_s3.fix(warned)
    on_s3.is_healthy(only=["settings"])
    assert on_s3.of("warning") == {}


@pytest.mark.parametrize("name", [THRESHOLD, PATH, BACKEND, COMPRESSION, CONN])
def test_quotes_kept(on_s3: Any, name: str) -> None:
    value = on_s3.settings[name] or "gzip"
    on_s3.set(**{name: f"'{value}'" if name == CONN else f'"{value}"'})
    result = on_s3.has("settings.quotes", name, name if name == CONN else f"set in .env: {name}=")
    assert "emulator-secret" not in repr(on_s3.results)
    on_s3.fix(result)
    assert on_s3.settings[name] == value
    on_s3.is_healthy()


def test_quotes_that_only_docker_keeps(on_s3: Any) -> None:
    on_s3.write_env({THRESHOLD: '"1000"'})  # compose and astro dev start have stripped them: the process sees 1000
    on_s3.is_fixed_by_its_word("settings.quotes", f'{THRESHOLD}="1000"')


def test_comment_kept(on_s3: Any) -> None:
    on_s3.set(**{THRESHOLD: "1000 # bytes"}).is_fixed_by_its_word(
        "settings.comments", "1000 # bytes", f"{THRESHOLD}=1000"
    )


def test_blank_kept(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: path + " "}).is_fixed_by_its_word("settings.comments", fix=f"{PATH}={path}")


# --- sources --------------------------------------------------------------------------------------------------


def test_process_without_env_file(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as outside:
        for name in on_s3.settings:
            outside.delenv(name)
        on_s3.has("settings.env_file", "sees none of the 5 variables", "--env-file .env")
    on_s3.is_healthy()  # as `--env-file .env` reads them; test_command.py does it to the letter


def test_env_file_changed_since_the_start(on_s3: Any) -> None:
    on_s3.write_env({THRESHOLD: "5000"})
    on_s3.is_fixed_by_its_word(
        "settings.env_file", f"{THRESHOLD} is '1000' here and '5000' in .env", "astro dev restart"
    )


def test_set_twice_in_airflow_cfg(on_s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tmp_path / "airflow.cfg"
    cfg.write_text("[common.io]\nxcom_objectstorage_threshold = 5\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", str(cfg))
    fix = f"remove from {cfg}: xcom_objectstorage_threshold"
    on_s3.is_fixed_by_its_word("settings.sources", "the environment wins", fix)
    # Airflow 2 writes the provider's default into a new airflow.cfg: nobody chose it.
    cfg.write_text("[common.io]\nxcom_objectstorage_threshold = -1\n")
    on_s3.is_healthy()


def test_set_twice_in_dockerfile(on_s3: Any) -> None:
    on_s3.write("Dockerfile", f"FROM astrocrpublic.azurecr.io/runtime:3.3-8\nENV {THRESHOLD}=5\n")
    fix = f"remove from Dockerfile: ENV {THRESHOLD}"
    on_s3.is_fixed_by_its_word("settings.sources", "'5' in the Dockerfile: .env wins", fix)


def test_set_twice_in_env_file(on_s3: Any) -> None:
    file = on_s3.root / ".env"
    text = file.read_text()
    file.write_text(f"{THRESHOLD}=5\n{text}")
    seen = "stands twice in .env (lines 1 and 4): the last one wins"
    on_s3.is_fixed_by_its_word("settings.sources", seen, "remove from .env: line 1")
    assert file.read_text() == text


@pytest.mark.parametrize("ending", ["CMD", "SECRET"])
def test_source_that_is_never_read(on_s3: Any, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    on_s3.set(**{THRESHOLD: None})
    monkeypatch.setenv(f"{THRESHOLD}_{ending}", "echo 1000")
    on_s3.has("settings.sources", f"{THRESHOLD}_{ending} is never read", f"set in .env: {THRESHOLD}=")
    monkeypatch.delenv(f"{THRESHOLD}_{ending}")
    on_s3.set(**{THRESHOLD: "1000"}).is_healthy()


# --- path -----------------------------------------------------------------------------------------------------


def test_no_path(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: None}).has("path.set", "is not set", f"set in .env: {PATH}=s3://")
    on_s3.set(**{PATH: path}).is_healthy()


def test_path_without_scheme(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: path.removeprefix("s3://")}).is_fixed_by_its_word("path.set", "no scheme", f"{PATH}={path}")


def test_placeholder_in_path(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: "s3://my_aws_conn@<bucket>/xcom"}).has("path.set", "placeholder", "real names")
    on_s3.set(**{PATH: path}).is_healthy()


@pytest.mark.parametrize("scheme", ["azblob", "wasb", "az"])
def test_foreign_scheme(on_azure: Any, scheme: str) -> None:
    path = on_azure.settings[PATH]
    on_azure.set(**{PATH: path.replace("abfs", scheme)}).is_fixed_by_its_word(
        "path.scheme", f"{scheme}:// is not a scheme of Airflow", f"{PATH}={path}"
    )


@pytest.mark.parametrize("module", ["s3fs"])
def test_missing_extra(on_s3: Any, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, module, None)
        missing.setattr("conftest.forget", lambda: None)
        on_s3.has("path.packages", "s3fs is not installed", "requirements.txt: apache-airflow-providers-amazon[s3fs]")
    on_s3.is_healthy()


def test_missing_provider(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as missing:
        missing.setattr("include.xcom_doctor.situation.load_airflow", without_filesystems)
        on_s3.has("path.packages", "apache-airflow-providers-amazon is not installed", "amazon[s3fs]")
    on_s3.is_healthy()


def without_filesystems() -> Any:
    """Airflow 3's image as it comes: without any cloud provider. test_command.py does it with a real one."""
    from include.xcom_doctor.situation import load_airflow

    airflow = load_airflow.__wrapped__() if hasattr(load_airflow, "__wrapped__") else _real_load()
    airflow.has_fs = lambda scheme: scheme == "file"
    return airflow


def test_path_without_connection(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: path.replace("my_aws_conn@", "")}).is_fixed_by_its_word(
        "path.connection_id", "nothing before an @", path
    )


def test_password_in_path(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: path.replace("my_aws_conn", "me:hunter2-hunter2")})
    on_s3.has("path.connection_id", "a user and password", "put the user and the password into the connection")
    assert "hunter2" not in repr(on_s3.results)
    on_s3.set(**{PATH: path}).is_healthy()


def test_container_at_account(on_azure: Any) -> None:
    container = on_azure.bucket
    on_azure.set(**{PATH: f"abfs://{container}@myaccount.dfs.core.windows.net/xcom"})
    on_azure.is_fixed_by_its_word(
        "path.form", f"takes '{container}' for the connection", f"abfs://my_azure_conn@{container}/xcom"
    )


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("s3://my_aws_conn@My_Bucket/xcom", "cannot be the name"),
        ("s3://my_aws_conn@/xcom", "names no bucket"),
        ("s3://a@my_aws_conn@bucket/xcom", "more than one @"),
        ("s3://my_aws_conn@bucket/xcom/../other", "climbs out"),
    ],
)
def test_path_that_is_split_otherwise(on_s3: Any, path: str, seen: str) -> None:
    right = on_s3.settings[PATH]
    on_s3.set(**{PATH: path}).has("path.form", seen)
    on_s3.set(**{PATH: right}).is_healthy()


def test_whole_bucket_is_a_warning(on_s3: Any) -> None:
    path = on_s3.settings[PATH]
    on_s3.set(**{PATH: path.removesuffix("/xcom")})
    on_s3.fix(on_s3.has("path.folder", "is the whole bucket", path, state="warning"))
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}


# --- threshold ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"), [("1k", "1000"), ("1_000 bytes", "1000"), ("many", "1000000"), ("2MB", "2000000")]
)
def test_threshold_that_is_no_number(on_s3: Any, text: str, meant: str) -> None:
    on_s3.set(**{THRESHOLD: text}).is_fixed_by_its_word("threshold.number", repr(text), f"{THRESHOLD}={meant}")


@pytest.mark.parametrize("value", ["-1", None])
def test_threshold_never(on_s3: Any, value: str | None) -> None:
    on_s3.set(**{THRESHOLD: value}).is_fixed_by_its_word(
        "threshold.negative", "nothing will ever go to the bucket", THRESHOLD
    )


def test_threshold_out_of_reach(on_s3: Any) -> None:
    on_s3.set(**{THRESHOLD: "1000000000"}).is_fixed_by_its_word("threshold.reach", "954 MiB would go into the database")


@pytest.mark.parametrize(("written", "seen"), [('"1000"', "not 0"), ("0", "only strings")])
def test_threshold_on_remote_execution(on_s3: Any, written: str, seen: str) -> None:
    values = "commonEnv:\n  - name: {}\n    value: {}\n"
    on_s3.write("remote-execution/values.yaml", values.format(THRESHOLD, written))
    on_s3.is_fixed_by_its_word("threshold.remote", seen, 'value: "0"')
    assert "threshold.remote" in on_s3.of("ok")


# --- compression ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "right"), [("gz", "gzip"), ("zipp", "zip"), ("bzip2", "bz2"), ("brotli", "gzip")])
def test_unknown_compression(on_s3: Any, name: str, right: str) -> None:
    on_s3.set(**{COMPRESSION: name}).is_fixed_by_its_word(
        "compression.known", f"'{name}' is none of", f"{COMPRESSION}={right}"
    )


@pytest.mark.parametrize("backend", [PROVIDER, "include.xcom_backend.XComBackend"], ids=["provider", "custom"])
@pytest.mark.parametrize(("name", "package"), [("lz4", "lz4"), ("snappy", "python-snappy"), ("zstd", "zstandard")])
def test_codec_without_its_package(
    on_s3: Any, monkeypatch: pytest.MonkeyPatch, name: str, package: str, backend: str
) -> None:
    """The package is installed: fsspec forgets it, and to follow the fix is to let it register the codec again."""
    from fsspec.compression import compr

    def install(named: str) -> None:
        assert named == package
        assert version(named)
        monkeypatch.setitem(compr, name, codec)

    codec = compr[name]
    monkeypatch.delitem(compr, name)
    on_s3.restore = install
    on_s3.set(**{COMPRESSION: name, BACKEND: backend})
    on_s3.is_fixed_by_its_word("compression.package", f"{name} needs the package {package}", "requirements.txt: ")
    assert "roundtrip.big" in on_s3.of("ok")


def test_zip_that_does_not_compress(on_s3: Any) -> None:
    on_s3.set(**{COMPRESSION: "zip"})
    on_s3.fix(on_s3.has("compression.zip", "without compressing", f"{BACKEND}=include.xcom_", state="warning"))
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}


def test_compression_that_loses_objects(on_gcs: Any) -> None:
    on_gcs.set(**{COMPRESSION: "gzip"}).is_fixed_by_its_word(
        "compression.durable", "an object is lost when the process ends", BACKEND
    )
