"""A proxy before an object store that writes down each request with its answer, and can refuse some."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "expect")


@dataclass(frozen=True)
class Call:
    """One request: its method, its path without the query, the query's parameters, and the status of its answer."""

    method: str
    path: str
    query: dict[str, str]
    status: int = 0


@dataclass
class Recorder:
    """What went through the proxy, and what it refuses: a function gives status and body, or None to pass on."""

    endpoint: str = ""
    calls: list[Call] = field(default_factory=list)
    refuse: Callable[[Call], tuple[int, bytes] | None] = lambda _: None


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    """Start the proxy before a store, and yield what it records. ``Host`` stays as it is: signatures hold it."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            call = Call(self.command, url.path, query)
            body = self.read_body()
            refused = recorder.refuse(call)
            status, headers, content = (refused[0], [], refused[1]) if refused else self.ask(body)
            recorder.calls.append(Call(call.method, call.path, call.query, status))
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            with closing(http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=300)) as connection:
                connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = pass_on  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - a name of the base class
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        recorder.endpoint = f"http://{HOST}:{server.server_port}"
        try:
            yield recorder
        finally:
            server.shutdown()
