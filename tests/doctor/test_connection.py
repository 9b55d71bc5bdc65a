"""Findings about the connection, and stores that do not answer."""

from __future__ import annotations

import json
import time
from typing import Any

import emulators
import pytest
from conftest import PATH

CONN = "AIRFLOW_CONN_MY_AWS_CONN"
ALL = 40.0  # seconds in which every examination has to end: three probes in a row, ten seconds each, and a busy machine


def test_no_connection(on_s3: Any) -> None:
    on_s3.set(**{CONN: None}).is_fixed_by_its_word(
        "connection.exists", "there is no connection my_aws_conn", f"set in .env: {CONN}=" + '{"conn_type"'
    )


def test_connection_of_another_name(on_s3: Any) -> None:
    on_s3.set(**{CONN: None, "AIRFLOW_CONN_MY_AWS_CON": on_s3.settings[CONN]})
    path = on_s3.settings[PATH].replace("my_aws_conn", "my_aws_con")
    on_s3.is_fixed_by_its_word("connection.exists", "but AIRFLOW_CONN_MY_AWS_CON", f"{PATH}={path}")


def test_connection_in_lower_case(on_s3: Any) -> None:
    on_s3.set(**{CONN: None, "AIRFLOW_CONN_my_aws_conn": on_s3.settings[CONN]})
    on_s3.is_fixed_by_its_word("connection.exists", fix=f"AIRFLOW_CONN_my_aws_conn -> {CONN}")


@pytest.mark.parametrize(
    ("text", "seen", "fix"),
    [
        ('{"conn_type":"aws"', "not valid JSON", f"append to the value of {CONN} in .env: }}"),
        ('{"conn_type" "aws"}', "not valid JSON", f"set in .env: {CONN}="),
        ("aws", "neither JSON nor a URL", f"set in .env: {CONN}="),
        ('{"login":"x"}', "has no conn_type", f"set in .env: {CONN}="),
    ],
)
def test_broken_connection(on_s3: Any, text: str, seen: str, fix: str) -> None:
    connection = on_s3.settings[CONN]
    on_s3.set(**{CONN: text}).has("connection.exists", seen, fix)
    on_s3.set(**{CONN: connection}).is_healthy()


def test_broken_connection_does_not_use_ambient_credentials(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has credentials that would work at the emulator; the doctor leaves them alone."""
    for name, value in (
        ("ACCESS_KEY_ID", "ambient"),
        ("SECRET_ACCESS_KEY", "ambient"),
        ("ENDPOINT_URL", "http://127.0.0.1:9"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    on_s3.set(**{CONN: "{"}).has("connection.exists")
    assert {"connection.endpoint", "rights.write", "roundtrip.big"} <= set(on_s3.of("skipped"))


def test_wrong_type(on_s3: Any) -> None:
    connection = on_s3.settings[CONN]
    on_s3.set(**{CONN: connection.replace('"aws"', '"google_cloud_platform"')})
    on_s3.has("connection.type", "has the type 'google_cloud_platform'", f'in {CONN}: "conn_type":"aws"')
    on_s3.set(**{CONN: connection}).is_healthy()


@pytest.mark.parametrize("left", ["<secret access key>", "PASTE-THE-SECRET-ACCESS-KEY", "your-secret-key", "changeme"])
def test_placeholders(on_s3: Any, left: str) -> None:
    on_s3.set(**{CONN: on_s3.settings[CONN].replace("emulator-secret", left)})
    on_s3.is_fixed_by_its_word("connection.placeholders", "placeholders in: password", CONN)


def test_defined_twice(on_s3: Any) -> None:
    once = "airflow:\n  connections:\n"
    on_s3.write("airflow_settings.yaml", once + "    - conn_id: my_aws_conn\n      conn_type: aws\n")
    fix = "remove from airflow_settings.yaml: the connection my_aws_conn"
    on_s3.is_fixed_by_its_word("connection.twice", "the variable wins", fix)
    assert (on_s3.root / "airflow_settings.yaml").read_text() == once


def test_no_credentials(on_s3: Any, moto: str) -> None:
    on_s3.set(**{CONN: emulators.aws_connection(moto, "", "")})
    on_s3.is_fixed_by_its_word("connection.credentials", "has no credentials", f"set in .env: {CONN}=")


def test_identity_of_the_machine_if_allowed(on_s3: Any, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator-secret")
    on_s3.set(**{CONN: emulators.aws_connection(moto, "", "")})
    on_s3.has("connection.credentials")
    on_s3.is_healthy(ambient=True)


def test_no_credentials_on_google(on_gcs: Any, gcs: str) -> None:
    on_gcs.set(AIRFLOW_CONN_MY_GCP_CONN=on_gcs.settings["AIRFLOW_CONN_MY_GCP_CONN"].replace("true", "false"))
    on_gcs.is_fixed_by_its_word("connection.credentials", "has no credentials")


def test_no_credentials_on_azure(on_azure: Any, azurite: str) -> None:
    on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=emulators.azure_connection(azurite, "Nothing=here"))
    on_azure.is_fixed_by_its_word("connection.credentials", "has no credentials")


@pytest.mark.parametrize(
    ("endpoint", "seen"),
    [
        ("http://127.0.0.1:9", "connection refused"),
        ("http://no-such-host.invalid:9000", "no such host"),
        ("127.0.0.1:9000", "is not a URL"),
    ],
)
def test_wrong_endpoint(on_s3: Any, endpoint: str, seen: str) -> None:
    on_s3.set(**{CONN: emulators.aws_connection(endpoint)}).is_fixed_by_its_word("connection.endpoint", seen, CONN)


def test_endpoint_with_the_wrong_protocol(on_s3: Any, moto: str) -> None:
    on_s3.set(**{CONN: emulators.aws_connection(moto.replace("http", "https"))})
    on_s3.has("connection.endpoint", "TLS failed", "use http://")


@pytest.mark.parametrize("hole", [emulators.black_hole, emulators.silent_port])
@pytest.mark.parametrize("store", ["on_s3", "on_gcs", "on_azure"])
def test_host_that_never_answers(request: pytest.FixtureRequest, hole: Any, store: str) -> None:
    patient = request.getfixturevalue(store)
    with hole() as url:
        for name, make in (
            ("AWS", emulators.aws_connection),
            ("GCP", emulators.gcp_connection),
            ("AZURE", emulators.azure_connection),
        ):
            if f"AIRFLOW_CONN_MY_{name}_CONN" in patient.settings:
                patient.set(**{f"AIRFLOW_CONN_MY_{name}_CONN": make(url)})
        started = time.monotonic()
        patient.has("connection.endpoint", f"{url}: no answer within 2 s", "open the network path", deadline=4)
        assert time.monotonic() - started < ALL


@pytest.mark.parametrize("how", ["stop", "hang"])
def test_store_that_breaks_halfway(on_s3: Any, moto: str, how: str) -> None:
    """After the first object has been written: each step says so itself, in time, and nothing else is blamed."""
    connection = on_s3.settings[CONN]
    with emulators.breaking(moto, how) as proxy:
        on_s3.set(**{CONN: emulators.aws_connection(proxy.url)})
        started = time.monotonic()
        on_s3.examine(deadline=8)  # of which the store, on a busy machine, has half to answer its first request
        assert time.monotonic() - started < ALL
    found = on_s3.of("finding")
    assert set(found) <= {"connection.region", "rights.read", "rights.list", "rights.overwrite", "rights.delete"}, (
        on_s3.told()
    )
    assert any("stopped answering" in result.seen and proxy.url in result.seen for result in found.values()), found
    assert all(result.fix for result in found.values())
    left = on_s3.s3.list_objects_v2(Bucket=on_s3.bucket)["Contents"][0]["Key"]
    assert any(left in result.seen for result in found.values()), "the doctor has to say what it could not remove"
    on_s3.set(**{CONN: connection}).is_healthy()


def test_wrong_key(on_s3: Any, moto: str, identity: Any) -> None:
    right = identity(on_s3.bucket)
    wrong = json.loads(right)
    wrong["login"] = "AKIAWRONGWRONGWRONGW"
    on_s3.owns(**{CONN: right}).set(**{CONN: json.dumps(wrong)})
    on_s3.is_fixed_by_its_word("connection.accepted", "InvalidAccessKeyId", f"a valid key into {CONN}")


def test_wrong_secret(on_s3: Any, moto: str, identity: Any) -> None:
    right = identity(on_s3.bucket)
    wrong = json.loads(right) | {"password": "not-the-secret-at-all"}
    on_s3.owns(**{CONN: right}).set(**{CONN: json.dumps(wrong)})
    found = on_s3.has("connection.accepted", "SignatureDoesNotMatch", CONN)
    assert "not-the-secret-at-all" not in repr(on_s3.results)
    on_s3.fix(found)
    on_s3.is_healthy()


def test_wrong_azure_key(on_azure: Any, azurite: str) -> None:
    wrong = "AccountKey=" + "A" * 86 + "=="
    on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=emulators.azure_connection(azurite, wrong))
    found = on_azure.has("connection.accepted", "authenticate", "AIRFLOW_CONN_MY_AZURE_CONN")
    assert "AAAAAAAA" not in repr(on_azure.results)
    on_azure.fix(found)
    on_azure.is_healthy()


def test_wrong_region(on_s3: Any, moto: str) -> None:
    bucket = on_s3.bucket + "-eu"
    on_s3.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    on_s3.set(**{PATH: f"s3://my_aws_conn@{bucket}/xcom"})
    on_s3.has(
        "connection.region", "the bucket is in eu-west-1, the connection says us-east-1", '"region_name":"eu-west-1"'
    )
    on_s3.set(**{CONN: emulators.aws_connection(moto, region_name="eu-west-1")}).is_healthy()


def test_missing_bucket(on_s3: Any) -> None:
    bucket = "another-" + on_s3.bucket[::-1]
    on_s3.set(**{PATH: f"s3://my_aws_conn@{bucket}/xcom"})
    on_s3.has("path.bucket", f"there is no bucket {bucket}", f"create it: aws s3 mb s3://{bucket}")
    assert bucket not in {one["Name"] for one in on_s3.s3.list_buckets()["Buckets"]}, "the doctor made a bucket"
    on_s3.s3.create_bucket(Bucket=bucket)
    on_s3.is_healthy()


def test_missing_gcs_bucket(on_gcs: Any, gcs: str) -> None:
    bucket = "another-" + on_gcs.bucket[::-1]
    on_gcs.set(**{PATH: f"gs://my_gcp_conn@{bucket}/xcom"})
    on_gcs.restore = lambda _: emulators.make_gcs_bucket(gcs, bucket)  # `gcloud` does not install from PyPI
    create = f"gcloud storage buckets create gs://{bucket}"
    on_gcs.is_fixed_by_its_word("path.bucket", f"there is no bucket {bucket}", create)


def test_missing_container(on_azure: Any) -> None:
    bucket = on_azure.bucket + "-typo"
    on_azure.set(**{PATH: f"abfs://my_azure_conn@{bucket}/xcom"})
    create = f"az storage container create --name {bucket} --account-name YOUR-STORAGE-ACCOUNT --auth-mode login"
    on_azure.restore = lambda _: on_azure.service.create_container(bucket)  # `az` would ask Azure itself
    on_azure.is_fixed_by_its_word("path.bucket", f"there is no container {bucket}", create)
