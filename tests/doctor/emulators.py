"""Connections to the emulators of the emitted project, and stores that misbehave: silent, gone, or broken halfway."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from object_stores import AZURITE_ACCOUNT, AZURITE_KEY


def aws_connection(endpoint: str, login: str = "emulator-id", password: str = "emulator-secret", **extra: Any) -> str:  # noqa: S107
    settings = {"endpoint_url": endpoint, "region_name": "us-east-1"} | extra
    return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": settings})


def gcp_connection(endpoint: str) -> str:
    extra = {"project": "test", "is_anonymous": True, "gcs.endpoint": endpoint}
    return json.dumps({"conn_type": "google_cloud_platform", "extra": extra})


def azure_connection(endpoint: str, credential: str = f"AccountKey={AZURITE_KEY}") -> str:
    text = f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};{credential};BlobEndpoint={endpoint};"
    extra = {"connection_string": text}
    return json.dumps({"conn_type": "wasb", "extra": extra})


def make_gcs_bucket(endpoint: str, name: str) -> None:
    post(f"{endpoint}/storage/v1/b?project=test", json.dumps({"name": name}).encode(), "application/json")


def post(url: str, body: bytes, content_type: str) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})  # noqa: S310
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


@contextmanager
def silent_port() -> Iterator[str]:
    """A store that takes the connection and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """A port that swallows packets: its queue is full, so that Linux drops every further SYN."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        for filler in fillers:
            filler.close()


class Breaking(ThreadingHTTPServer):
    """A proxy before a store, which breaks after the first object has been written."""

    daemon_threads = True

    def __init__(self, target: str, how: str) -> None:
        """Forward to `target`; `how` is stop or hang, or slow, which never breaks."""
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target, self.how, self.broken = target, how, False

    @property
    def url(self) -> str:
        """Return the address of the proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Forward(BaseHTTPRequestHandler):
    server: Breaking
    protocol_version = "HTTP/1.1"  # botocore waits for "100 Continue" before it sends an object

    def forward(self) -> None:
        """Pass one request on, unless broken."""
        if self.server.how == "slow":
            time.sleep(0.3)
        if self.server.broken:
            if self.server.how == "hang":
                time.sleep(60)
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        onward = http.client.HTTPConnection(self.server.target.removeprefix("http://"))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        onward.request(self.command, self.path, body, headers)
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if self.command == "PUT":
            self.server.broken = self.server.how != "slow"

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - a name of the base class
        """Say nothing."""


@contextmanager
def breaking(target: str, how: str) -> Iterator[Breaking]:
    server = Breaking(target, how)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
