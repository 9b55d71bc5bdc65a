"""The doctor leaves nothing behind in the store, however it ends: with --only, at a finding, at Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import emulators
import pytest
from conftest import PATH, PROJECT

CONN = "AIRFLOW_CONN_MY_AWS_CONN"


def keys(patient: Any) -> list[str]:
    """Return the keys of the bucket, on S3 or on Azure."""
    if hasattr(patient, "s3"):
        return [one["Key"] for one in patient.s3.list_objects_v2(Bucket=patient.bucket).get("Contents", [])]
    return [blob.name for blob in patient.service.get_container_client(patient.bucket).list_blobs()]


def test_each_check_alone(on_s3: Any) -> None:
    from include.xcom_doctor.model import read_checks

    for name in read_checks():
        on_s3.examine(only=[name])
        assert keys(on_s3) == [], name


@pytest.mark.parametrize("only", ["references", "connection", "rights.write", "roundtrip", "store"])
def test_each_group_on_azure(on_azure: Any, only: str) -> None:
    on_azure.examine(only=[only])
    assert keys(on_azure) == []


def test_folder(on_folder: Any, tmp_path: Any) -> None:
    for only in ("references", "connection", "rights.write", "roundtrip"):
        on_folder.examine(only=[only])
        assert list((tmp_path / "store").rglob("*")) == [], only
    assert [file for file in tmp_path.iterdir() if file.name.startswith("xcom-doctor")] == []


def test_wrong_region(on_s3: Any) -> None:
    on_s3.bucket += "-eu"
    on_s3.s3.create_bucket(Bucket=on_s3.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    on_s3.set(**{PATH: f"s3://my_aws_conn@{on_s3.bucket}/xcom"}).has("connection.region")
    assert keys(on_s3) == []


@pytest.mark.parametrize("right", ["s3:GetObject", "s3:ListBucket"])
def test_without_a_right(on_s3: Any, identity: Any, right: str) -> None:
    on_s3.set(**{CONN: identity(on_s3.bucket, without=right)})
    on_s3.examine()
    assert on_s3.of("finding")
    emulators_off(on_s3)
    assert keys(on_s3) == []


def emulators_off(patient: Any) -> None:
    from conftest import enforce

    enforce(patient.s3.meta.endpoint_url, False)


def test_what_cannot_be_deleted_is_told(on_s3: Any, identity: Any) -> None:
    on_s3.set(**{CONN: identity(on_s3.bucket, without="s3:DeleteObject")})
    for only in (["connection"], ["rights.write"], []):
        on_s3.examine(only=only)
        emulators_off(on_s3)
        (key,) = keys(on_s3)
        assert key in on_s3.of("finding")["rights.delete"].seen
        on_s3.s3.delete_object(Bucket=on_s3.bucket, Key=key)
        on_s3.set(**{CONN: identity(on_s3.bucket, without="s3:DeleteObject")})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle(on_s3: Any, moto: str, how: signal.Signals) -> None:
    with emulators.breaking(moto, "slow") as proxy:
        on_s3.set(**{CONN: emulators.aws_connection(proxy.url)})
        command = [sys.executable, "-m", "include.xcom_doctor", "--project", str(on_s3.root)]
        doctor = subprocess.Popen(
            command, cwd=PROJECT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        begun = time.monotonic()
        while not keys(on_s3):
            assert doctor.poll() is None, doctor.communicate()
            assert time.monotonic() - begun < 300
            time.sleep(0.02)
        doctor.send_signal(how)
        out, err = doctor.communicate(timeout=120)
    assert (doctor.returncode, out) == (130, ""), err
    assert keys(on_s3) == []


def test_what_a_killed_doctor_left_is_found(on_s3: Any) -> None:
    """By the next one, which says how to delete it."""
    key = "xcom/xcom-doctor-00000000-0000-4000-8000-000000000000"
    on_s3.s3.put_object(Bucket=on_s3.bucket, Key=key, Body=b"first")
    on_s3.fix(on_s3.has("references.orphans", "1 object of a doctor that was stopped", key, state="warning"))
    assert keys(on_s3) == []
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}
