"""Azure Blob Storage with rights that count: Azurite, and a SAS of one container with exactly the letters of infra/."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, generate_container_sas
from recorder import Call, Recorder, recording

SCHEME = "abfs"
CONNECTION_ID = "my_azure_conn"
LARGE = {"provider": 101 * 2**20, "custom": 101 * 2**20}  # in several blocks
BROKEN = None  # Azure itself drops the blocks of an upload that was not completed: nobody has to end it


class Store:
    """One container on Azurite, and a SAS whose letters can be changed."""

    def __init__(self, project: Path, upstream: str, recorder: Recorder) -> None:
        """Make the container and another one."""
        import object_stores

        self.account, self.key = object_stores.AZURITE_ACCOUNT, object_stores.AZURITE_KEY
        self.letters: str = json.loads((project / "infra" / "rights.json").read_text())["sas"]
        answer = re.search(r'^container\s*=\s*"([^"]+)"', (project / "infra" / "terraform.tfvars").read_text(), re.M)
        assert answer
        self.bucket, self.recorder, self.upstream = answer[1], recorder, upstream
        account = f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key}"
        self.service = BlobServiceClient.from_connection_string(
            f"{account};BlobEndpoint={upstream}/{self.account};", api_version="2025-05-05"
        )
        for name in (self.bucket, "another-container"):
            self.service.create_container(name)
        self.service.get_blob_client(self.bucket, "other/object").upload_blob(b"not for XComs")

    def connection_string(self, endpoint: str, without: str = "") -> str:
        """Return a connection string whose SAS has all letters of infra/ but one."""
        token = generate_container_sas(
            self.account,
            self.bucket,
            account_key=self.key,
            permission=self.letters.replace(without, "") if without else self.letters,
            expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2),
        )
        return f"BlobEndpoint={endpoint}/{self.account};SharedAccessSignature={token}"

    def rights(self) -> list[str]:
        """Return the letters of infra/."""
        return list(self.letters)

    def grant(self, without: str = "") -> str:
        """Return a connection with all letters of infra/ but one."""
        extra = {"connection_string": self.connection_string(self.recorder.endpoint, without)}
        return json.dumps({"conn_type": "wasb", "extra": extra})

    def objects(self) -> list[str]:
        """Return the name of each blob below the prefix."""
        return list(self.service.get_container_client(self.bucket).list_blob_names(name_starts_with="xcom/"))

    def elsewhere(self) -> dict[str, str]:
        """Try the SAS on another prefix and on another container, and return what came of each."""
        service = BlobServiceClient.from_connection_string(self.connection_string(self.upstream))
        inside, outside = (service.get_container_client(name) for name in (self.bucket, "another-container"))
        tries = {
            "read an object of another prefix": lambda: inside.get_blob_client("other/object").download_blob(),
            "write to another prefix": lambda: inside.upload_blob("other/new", b"x"),
            "delete an object of another prefix": lambda: inside.delete_blob("other/object"),
            "list the names of another prefix": lambda: list(inside.list_blob_names(name_starts_with="other/")),
            "list another container": lambda: list(outside.list_blob_names()),
            "write to another container": lambda: outside.upload_blob("xcom/new", b"x"),
            "create a container": lambda: service.create_container("a-third-container"),
        }
        return {what: outcome(attempt) for what, attempt in tries.items()}


def outcome(attempt: Any) -> str:
    """Return ``works``, or the code of the error."""
    try:
        attempt()
    except HttpResponseError as error:
        code = getattr(error, "error_code", None) or error.status_code
        return str(getattr(code, "value", code))
    return "works"


def operation(call: Call) -> str:
    """Return Azure's own name of a request."""
    on_container = call.query.get("restype") == "container"
    comp = call.query.get("comp", "")
    if comp in ("block", "blocklist", "list", "batch"):
        return {"block": "Put Block", "blocklist": "Put Block List", "list": "List Blobs", "batch": "Batch"}[comp]
    named = {
        ("GET", True): "Get Container Properties",
        ("HEAD", True): "Get Container Properties",
        ("PUT", True): "Create Container",
        ("GET", False): "Get Blob",
        ("HEAD", False): "Get Blob Properties",
        ("PUT", False): "Put Blob",
        ("DELETE", False): "Delete Blob",
    }
    return named[call.method, on_container]


@contextmanager
def started(project: Path) -> Iterator[Store]:
    """Start Azurite and the recorder before it."""
    import object_stores

    with object_stores.azure(CONNECTION_ID) as store:
        found = re.search(
            r"BlobEndpoint=(http://[^/]+)/", json.loads(store.connection or "")["extra"]["connection_string"]
        )
        assert found
        with recording(found[1]) as recorder:
            yield Store(project, found[1], recorder)
