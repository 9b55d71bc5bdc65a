"""The servers of a cluster: PostgreSQL for the metadata, Redis for Celery, and an emulator of the project's store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tools.debian import program
from tools.network import Network, Place
from tools.processes import Process, free_port, listens

SECONDS = 120  # that a server may take to start, on a busy machine
STORE = Path(__file__).with_name("probes") / "serve_store.py"


class PostgreSQL:
    """A PostgreSQL server with an empty database `airflow`."""

    def __init__(self, folder: Path, network: Network):
        """Make its files in a folder, and start it."""
        initdb = program("initdb", "postgresql")
        self._psql = str(program("psql", "postgresql-client"))
        self.address, self.port = network.servers.address, free_port()
        folder.mkdir()
        # PostgreSQL refuses to run as root: then it runs as the user that its package made.
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        make = [str(initdb), f"--pgdata={data}", "--auth=trust", "--username=airflow", "--encoding=UTF8", "--no-sync"]
        subprocess.run([*user, *make], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network.range} trust\n")
        log = folder / "log"
        log.touch()
        command = [*network.servers.enter, *user, str(initdb.with_name("postgres")), "-D", str(data)]
        options = {
            "listen_addresses": self.address,
            "port": self.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": 200,
        }
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self.process = Process("PostgreSQL", command, folder, os.environ, log)
        self.process.end_signal = signal.SIGINT  # SIGTERM would wait for every client to leave
        self.process.wait_for(lambda: listens(self.address, self.port), SECONDS)
        self.process.wait_for(lambda: self._run("postgres", "CREATE DATABASE airflow").returncode == 0, SECONDS)
        self.url = f"postgresql+psycopg2://airflow@{self.address}:{self.port}/airflow"

    def query(self, query: str, **values: str) -> list[list[str]]:
        """Return the rows of a query to the database `airflow`, each value as text.

        :param values: what stands for ``:'name'`` in the query
        :raises RuntimeError: with PostgreSQL's words, if it fails
        """
        done = self._run("airflow", query, **values)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def _run(self, database: str, query: str, **values: str) -> subprocess.CompletedProcess[str]:
        where = [f"--host={self.address}", f"--port={self.port}", "--username=airflow", f"--dbname={database}"]
        shape = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t"]
        given = {"ON_ERROR_STOP": "1", **values}
        command = [self._psql, *where, *shape, *(f"--set={name}={value}" for name, value in given.items())]
        return subprocess.run(command, input=query, capture_output=True, text=True)


class Redis:
    """A Redis server that keeps all in memory."""

    def __init__(self, folder: Path, place: Place):
        """Start it."""
        folder.mkdir()
        port = free_port()
        command = [*place.enter, str(program("redis-server", "redis-server")), "--bind", place.address]
        command += ["--port", str(port), "--save", "", "--appendonly", "no", "--protected-mode", "no"]
        self.process = Process("Redis", command, folder, os.environ, folder / "log")
        self.process.wait_for(lambda: listens(place.address, port), SECONDS)
        self.url = f"redis://{place.address}:{port}/0"


class Store:
    """The emulator with which the project tests itself, in a process of its own."""

    def __init__(self, folder: Path, place: Place, python: Path, project: Path, path: str):
        """Start it for an object storage path such as ``s3://my_aws_conn@my-xcom-bucket/xcom``."""
        folder.mkdir()
        answer = folder / "store.json"
        environment = {**os.environ, "PYTHONPATH": str(project / "tests"), "TMPDIR": str(folder)}
        command = [*place.enter, str(python), str(STORE), path, place.address, str(answer)]
        self.process = Process("The object store", command, folder, environment, folder / "log")
        self.process.wait_for(answer.exists, SECONDS)
        described = json.loads(answer.read_text())
        self.name, self.path, self.connection = described["name"], described["path"], described["connection"]
