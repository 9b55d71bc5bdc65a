"""An S3 server on loopback that costs next to nothing, so that what is measured is the client.

It keeps objects in memory, really receives and gives back every byte, checks no signature, and counts requests. It
speaks what boto3 and s3fs ask for to put (in parts too), get, head, list and delete. `GET /-/counts` tells the counts.
For the class that writes to two clouds it also takes uploads as Google Cloud Storage does.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections import Counter
from urllib.parse import parse_qs, quote, unquote

objects: dict[str, bytes | bytearray] = {}
parts: dict[str, dict[int, bytes | bytearray]] = {}
counts: Counter[str] = Counter()
MODIFIED = "<LastModified>2024-01-01T00:00:00.000Z</LastModified>"


def answer(method: str, key: str, query: dict[str, str], body: bytearray, span: str) -> tuple[int, str, bytes]:
    """Return status, extra headers and body of the response to one request."""
    upload = query.get("uploadId", "")
    if method == "PUT":
        if upload:
            parts[upload][int(query["partNumber"])] = body
        else:
            objects[key] = body
        counts["bytes"] += len(body)
        return 200, f'ETag: "{len(body):032x}"\r\n', b""
    if method == "POST" and "uploads" in query:
        upload = f"upload{counts['POST']}"
        parts[upload] = {}
        xml = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return 200, "", xml.encode()
    if method == "POST" and upload:
        pieces = parts.pop(upload)
        objects[key] = b"".join(pieces[number] for number in sorted(pieces))
        return 200, "", b"<CompleteMultipartUploadResult><ETag>done</ETag></CompleteMultipartUploadResult>"
    if method == "POST":
        for name in re.findall(rb"<Key>(.*?)</Key>", body):
            objects.pop(f"{key.split('/')[0]}/{name.decode()}", None)
        return 200, "", b"<DeleteResult></DeleteResult>"
    if method == "DELETE":
        objects.pop(key, None)
        parts.pop(upload, None)
        return 204, "", b""
    if key == "-/counts":
        return 200, "", json.dumps(counts).encode()
    if "/" not in key or key.endswith("/"):
        counts["list"] += 1
        return 200, "", page(key.rstrip("/"), query).encode()
    if key not in objects:
        return 404, "", b"" if method == "HEAD" else b"<Error><Code>NoSuchKey</Code></Error>"
    content = memoryview(objects[key])
    headers = 'ETag: "0"\r\n'
    if part := re.fullmatch(r"bytes=(\d+)-(\d*)", span):
        first, last = int(part[1]), min(int(part[2] or len(content)), len(content) - 1)
        headers += f"Content-Range: bytes {first}-{last}/{len(content)}\r\n"
        return 206, headers, content[first : last + 1]  # type: ignore[return-value]
    return 200, headers, content  # type: ignore[return-value]


def page(bucket: str, query: dict[str, str]) -> str:
    """Return the next page of a listing, in the order of the keys."""
    prefix, after = f"{bucket}/{query.get('prefix', '')}", f"{bucket}/{query.get('continuation-token', '')}"
    found = sorted(name for name in list(objects) if name.startswith(prefix) and name > after)
    names = found[: int(query.get("max-keys", 1000))]
    keys = [(name.partition("/")[2], len(objects[name])) for name in names]
    items = "".join(f"<Contents><Key>{key}</Key><Size>{size}</Size>{MODIFIED}</Contents>" for key, size in keys)
    more = f"<NextContinuationToken>{keys[-1][0]}</NextContinuationToken>" if len(found) > len(names) else ""
    cut = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}"
    return f"<ListBucketResult><KeyCount>{len(keys)}</KeyCount>{cut}{items}</ListBucketResult>"


def answer_as_google(
    method: str, path: str, query: dict[str, str], body: bytearray, host: str
) -> tuple[int, str, bytes]:
    """Return status, extra headers and body of the response to a request about an object, or to an upload."""
    if not path.startswith("upload/"):
        return (200 if "gs/" + path.rpartition("/o/")[2] in objects else 404), "", b"{}"
    if query.get("uploadType") == "resumable" and method == "POST":
        name = json.loads(body)["name"]
        return 200, f"Location: http://{host}/{path}?uploadType=resumable&name={quote(name, safe='')}\r\n", b"{}"
    content, name = bytes(body), query.get("name", "")
    if query["uploadType"] == "multipart":
        boundary, _, rest = content.partition(b"\r\n")
        about, _, rest = rest.partition(b"\r\n" + boundary)
        name = json.loads(about.partition(b"\r\n\r\n")[2])["name"]
        content = rest.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n" + boundary + b"--")
    import google_crc32c  # only the benchmark that writes to two clouds has it

    objects["gs/" + name] = content
    checksum = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
    return 200, "", json.dumps({"name": name, "size": str(len(content)), "crc32c": checksum}).encode()


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection until the client closes it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb", buffering=2**16)
    new = True
    while line := stream.readline().decode():
        method, target, _ = line.split()
        headers = dict(field.decode().strip().lower().split(": ", 1) for field in iter(stream.readline, b"\r\n"))
        if headers.get("expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, got = bytearray(int(headers.get("content-length", 0))), 0
        while got < len(body):
            got += stream.readinto(memoryview(body)[got:])  # type: ignore[attr-defined]
        path, _, query = target.partition("?")
        if target != "/-/counts":
            counts[method] += 1
            counts["connections"] += new
            new = False
        fields = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        if "storage/v1/" in path:
            status, extra, content = answer_as_google(method, unquote(path[1:]), fields, body, headers["host"])
        else:
            status, extra, content = answer(method, unquote(path[1:]), fields, body, headers.get("range", ""))
        head = f"HTTP/1.1 {status} .\r\nLast-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\n{extra}"
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode())
        if method != "HEAD":
            connection.sendall(content)
        counts["given"] += len(content) if method == "GET" and target != "/-/counts" else 0
    connection.close()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
