"""Stands for what the Astro CLI asks its vendor for: the table of Runtimes, constraints, freeze files, a package index.

It is an HTTPS proxy on loopback. What the CLI and uv ask of the vendor's hosts ends here, under certificates of an
authority that only this test trusts; all else passes through unread, such as the downloads from the real package index.
"""

from __future__ import annotations

import http.server
import json
import platform
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import certifi
import trustme
from pip._internal.models.index import PyPI

DOMAIN = ".astronomer.io"
PYTHON = ".".join(platform.python_version_tuple()[:2])


@dataclass
class Vendor:
    """The stand-in: what it offers, and what was asked of it.

    :param runtimes: the version of Airflow in each version of Runtime 3
    :param lock: what ``pip freeze`` would say in the image, as requirement lines
    """

    runtimes: dict[str, str]
    lock: str
    asked: list[str] = field(default_factory=list)

    def reply(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a path of one of the vendor's hosts."""
        self.asked.append(path)
        first, _, rest = path.lstrip("/").partition("/")
        if first == "astronomer-runtime":
            return 200, {"Content-Type": "application/json"}, json.dumps(self.table_of_runtimes()).encode()
        if first in ("runtime-constraints", "runtime-freeze"):
            return 200, {"Content-Type": "text/plain"}, self.lock.encode()
        if first == "v2" and rest.strip("/"):  # the package index: the same pages, from the index that pip knows
            return 302, {"Location": f"{PyPI.simple_url.rstrip('/')}/{rest.strip('/')}/"}, b""
        return 404, {}, b""

    def table_of_runtimes(self) -> dict[str, object]:
        """Return the table from which the CLI takes the newest Runtime, and the Python of one."""
        metadata = {"channel": "stable", "releaseDate": "2026-01-01", "defaultPythonVersion": PYTHON}
        rows = {
            runtime: {"metadata": {**metadata, "airflowVersion": airflow}, "migrations": {"airflowDatabase": True}}
            for runtime, airflow in self.runtimes.items()
        }
        return {"runtimeVersions": {}, "runtimeVersionsV3": rows}


@contextmanager
def running(vendor: Vendor, folder: Path) -> Iterator[dict[str, str]]:
    """Run the stand-in until the caller is done, and yield the environment in which programs go through it.

    :param folder: for the certificates
    """
    authority = trustme.CA()
    trusted = folder / "trusted.pem"
    trusted.write_bytes(Path(certifi.where()).read_bytes() + system_certificates() + authority.cert_pem.bytes())
    with Proxy(("127.0.0.1", 0), make_handler(vendor, authority)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{proxy.server_address[1]}"
        yield {"HTTPS_PROXY": url, "NO_PROXY": "localhost,127.0.0.1", "SSL_CERT_FILE": str(trusted)}
        proxy.shutdown()
        thread.join()


def system_certificates() -> bytes:
    """Return the certificates that this machine trusts: company proxies have their own."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy with a thread for each connection, none of which keeps the test alive."""

    daemon_threads = True
    allow_reuse_address = True


def make_handler(vendor: Vendor, authority: trustme.CA) -> type[socketserver.BaseRequestHandler]:
    """Return the handler of the proxy's connections."""

    class Request(http.server.BaseHTTPRequestHandler):
        """A request to one of the vendor's hosts, after the TLS that ended here."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = vendor.reply(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: what was asked is in ``vendor.asked``."""

    class Connect(socketserver.StreamRequestHandler):
        """A ``CONNECT host:port``: to the vendor it ends here, to all others it goes on."""

        def handle(self) -> None:
            host, _, port = self.rfile.readline().split()[1].decode().rpartition(":")
            while self.rfile.readline().strip():
                pass
            if host.endswith(DOMAIN):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                self.answer(host)
                return
            with socket.create_connection((host, int(port)), timeout=60) as upstream:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                pass_on(self.connection, upstream)

        def answer(self, host: str) -> None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert(host).configure_cert(context)
            with suppress(OSError), context.wrap_socket(self.connection, server_side=True) as tls:
                Request(tls, self.client_address, self.server)

    return Connect


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until either side closes."""
    peers = {one: other, other: one}
    with suppress(OSError):
        while True:
            for ready in select.select(list(peers), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                peers[ready].sendall(data)
