"""A proxy on loopback before a store or the API server that hurts what goes through it, when and as it is told."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
LONGEST_HOLD = 600.0  # seconds; after that a held request goes on, whatever happened to the test
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close() sends RST


@dataclass
class Fault:
    """What happens to requests, until the proxy is told otherwise.

    :param kind: ``status``, ``reset``, ``cut`` (half the body, then the end of the connection), ``short`` (half the
        body with a matching length), ``slow``, ``drip`` (a byte a second), ``silent`` (no answer ever), ``late`` (the
        store sees it ``seconds`` later), ``hold`` (before the store sees it) or ``hold-answer`` (after its answer)
    :param methods: only of these; empty for all
    :param path: only where this is in the path
    :param times: for so many requests, then no more
    """

    kind: str
    methods: tuple[str, ...] = ()
    path: str = ""
    times: float = float("inf")
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 0.0
    seen: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def applies(self, method: str, path: str) -> bool:
        """Whether this request is to be hurt; counts it."""
        with self._lock:
            hit = self.times > 0 and (not self.methods or method in self.methods) and self.path in path
            self.times -= hit
        if hit:
            self.seen.set()
        return hit


class Proxy:
    """Listens, and passes on to ``upstream`` what no fault stops."""

    def __init__(self, upstream: str) -> None:
        """Remember where requests go; ``start`` opens the port."""
        self.upstream = upstream
        self.fault: Fault | None = None
        self.closing = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self.port}{urlsplit(self.upstream).path}"

    def start(self) -> None:
        """Listen, on the same port as before."""

        class Handler(_Handler):
            proxy = self

        self._server = _Server((HOST, self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        """End for good, with all that still waits."""
        self.closing.set()
        if self.fault:
            self.fault.go_on.set()
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """Stay calm: clients that were hurt, or killed, go away in the middle."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault
        if fault and not fault.applies(self.command, self.path):
            fault = None
        kind = fault.kind if fault else ""
        if fault and kind == "status":
            error = f"<Error><Code>{fault.code}</Code><Message>{fault.code} on purpose</Message></Error>".encode()
            self.answer(fault.status, [("Content-Type", "application/xml")], error)
            return
        if kind == "reset":
            self.reset()
            return
        if kind == "silent":
            self.proxy.closing.wait(LONGEST_HOLD)
            self.reset()
            return
        if fault and kind == "late":
            self.proxy.closing.wait(fault.seconds)
        if fault and kind == "hold":
            fault.go_on.wait(LONGEST_HOLD)
        upstream = urlsplit(self.proxy.upstream)
        with closing(http.client.HTTPConnection(str(upstream.hostname), upstream.port, timeout=LONGEST_HOLD)) as store:
            try:
                store.request(self.command, self.path, body, dict(self.headers))
                response = store.getresponse()
                status, headers, content = response.status, response.getheaders(), response.read()
            except OSError:
                self.reset()
                return
        if fault and kind == "hold-answer":
            fault.go_on.wait(LONGEST_HOLD)
        if self.command == "HEAD":
            self.answer(status, headers, b"", next((value for name, value in headers if name == "Content-Length"), "0"))
        elif kind == "cut":
            self.answer(status, headers, content[: len(content) // 2], str(len(content)))
        elif kind == "short":
            self.answer(status, headers, content[: len(content) // 2])
        elif kind == "drip":
            self.answer(status, headers, content, pieces=len(content), pause=1.0)
        elif fault and kind == "slow":
            self.answer(status, headers, content, pieces=20, pause=fault.seconds / 20)
        else:
            self.answer(status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = pass_on  # noqa: N815

    def answer(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        length: str = "",
        pieces: int = 1,
        pause: float = 0.0,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        size = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), size):
            if self.proxy.closing.wait(pause):
                break
            self.wfile.write(body[start : start + size])
        if pause and not body:
            time.sleep(pause * pieces)

    def reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Do not tell each request."""


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy until the caller is done with it."""
    running = Proxy(upstream)
    running.start()
    try:
        yield running
    finally:
        running.close()
