"""What the tests of include/xcom_backend share: settings they can change, stores to run on, pushes and pulls.

A test that asks for ``base`` runs once on a folder, once on this project's own store and once on its mirror; one that
asks for ``cloud`` runs only on those of them that are no folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from conftest import MIRROR, PATH, PROJECT

COORDINATES = {"key": "return_value", "task_id": "task", "dag_id": "dag", "run_id": "manual__2026-01-01T00:00:00+00:00"}
FOLDER = "folder"
PROVIDER_SETTINGS = {"path", "threshold", "compression"}

Configure = Callable[..., Any]


def clouds() -> dict[str, str]:
    """Return the object storage paths of this project's store and mirror by scheme, as far as they are no folders."""
    paths = [os.environ.get(variable) or "" for variable in (PATH, MIRROR)]
    return {urlsplit(path).scheme: path for path in reversed(paths) if path and not path.startswith("file:")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every store that is here."""
    found = clouds()
    if "base" in metafunc.fixturenames:
        metafunc.parametrize("base", [FOLDER, *found.values()], ids=[FOLDER, *found], indirect=True)
    if "cloud" in metafunc.fixturenames:
        nothing = pytest.param(FOLDER, marks=pytest.mark.skip(reason="the store is a folder here"), id=FOLDER)
        params = [pytest.param(url, id=scheme) for scheme, url in found.items()] or [nothing]
        metafunc.parametrize("cloud", params, indirect=True)
    if "pair" in metafunc.fixturenames:
        pairs = {f"{scheme}-{FOLDER}": (url, FOLDER) for scheme, url in found.items()}
        if len(found) == 2:
            first, second = found.values()
            pairs["-".join(found)] = (first, second)
        metafunc.parametrize("pair", [(FOLDER, FOLDER), *pairs.values()], ids=[FOLDER, *pairs], indirect=True)


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Configure]:
    """Return a function that changes settings: ``configure(threshold=0, mirror="...")``.

    Nothing of `.env` counts: the store is a fresh folder, the threshold 0, all else is as the class has it.
    """
    from include.xcom_backend import codecs, settings, stores

    for name in [name for name in os.environ if name.startswith("AIRFLOW__XCOM_BACKEND__")]:
        monkeypatch.delenv(name)

    def forget() -> None:
        for cached in (settings.settings, codecs.registry, stores.open_store):
            cached.cache_clear()

    def change(**values: object) -> Any:
        for name, value in values.items():
            option = f"common_io__xcom_objectstorage_{name}" if name in PROVIDER_SETTINGS else f"xcom_backend__{name}"
            monkeypatch.setenv(f"AIRFLOW__{option}".upper(), str(value))
        forget()
        return settings.settings()

    change(path=f"file://{tmp_path}/xcom", threshold=0, compression="", retry_deadline=5)
    yield change
    forget()


def fresh(url: str, tmp_path: Path) -> str:
    """Return an empty base path in a store."""
    return f"{f'file://{tmp_path}' if url == FOLDER else url}/{uuid4().hex[:8]}"


@pytest.fixture
def base(request: pytest.FixtureRequest, tmp_path: Path, configure: Configure) -> str:
    """Return the empty base path of a store, after it was configured."""
    path = fresh(request.param, tmp_path)
    configure(path=path)
    return path


@pytest.fixture
def cloud(request: pytest.FixtureRequest, tmp_path: Path, configure: Configure) -> str:
    """Return the empty base path of a store that is no folder, after it was configured."""
    path = fresh(request.param, tmp_path)
    configure(path=path)
    return path


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path, configure: Configure) -> tuple[str, str]:
    """Return the empty base paths of a primary and a mirror, after both were configured."""
    first, second = (fresh(url, tmp_path) for url in request.param)
    configure(path=first, mirror=second)
    return first, second


def push(value: Any, **coordinates: Any) -> Any:
    """Push as Airflow does and return what the database would hold, after the way through JSON."""
    from include.xcom_backend import XComBackend

    stored = XComBackend.serialize_value(value, **(COORDINATES | {"map_index": -1} | coordinates))
    return stored if isinstance(stored, bytes) else json.loads(json.dumps(stored, allow_nan=False))


def pull(row: Any) -> Any:
    """Pull as Airflow does."""
    from include.xcom_backend import XComBackend

    return XComBackend.deserialize_value(SimpleNamespace(value=row))


def purge(row: Any, **coordinates: Any) -> None:
    """Purge a row, as Airflow 2 does with its own coordinates and Airflow 3 inside ``delete``."""
    from include.xcom_backend.backend import purge_rows
    from include.xcom_backend.compat import from_row
    from include.xcom_backend.reference import Coordinates

    purge_rows([(from_row(row), Coordinates(**(COORDINATES | {"map_index": -1} | coordinates)))])


def reference(row: Any) -> dict[str, Any]:
    """Return the reference that a row holds; on Airflow 2 a row is bytes."""
    parsed = json.loads(row) if isinstance(row, bytes) else row
    assert parsed["kind"] == "reference", parsed
    return dict(parsed)


def encoded(row: Any) -> Any:
    """Return a row as this Airflow stores it."""
    from include.xcom_backend.compat import to_row

    return to_row(row)


def store_of(path: str) -> Any:
    """Return the store behind a base path."""
    from include.xcom_backend.reference import Location
    from include.xcom_backend.stores import open_store

    return open_store(Location.parse(path))


def objects(path: str) -> list[str]:
    """Return the keys of all objects under a base path."""
    return sorted(item.key for item in store_of(path).list())


def connection_variable(path: str) -> str:
    """Return the environment variable that holds the connection of an object storage path."""
    return f"AIRFLOW_CONN_{urlsplit(path).username}".upper()


def run_python(script: str) -> str:
    """Run Python in a fresh process with this test's settings and return what it prints.

    :raises subprocess.CalledProcessError: if it fails
    """
    command = [sys.executable, "-W", "ignore", "-c", script]
    result = subprocess.run(command, cwd=PROJECT, check=True, timeout=120, capture_output=True, text=True)
    return result.stdout.strip()


class Relay:
    """Stands in front of an HTTP server: counts what passes, and cuts requests and answers where a test says so."""

    def __init__(self, port: int) -> None:
        """Start to listen."""
        self.lines: list[str] = []
        self.given = self.taken = 0  # bytes of all answers, and of all requests
        self.cuts: list[int] = []  # bytes after which the next answers end
        self.breaks: list[int] = []  # bytes after which the next requests end
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pump, args=(client, upstream, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(upstream, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        given = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                given += len(data)
                self.given += 0 if asks else len(data)
                self.taken += len(data) if asks else 0
                ends = self.breaks if asks else self.cuts
                if ends and given > ends[0]:
                    ends.pop(0)
                    break
                if asks:
                    words = data.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                    if len(words) == 3 and words[2].startswith("HTTP/"):
                        self.lines.append(" ".join(words[:2]))
                target.sendall(data)
        for end in (source, target):  # close() alone says nothing to a peer while the other thread still reads
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        target.close()

    def take(self) -> list[str]:
        """Return the requests since the last time."""
        lines, self.lines = self.lines, []
        return lines

    def close(self) -> None:
        """Stop to listen."""
        self._server.close()


def port_of(connection: str) -> int:
    """Return the port of the emulator that a connection leads to."""
    found = re.search(r"127\.0\.0\.1:(\d+)", connection)
    assert found
    return int(found[1])


@pytest.fixture
def relay(cloud: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """What the connection leads to, in front of the store."""
    variable = connection_variable(cloud)
    port = port_of(os.environ[variable])
    relay = Relay(port)
    monkeypatch.setenv(variable, os.environ[variable].replace(f"127.0.0.1:{port}", f"127.0.0.1:{relay.port}"))
    yield relay
    relay.close()
