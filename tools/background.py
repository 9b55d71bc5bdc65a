"""Runs programs beside a test, such as a moto server with a bucket, and waits for what they do."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tools.baking import environment_of_a_project
from tools.processes import Process, free_port

# Seconds after which something that should have happened never will: machines are slow at times.
PATIENCE = 400
# The bucket of a bake for aws.
BUCKET = "my-xcom-bucket"


@contextmanager
def moto_server(programs: Path, folder: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Run a moto server, and yield its URL.

    :param programs: of an environment with moto
    :param folder: for its log
    :param address: where it listens
    """
    port = free_port(address)
    variables = environment_of_a_project(programs, folder)
    with running(folder / "moto.log", variables, programs / "moto_server", "-H", address, "-p", port):
        url = f"http://{address}:{port}"
        wait_for(lambda: answers(url), "moto", folder)
        yield url


@contextmanager
def bucket(programs: Path, folder: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Run a moto server with the bucket, and yield its URL; the parameters are those of ``moto_server``."""
    with moto_server(programs, folder, address) as url:
        requests.put(f"{url}/{BUCKET}", timeout=60).raise_for_status()
        yield url


def trigger(url: str, dag_id: str, logs: Path) -> str:
    """Run a Dag by the REST API of an Airflow without passwords, as soon as it knows the Dag, and return the run ID."""
    token = requests.get(f"{url}/auth/token", timeout=60).json()["access_token"]
    dag = f"{url}/api/v2/dags/{dag_id}"
    with requests.Session() as api:
        api.headers["Authorization"] = f"Bearer {token}"
        wait_for(lambda: api.get(dag, timeout=60).ok, f"the Dag {dag_id}", logs)
        api.patch(dag, json={"is_paused": False}, timeout=60).raise_for_status()
        reply = api.post(f"{dag}/dagRuns", json={"logical_date": None}, timeout=60)
        reply.raise_for_status()
        return str(reply.json()["dag_run_id"])


def rows_of(database: Path, query: str, *parameters: str) -> list[tuple[Any, ...]]:
    """Return what an SQLite database answers."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(query, parameters).fetchall()


def keys_in(store: str) -> set[str]:
    """Return the keys of all objects in the bucket of a moto server."""
    listing = requests.get(f"{store}/{BUCKET}?list-type=2", timeout=60).text
    return set(re.findall(r"<Key>([^<]+)</Key>", listing))


def answers(url: str) -> bool:
    """Whether something answers at a URL."""
    try:
        return requests.get(url, timeout=60).ok
    except requests.RequestException:
        return False


def wait_for(happened: Callable[[], bool], what: str, logs: Path | None = None) -> None:
    """Wait until something happened.

    :raises TimeoutError: with the ends of the logs, if it does not within ``PATIENCE``
    """
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            ends = [
                f"{log}:\n{log.read_text(errors='replace')[-3000:]}" for log in (logs.rglob("*log") if logs else [])
            ]
            raise TimeoutError(f"{what}: not within {PATIENCE} seconds\n" + "\n".join(ends))
        time.sleep(0.5)


@contextmanager
def running(log: Path, variables: Mapping[str, str], *command: object) -> Iterator[None]:
    """Run a program and what it starts until the caller is done with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = Process(log.stem, list(map(str, command)), log.parent, variables, log)
    try:
        yield
    finally:
        process.stop(60)
