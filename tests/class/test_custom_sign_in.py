"""What signs in: each way that an emulator knows, by obstore's own means, by the hook's credentials, or by fsspec."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from custom_xcom import Configure, connection_variable, pull, purge, push, store_of

from include.xcom_backend.reference import XComBackendError

Change = Callable[..., Any]


@pytest.fixture
def connect(cloud: str, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Return a function that changes the connection, passes a value there and back, and returns the store."""
    variable = connection_variable(cloud)
    given = json.loads(os.environ[variable])

    def change(extra: dict[str, Any], **fields: Any) -> Any:
        fields["extra"] = {name: value for name, value in (given["extra"] | extra).items() if value is not None}
        monkeypatch.setenv(variable, json.dumps(given | fields))
        configure(path=cloud, purge_failures="raise")
        row = push(["value"])
        assert pull(row) == ["value"]
        purge(row)
        return store_of(cloud)

    return change


def kind(store: Any) -> str:
    """Return what the bytes go through."""
    return type(store).__name__


def only(scheme: str, cloud: str) -> None:
    """Skip a test of another cloud."""
    if not cloud.startswith(f"{scheme}:"):
        pytest.skip(f"a way to sign in of {scheme}")


NO_KEYS: dict[str, Any] = {"login": None, "password": None}


def test_s3_keys_in_extra_and_from_the_environment(
    cloud: str, connect: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("s3", cloud)
    keys = {"aws_access_key_id": "extra", "aws_secret_access_key": "s", "aws_session_token": "t"}
    store = connect(keys, **NO_KEYS)
    found = store._options["credential_provider"]()
    assert (kind(store), found["access_key_id"], found["token"]) == ("BucketStore", "extra", "t")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert connect({}, **NO_KEYS)._options["credential_provider"]()["access_key_id"] == "environment"
    assert connect({})._options["credential_provider"]()["access_key_id"] == "test"  # the connection comes first


def test_s3_role_and_profile_take_the_credentials_of_the_hook(
    cloud: str, connect: Change, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only("s3", cloud)
    endpoint = json.loads(os.environ[connection_variable(cloud)])["extra"]["endpoint_url"]
    role = {"role_arn": "arn:aws:iam::123456789012:role/xcom", "service_config": {"sts": {"endpoint_url": endpoint}}}
    store = connect(role)
    found = store._options["credential_provider"]()
    assert kind(store) == "BucketStore"
    assert found["access_key_id"].startswith("ASIA")  # temporary, from STS
    assert found["token"]
    assert found["expires_at"] < datetime.now(timezone.utc) + timedelta(hours=1)

    (tmp_path / "credentials").write_text("[xcom]\naws_access_key_id = profile\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    store = connect({"profile_name": "xcom"}, **NO_KEYS)
    assert store._options["credential_provider"]()["access_key_id"] == "profile"


def test_s3_options_are_kept_or_fsspec_takes_over(cloud: str, connect: Change) -> None:
    only("s3", cloud)
    assert connect({"config_kwargs": {"s3": {"addressing_style": "path"}}})._options["endpoint"].startswith("http")
    assert connect({"verify": False})._options["client_options"]["allow_invalid_certificates"] is True
    with pytest.raises(XComBackendError):  # the proxy is asked, and there is none
        connect({"config_kwargs": {"proxies": {"http": "http://127.0.0.1:9"}}})
    assert kind(connect({"config_kwargs": {"s3": {"us_east_1_regional_endpoint": "regional"}}})) == "FsspecStore"


def test_service_account_as_dict_as_text_and_in_a_file(cloud: str, connect: Change, tmp_path: Path) -> None:
    only("gs", cloud)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    forms = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = rsa.generate_private_key(65537, 2048).private_bytes(*forms).decode()
    key = {"type": "service_account", "client_email": "xcom@test.iam.gserviceaccount.com", "private_key": private}
    key |= {"private_key_id": "1", "project_id": "test", "token_uri": "https://oauth2.googleapis.com/token"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    for extra in ({"keyfile_dict": key}, {"keyfile_dict": json.dumps(key)}, {"key_path": f"{tmp_path}/key.json"}):
        store = connect({"is_anonymous": None} | extra)
        assert "service_account_key" in store._options
    prefixed = {f"extra__google_cloud_platform__{name}": value for name, value in extra.items()}
    assert "service_account_key" in connect({"is_anonymous": None} | prefixed)._options


def test_gcs_options_that_obstore_has_not_go_through_fsspec(cloud: str, connect: Change) -> None:
    only("gs", cloud)
    assert kind(connect({"gcs.cache-timeout": 1})) == "FsspecStore"


def test_shared_access_signature_of_a_container(cloud: str, connect: Change) -> None:
    only("abfs", cloud)
    from azure.storage.blob import generate_container_sas

    text = json.loads(os.environ[connection_variable(cloud)])["extra"]["connection_string"]
    parts = dict(part.split("=", 1) for part in text.strip(";").split(";"))
    end = datetime.now(timezone.utc) + timedelta(hours=1)
    account, container = parts["AccountName"], store_of(cloud).base.bucket
    sas = generate_container_sas(account, container, parts["AccountKey"], permission="rwdl", expiry=end)
    store = connect({"connection_string": f"BlobEndpoint={parts['BlobEndpoint']};SharedAccessSignature={sas}"})
    assert "sas_token" in store._options["credential_provider"]()


def test_other_parts_of_a_connection_string_go_through_fsspec(cloud: str, connect: Change) -> None:
    only("abfs", cloud)
    text = json.loads(os.environ[connection_variable(cloud)])["extra"]["connection_string"]
    secondary = text.rpartition("BlobEndpoint=")[2].strip(";") + "-secondary"
    assert kind(connect({"connection_string": f"{text}BlobSecondaryEndpoint={secondary};"})) == "FsspecStore"
