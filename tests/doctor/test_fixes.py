"""Mistakes whose fix once misled, alone and in pairs: planted, then the printed fix is followed by a machine."""

from __future__ import annotations

import json
from typing import Any

import emulators
import pytest
from conftest import BACKEND, COMPRESSION, PATH, PROVIDER, THRESHOLD
from test_rights import sas

CONN = "AIRFLOW_CONN_MY_AWS_CONN"


def follow(patient: Any, rounds: int = 4) -> list[str]:
    """Do what the doctor says until it says no more, and return the checks that spoke; it must come to an end."""
    spoke: list[str] = []
    for _ in range(rounds):
        patient.examine()
        found = list(patient.of("finding").values())
        if not found:
            return spoke
        for one in found:
            spoke.append(one.check)
            patient.fix(one)
    raise AssertionError(f"after {rounds} rounds: {patient.told()}")


def typo_in_bucket(patient: Any) -> None:
    patient.set(**{PATH: patient.settings[PATH].replace(patient.bucket, patient.bucket[:-1])})


def typo_in_connection_id(patient: Any) -> None:
    patient.set(**{PATH: patient.settings[PATH].replace("my_aws_conn", "my_aws_con")})


def quoted_connection(patient: Any) -> None:
    patient.set(**{CONN: f"'{patient.settings[CONN]}'"})


def broken_json(patient: Any) -> None:
    patient.set(**{CONN: patient.settings[CONN].removesuffix("}" * 2)})


def single_quotes(patient: Any) -> None:
    patient.set(**{CONN: patient.settings[CONN].replace('"', "'")})


def trailing_comma(patient: Any) -> None:
    patient.set(**{CONN: patient.settings[CONN].replace("}" * 2, "},}")})


def endpoint_in_host(patient: Any) -> None:
    connection = json.loads(patient.settings[CONN])
    connection["host"] = connection["extra"].pop("endpoint_url")
    patient.set(**{CONN: json.dumps(connection)})


def scheme_of_azure(patient: Any) -> None:
    patient.set(**{PATH: patient.settings[PATH].replace("s3://", "abfs://")})


def misspelt_class(patient: Any) -> None:
    patient.set(**{BACKEND: PROVIDER.replace("Storage", "Store")})


def old_name(patient: Any) -> None:
    patient.set(**{THRESHOLD: None, THRESHOLD.replace("STORAGE", "STORE"): "1000"})


def threshold(text: str) -> Any:
    def plant(patient: Any) -> None:
        patient.set(**{THRESHOLD: text})

    plant.__name__ = f"threshold={text}"
    return plant


MISTAKES = {
    typo_in_bucket: "path.bucket",
    typo_in_connection_id: "connection.exists",
    quoted_connection: "settings.quotes",
    broken_json: "connection.exists",
    single_quotes: "connection.exists",
    trailing_comma: "connection.exists",
    endpoint_in_host: "connection.endpoint",
    scheme_of_azure: "connection.type",
    misspelt_class: "class.found",
    old_name: "settings.names",
    threshold("1e6"): "threshold.number",
    threshold(""): "threshold.number",
    threshold("1.5k"): "threshold.number",
    threshold("64KiB"): "threshold.number",
}
# What people get wrong together: copied from one place, typed in one go.
PAIRS = [
    (typo_in_bucket, typo_in_connection_id),
    (typo_in_bucket, quoted_connection),
    (old_name, misspelt_class),
    (threshold("1k"), quoted_connection),
    (scheme_of_azure, threshold("1e6")),
    (endpoint_in_host, typo_in_bucket),
    (broken_json, typo_in_bucket),
    (misspelt_class, typo_in_connection_id),
]


@pytest.mark.parametrize(("plant", "check"), MISTAKES.items(), ids=lambda one: getattr(one, "__name__", one))
def test_mistake(on_s3: Any, plant: Any, check: str) -> None:
    plant(on_s3)
    assert set(follow(on_s3)) == {check}
    on_s3.is_healthy()


@pytest.mark.parametrize("plants", PAIRS, ids=lambda pair: "-".join(one.__name__ for one in pair))
def test_two_mistakes(on_s3: Any, plants: Any) -> None:
    for plant in plants:
        plant(on_s3)
    spoke = follow(on_s3)
    assert len(set(spoke)) == 2, spoke
    on_s3.is_healthy()


@pytest.mark.parametrize(("text", "meant"), [("1e6", "1000000"), ("1.5k", "1500"), ("64KiB", "65536"), ("", "1000000")])
def test_threshold_is_what_was_meant(on_s3: Any, text: str, meant: str) -> None:
    on_s3.set(**{THRESHOLD: text})
    follow(on_s3)
    assert on_s3.settings[THRESHOLD] == meant


def test_scheme_without_its_provider(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project for AWS has no Azure installed: the scheme is wrong, and no package is missing."""
    from include.xcom_doctor import situation

    real = situation.load_airflow()
    monkeypatch.setattr(situation, "load_airflow", lambda: real)
    real.has_fs = lambda scheme: scheme == "s3"
    path = on_s3.settings[PATH]
    scheme_of_azure(on_s3)
    on_s3.is_fixed_by_its_word("path.packages", "microsoft-azure is not installed", f"{PATH}={path}")


def test_wrong_type_is_fixed_in_the_connection(on_s3: Any) -> None:
    on_s3.set(**{CONN: on_s3.settings[CONN].replace('"aws"', '"google_cloud_platform"')})
    on_s3.is_fixed_by_its_word("connection.type", "has the type", f'in {CONN}: "conn_type":"aws"')


def test_wrong_region_is_fixed_in_the_connection(on_s3: Any) -> None:
    bucket = on_s3.bucket + "-eu"
    on_s3.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    on_s3.set(**{PATH: f"s3://my_aws_conn@{bucket}/xcom"})
    on_s3.is_fixed_by_its_word("connection.region", "the bucket is in eu-west-1")


def test_variable_or_path(on_s3: Any) -> None:
    """The path is the one of .env.example: then the typo is in the variable."""
    on_s3.write(".env.example", f"{PATH}={on_s3.settings[PATH]}\n")
    on_s3.set(**{CONN: None, "AIRFLOW_CONN_MY_AWS_CON": on_s3.settings[CONN]})
    on_s3.is_fixed_by_its_word("connection.exists", "but AIRFLOW_CONN_MY_AWS_CON", f"MY_AWS_CON -> {CONN}")


def test_bucket_that_is_like_no_other(on_s3: Any) -> None:
    on_s3.set(**{PATH: "s3://my_aws_conn@something-else/xcom"})
    found = on_s3.has("path.bucket", "there is no bucket something-else", "create it: aws s3 mb s3://something-else")
    assert found.fix.startswith(f"correct the bucket in {PATH} in .env"), "a typo comes first"
    on_s3.fix(found)
    on_s3.is_healthy()


def test_expired_sas_tells_when(on_azure: Any, azurite: str) -> None:
    def use(hours: int) -> None:
        token = f"SharedAccessSignature={sas(on_azure, 'rwdlc', hours)}"
        on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=emulators.azure_connection(azurite, token))

    use(-1)
    on_azure.has("connection.credentials", "expired on 20", "make a new token")
    use(1)
    on_azure.is_healthy()


def test_gzip_with_the_class_of_the_provider_on_s3(on_s3: Any) -> None:
    on_s3.set(**{COMPRESSION: "gzip"})
    warned = on_s3.has("compression.durable", "if S3 refuses the upload, the task succeeds", state="warning")
    on_s3.fix(warned)
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}


def test_gzip_without_a_class_of_its_own(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_doctor import checks_values

    monkeypatch.setattr(checks_values, "own_classes", list)
    on_s3.set(**{COMPRESSION: "gzip"})
    on_s3.fix(on_s3.has("compression.durable", fix=f"remove from .env: {COMPRESSION}", state="warning"))
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}


def test_bucket_that_is_bare(on_s3: Any) -> None:
    on_s3.s3.delete_public_access_block(Bucket=on_s3.bucket)
    on_s3.s3.delete_bucket_encryption(Bucket=on_s3.bucket)
    on_s3.examine()
    for check in ("store.public", "store.encryption"):
        on_s3.fix(on_s3.of("warning")[check])
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}


def test_no_env_file_says_why_nothing_is_compared(on_s3: Any) -> None:
    """As in `astro dev bash`, where the file stays on the host."""
    (on_s3.root / ".env").unlink()
    on_s3.is_healthy()
    seen = on_s3.of("skipped")["settings.env_file"].seen
    assert "no .env with Airflow's variables here" in seen
    assert "astro dev restart" in seen


def test_folder_of_the_host_in_docker(on_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a container may not write is a folder of the host; the user is another one there, and root may do all."""
    from include.xcom_doctor import probe

    store = on_folder.root / "store"

    def put(situation: Any, key: str, data: bytes) -> None:
        if not store.is_dir() or store.stat().st_mode & 0o777 != 0o777:
            raise PermissionError(13, "Permission denied", key)
        situation.filesystem.pipe_file(key, data)

    store.mkdir(mode=0o755)
    monkeypatch.setattr(probe, "put", put)
    monkeypatch.setenv("ASTRONOMER_RUNTIME_VERSION", "3.3-8")
    found = on_folder.has("rights.write", "PermissionError", "on the host, in the project's folder: mkdir -p store")
    on_folder.fix(found)
    on_folder.is_healthy()
