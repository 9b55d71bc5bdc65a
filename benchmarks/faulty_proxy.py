"""A proxy before an object store that refuses uploads, or makes them slow."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
DENIED = b"<Error><Code>AccessDenied</Code></Error>"
NOT_PASSED_ON = ("connection", "transfer-encoding")


@contextmanager
def proxy(upstream: str, fault: str) -> Iterator[str]:
    """Yield the endpoint of a proxy whose uploads take 300 ms more (fault "slow") or are refused ("403")."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command in ("PUT", "POST"):
                if fault == "403":
                    self.answer(403, [], DENIED)
                    return
                time.sleep(0.3)
            with closing(http.client.HTTPConnection(upstream.removeprefix("http://"))) as store:
                store.request(self.command, self.path, body, dict(self.headers))
                response = store.getresponse()
                self.answer(response.status, response.getheaders(), response.read())

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815

        def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Connection", "close")  # this ends a body of which no header tells the length
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Do not tell each request."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Stay calm: a task that has ended resets its connections."""

    with Server((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
