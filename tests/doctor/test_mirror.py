"""Findings about the mirror of the custom class: its connection, its bucket, its rights, and a host that is silent."""

from __future__ import annotations

import json
import urllib.request
import uuid
from typing import Any

import emulators
import pytest
from conftest import BACKEND, PATH
from test_rights import sas

MIRROR = "AIRFLOW__XCOM_BACKEND__MIRROR"
CUSTOM = "include.xcom_backend.XComBackend"
CONN = "AIRFLOW_CONN_MY_GCP_CONN"


@pytest.fixture
def mirrored(on_s3: Any, gcs: str) -> Any:
    """A healthy project on S3 whose copies go to Cloud Storage."""
    on_s3.second = f"second-{uuid.uuid4().hex[:12]}"
    emulators.make_gcs_bucket(gcs, on_s3.second)
    connection = emulators.gcp_connection(gcs)
    return on_s3.set(**{BACKEND: CUSTOM, MIRROR: f"gs://my_gcp_conn@{on_s3.second}/xcom"}).owns(**{CONN: connection})


def test_healthy(mirrored: Any, gcs: str) -> None:
    mirrored.is_healthy()
    assert mirrored.of("warning") == {}
    assert mirrored.of("ok")["mirror.rights"].seen.endswith("written, read, listed, replaced, deleted")
    assert "roundtrip.big" in mirrored.of("ok")
    assert "Contents" not in mirrored.s3.list_objects_v2(Bucket=mirrored.bucket)
    with urllib.request.urlopen(f"{gcs}/storage/v1/b/{mirrored.second}/o") as answer:  # noqa: S310
        assert not json.load(answer).get("items")


def test_mirror_without_a_connection(mirrored: Any) -> None:
    mirrored.set(**{CONN: None}).is_fixed_by_its_word(
        "mirror.connection", "there is no connection my_gcp_conn", f"set in .env: {CONN}="
    )


def test_mirror_that_is_the_base_path(mirrored: Any) -> None:
    mirrored.set(**{MIRROR: mirrored.settings[PATH]})
    mirrored.is_fixed_by_its_word("mirror.connection", "is the base path itself", f"{MIRROR}=")


def test_mirror_with_a_scheme_of_another_tool(mirrored: Any) -> None:
    mirrored.set(**{MIRROR: mirrored.settings[MIRROR].replace("gs://", "gcp://")})
    mirrored.is_fixed_by_its_word("mirror.connection", "gcp://", f"set in .env: {MIRROR}=gs://")


def test_mirror_without_a_bucket(mirrored: Any, gcs: str) -> None:
    bucket = "another-" + mirrored.second[::-1]
    mirrored.set(**{MIRROR: f"gs://my_gcp_conn@{bucket}/xcom"})
    mirrored.restore = lambda _: emulators.make_gcs_bucket(gcs, bucket)
    create = f"gcloud storage buckets create gs://{bucket}"
    mirrored.is_fixed_by_its_word("mirror.rights", f"there is no bucket {bucket}", create)


def test_mirror_that_may_not_be_cleaned(on_azure: Any, azurite: str, tmp_path: Any) -> None:
    """The first store is a folder, its mirror a container whose SAS lacks the letter d."""
    mirror = on_azure.settings[PATH]
    on_azure.set(**{BACKEND: CUSTOM, PATH: f"file://{tmp_path}/store", MIRROR: mirror})

    def use(letters: str) -> None:
        token = f"SharedAccessSignature={sas(on_azure, letters)}"
        on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=emulators.azure_connection(azurite, token))

    use("rwlc")
    found = on_azure.has("mirror.rights", "may not delete", "SAS letter d")
    assert "sig=" not in found.seen.replace("sig=***", "")
    on_azure.restore = lambda letter: use("rw" + letter[-1] + "lc")
    on_azure.fix(found)
    on_azure.is_healthy()


def test_mirror_that_never_answers(mirrored: Any) -> None:
    connection = mirrored.settings[CONN]
    with emulators.silent_port() as url:
        mirrored.set(**{CONN: emulators.gcp_connection(url)})
        mirrored.has("mirror.rights", f"{url} gave no answer within", "open the network path", deadline=4)
    mirrored.set(**{CONN: connection}).is_healthy()
