"""Findings about rights, with moto's IAM, Azure's SAS and the folder's own permissions; and the bucket's warnings."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import emulators
import pytest
from conftest import PATH
from object_stores import AZURITE_ACCOUNT, AZURITE_KEY

CONN = "AIRFLOW_CONN_MY_AWS_CONN"


def test_the_five_rights_are_enough(on_s3: Any, identity: Any) -> None:
    on_s3.set(**{CONN: identity(on_s3.bucket)}).is_healthy()


@pytest.mark.parametrize(
    ("check", "action", "resource"),
    [
        ("rights.write", "s3:PutObject", "arn:aws:s3:::{}/xcom/*"),
        ("rights.read", "s3:GetObject", "arn:aws:s3:::{}/xcom/*"),
        ("rights.list", "s3:ListBucket", "arn:aws:s3:::{}"),
        ("rights.delete", "s3:DeleteObject", "arn:aws:s3:::{}/xcom/*"),
    ],
)
def test_missing_s3_action(on_s3: Any, identity: Any, check: str, action: str, resource: str) -> None:
    bucket, right = on_s3.bucket, f"{action} on {resource.format(on_s3.bucket)}"

    def grant(named: str) -> None:
        assert named == right
        on_s3.set(**{CONN: identity(bucket)})

    on_s3.restore = grant
    on_s3.set(**{CONN: identity(bucket, without=action)})
    on_s3.is_fixed_by_its_word(check, f"may not {check.partition('.')[2]}", right)


def test_right_taken_out_of_infra_is_a_warning(on_s3: Any, identity: Any) -> None:
    actions = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    on_s3.write("infra/policy.json", json.dumps(policy))
    fix = "add to infra/policy.json: s3:DeleteObject"
    on_s3.fix(on_s3.has("rights.file", "lacks s3:DeleteObject", fix, state="warning"))
    on_s3.is_healthy()
    assert "rights.file" in on_s3.of("ok")
    on_s3.set(**{CONN: identity(on_s3.bucket, without="s3:DeleteObject")})
    on_s3.has("rights.delete", "may not delete", "infra/policy.json grants it")


def sas(on_azure: Any, letters: str, hours: int = 1) -> str:
    """Return a SAS of the container: to a batch with a SAS of the account Azurite answers 500, and Azure does not."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    return str(
        generate_container_sas(
            AZURITE_ACCOUNT,
            on_azure.bucket,
            AZURITE_KEY,
            permission=ContainerSasPermissions.from_string(letters),
            expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours),
        )
    )


@pytest.mark.parametrize(
    ("check", "letters", "missing"),
    [
        ("rights.write", "rdl", "SAS letter w"),
        ("rights.read", "wdlc", "SAS letter r"),
        ("rights.list", "rwdc", "SAS letter l"),
        ("rights.overwrite", "rdlc", "SAS letter w"),
        ("rights.delete", "rwlc", "SAS letter d"),
    ],
)
def test_missing_sas_letter(on_azure: Any, azurite: str, check: str, letters: str, missing: str) -> None:
    def use(token: str) -> None:
        connection = emulators.azure_connection(azurite, f"SharedAccessSignature={token}")
        on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=connection)

    use(token := sas(on_azure, letters))
    found = on_azure.has(check, "AuthorizationPermissionMismatch", missing)
    assert token not in repr(on_azure.results)
    assert "Storage Blob Data Contributor" in found.fix
    on_azure.restore = lambda letter: use(sas(on_azure, "".join(sorted({*letters, letter[-1]}, key="rwdlc".index))))
    on_azure.fix(found)
    on_azure.is_healthy()


def test_expired_sas(on_azure: Any, azurite: str) -> None:
    expired = emulators.azure_connection(azurite, f"SharedAccessSignature={sas(on_azure, 'rwdlc', -1)}")
    on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=expired)
    on_azure.is_fixed_by_its_word("connection.credentials", "the SAS token expired on", "a new token")


def test_google_permissions_are_named() -> None:
    """No Google emulator enforces rights; what the doctor says of a 403 comes from gcsfs's own error."""
    from gcsfs.retry import HttpError

    from include.xcom_doctor import probe
    from include.xcom_doctor.clouds import GCP

    refused = HttpError(
        {"code": 403, "message": "sa@x.iam.gserviceaccount.com does not have storage.objects.create access"}
    )
    assert probe.diagnose(refused).kind == "permission"
    assert set(GCP.permissions) == {"write", "read", "list", "overwrite", "delete"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written(on_folder: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o500)
    on_folder.has("rights.write", "PermissionError", "write permission (w) on the folder")
    (tmp_path / "store").chmod(0o700)
    on_folder.is_healthy()


def test_public_bucket_is_a_warning(on_s3: Any) -> None:
    on_s3.s3.delete_public_access_block(Bucket=on_s3.bucket)
    on_s3.s3.put_bucket_acl(Bucket=on_s3.bucket, ACL="public-read")
    on_s3.has("store.public", "everyone may read it by its ACL", "put-public-access-block", state="warning")


def test_public_container_is_a_warning(on_azure: Any) -> None:
    container = on_azure.service.get_container_client(on_azure.bucket)
    container.set_container_access_policy(signed_identifiers={}, public_access="blob")
    on_azure.has("store.public", "everyone may read", "--public-access off", state="warning")
    container.set_container_access_policy(signed_identifiers={}, public_access=None)
    on_azure.is_healthy()
    assert on_azure.of("warning") == {}


def test_bucket_without_encryption_is_a_warning(on_s3: Any) -> None:
    on_s3.s3.delete_bucket_encryption(Bucket=on_s3.bucket)
    on_s3.has("store.encryption", "no default encryption", "put-bucket-encryption", state="warning")


def test_bucket_without_lifecycle_is_a_warning(on_s3: Any) -> None:
    on_s3.s3.delete_bucket_lifecycle(Bucket=on_s3.bucket)
    on_s3.fix(on_s3.has("store.lifecycle", "no lifecycle rule", "lifecycle rule", state="warning"))
    on_s3.is_healthy()
    assert on_s3.of("warning") == {}


def test_bucket_that_may_not_be_asked_is_no_warning(on_s3: Any, identity: Any) -> None:
    on_s3.s3.delete_bucket_lifecycle(Bucket=on_s3.bucket)
    on_s3.set(**{CONN: identity(on_s3.bucket)}).is_healthy()
    assert "store.lifecycle" in on_s3.of("skipped")


def test_secrets_of_an_error_are_masked(on_azure: Any, azurite: str) -> None:
    """Azure echoes the string to sign and the signature back in its errors."""
    token = sas(on_azure, "rwdlc", -1)
    on_azure.set(AIRFLOW_CONN_MY_AZURE_CONN=emulators.azure_connection(azurite, f"SharedAccessSignature={token}"))
    on_azure.examine()
    text = json.dumps([result.as_dict() for result in on_azure.results])
    assert token not in text
    assert token.partition("sig=")[2] not in text
    assert on_azure.settings[PATH] in text
