"""Airflow's own API server with the explorer in it, XComs of every kind in its database and store, and its users."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from dotenv import dotenv_values

from tools.airflow import HOST, Airflow
from tools.baking import ROOT, bake, run
from tools.debian import program
from tools.environments import project_environment
from tools.network import Place, open_network
from tools.servers import PostgreSQL, Store

DAGS = Path(__file__).parent / "dags"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
COLUMNS = "dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp"
DAG, SECRET = "explorer_values", "explorer_secret"
PASSWORD = "correct horse battery staple"  # noqa: S105 - of these tests
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


class Site:
    """A deployment with an explorer: its users, and the XComs of one run of each Dag."""

    def __init__(self, airflow: Airflow, folder: Path, store: Store | None) -> None:
        """Take a deployment in which the Dags ran, and where its objects are: in the folder, or in the store."""
        self.airflow, self.folder, self.store = airflow, folder, store
        self.run_id: dict[str, str] = dict(airflow.query("SELECT dag_id, run_id FROM dag_run"))
        self._tokens: dict[str, str] = {}

    def password(self, user: str) -> str:
        """Return a user's password, which the simple auth manager chose itself."""
        file = self.airflow.folder / "home" / "simple_auth_manager_passwords.json.generated"
        return str(json.loads(file.read_text())[user]) if file.exists() else PASSWORD

    def token(self, user: str) -> str:
        """Return a token of a user, by the password that the auth manager knows."""
        if user not in self._tokens:
            password = self.password(user)
            said = requests.post(
                f"{self.airflow.url}/auth/token", json={"username": user, "password": password}, timeout=60
            )
            assert said.status_code == 201, said.text
            self._tokens[user] = said.json()["access_token"]
        return self._tokens[user]

    def get(
        self, path: str, user: str | None = "admin", *, stream: bool = False, **parameters: Any
    ) -> requests.Response:
        """Ask the explorer as a user does whose browser sends Airflow's cookie; without a user, without one."""
        cookies = {"_token": self.token(user)} if user else {}
        url = f"{self.airflow.url}/xcom_explorer/{path}"
        return requests.get(url, params=parameters, cookies=cookies, timeout=120, stream=stream)

    def where(self, task_id: str = "push", dag_id: str = DAG, map_index: int = -1) -> dict[str, Any]:
        """Return the query that names a task instance."""
        return {"dag_id": dag_id, "run_id": self.run_id[dag_id], "task_id": task_id, "map_index": map_index}

    def value(self, key: str, **where: Any) -> dict[str, Any]:
        """Return what the API tells of an XCom."""
        said = self.get("api/value", **self.where(**where), key=key)
        assert said.status_code == 200, said.text
        return dict(said.json())

    def write_row(self, key: str, change: Callable[[Any], Any], task_id: str = "push") -> None:
        """Alter the row of an XCom, as someone who may write XComs of this Dag could by the REST API."""
        which = "WHERE dag_id = ? AND task_id = ? AND key = ?"
        [(value,)] = self.airflow.query(f"SELECT value FROM xcom {which}", DAG, task_id, key)  # noqa: S608
        row = json.dumps(change(json.loads(value)))
        self.airflow.query(f"UPDATE xcom SET value = ? {which}", row, DAG, task_id, key)  # noqa: S608

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows to the table xcom of SQLite, each with the values of ``COLUMNS``."""
        query = f"INSERT OR REPLACE INTO xcom ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        with closing(sqlite3.connect(self.airflow.database, timeout=30)) as database, database:
            database.executemany(query, rows)

    def add_many(self) -> None:
        """Give the task ``many`` 1,000 XComs, each with the row of a DataFrame."""
        self.airflow.query("DELETE FROM xcom WHERE task_id = 'many'")
        [row] = self.airflow.query(f"SELECT {COLUMNS} FROM xcom WHERE key = 'frame'")  # noqa: S608
        self.insert((row[0], "many", row[2], f"key_{number:04}", *row[4:]) for number in range(1_000))

    def values(self, user: str = "admin", **where: Any) -> Any:
        """Return the data of the tab "XCom values"."""
        return data_of(self.get("values", user, **self.where(**where)))

    def object(self, key: str, **where: Any) -> Path:
        """Return the file of an object, where the store is a folder."""
        return Path(self.value(key, **where)["paths"][0].removeprefix("file://"))

    def reports(self, user: str = "admin") -> Any:
        """Return the data of the page "XCom storage"."""
        return data_of(self.get("storage", user))


def data_of(page: requests.Response) -> Any:
    """Return what a page has in it as data."""
    assert page.status_code == 200, page.text
    found = re.search('<script type="application/json" id="data">(.*?)</script>', page.text)
    assert found
    return json.loads(found[1])


Make = Callable[..., Site]


@pytest.fixture(scope="session")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Return a function that starts a deployment: once, with a backend, an Airflow, FAB or a setting."""
    with ExitStack() as stack:

        @cache
        def make(
            backend: str = "custom",
            airflow: str = "3",
            *,
            cloud: str = "local",
            fab: bool = False,
            mirror: bool = False,
            postgresql: bool = False,
            prefix: str = "",
            setting: str = "",
        ) -> Site:
            folder = tmp_path_factory.mktemp(f"explorer-{backend}-{airflow}")
            answers = {"cloud": cloud, "xcom_backend": backend, "explorer": True}
            project = bake(folder, folder / "bake", answers, accept_hooks=False)
            python = environment(project, cloud, backend, airflow)
            own = {name: value or "" for name, value in dotenv_values(project / ".env").items()} | {
                PATH: f"file://{folder}/store",
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,op:op,user:user,viewer:viewer,nobody:",
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # the emulator speaks no gRPC
                **dict([setting.split("=")] if setting else []),
            }
            store = None
            if cloud != "local":
                store = Store(folder / "emulator", Place("store", HOST), python, project, own_path(project))
                stack.callback(store.process.stop)
                connection_id = urlsplit(store.path).username or ""
                own |= {PATH: store.path, f"AIRFLOW_CONN_{connection_id.upper()}": store.connection}
            if mirror:
                own["AIRFLOW__XCOM_BACKEND__MIRROR"] = f"file://{folder}/mirror"
            if fab:
                own["AIRFLOW__CORE__AUTH_MANAGER"] = FAB
                own["AIRFLOW__FAB__AUTH_BACKENDS"] = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth"
            server = None
            if postgresql:
                open_folder = Path(stack.enter_context(TemporaryDirectory(prefix="explorer-")))
                open_folder.chmod(0o755)  # for the user of PostgreSQL
                network = stack.enter_context(open_network(0, isolate=False))
                server = PostgreSQL(open_folder / "postgresql", network)
                stack.callback(server.process.stop)
            empty = python.parents[1] / f"empty{'-fab' if fab else ''}.db"
            migrated = empty if empty.exists() and not server else None
            dags = shutil.copytree(DAGS, folder / "dags")
            for dag in project.glob("dags/xcom_*.py"):
                shutil.copy(dag, dags)
            deployment = Airflow(folder / "site", python, project, dags, airflow, own, migrated, server, prefix)
            if migrated is None and not server:
                shutil.copy(deployment.database, empty)
            deployment.take((DAG, {"rich": backend == "custom", "many": 3}), (SECRET, {}))
            if fab:
                run(python, Path(__file__).with_name("add_users.py"), env=deployment.settings, check=True, timeout=240)
            stack.callback(deployment.stop)
            deployment.serve()
            deployment.until(lambda: answers_at(deployment.url), "the API server does not answer")
            return Site(deployment, folder / "store", store)

        yield make


Look = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    """Return a function that looks at a site in Chromium, and tells what it saw."""

    def see(site: Site, parts: list[str], download: str = "", visits: int = 1) -> dict[str, Any]:
        """Do some parts of ``browser.py``, with an XCom to download or a number of visits."""
        orders = {
            "url": site.airflow.url,
            "token": site.token("admin"),
            "browser": str(program("chromium", "chromium")),
            "folder": str(tmp_path_factory.mktemp("seen")),
            "where": site.where(),
            "parts": parts,
            "download": download,
            "visits": visits,
        }
        program_of = Path(__file__).with_name("browser.py")
        done = run(site.airflow.python, program_of, input=json.dumps(orders), timeout=1_500)
        assert done.returncode == 0, done.stderr[-4_000:]
        return dict(json.loads(done.stdout))

    return see


def environment(project: Path, cloud: str, backend: str, airflow: str) -> Path:
    """Return the Python with which a project runs here."""
    locked = "explorer.txt" if airflow == "3" else "explorer.in"  # the lock goes with that of Airflow 3.3
    files = [project / "requirements-dev.txt", *(ROOT / "requirements" / name for name in (locked, "rows.in"))]
    return project_environment(f"explorer-{cloud}-{backend}-{airflow}", files, airflow)


def own_path(project: Path) -> str:
    """Return the object storage path that a project names."""
    return dotenv_values(project / ".env")[PATH] or ""


def answers_at(url: str) -> bool:
    """Tell whether the API server is up."""
    try:
        return requests.get(f"{url}/api/v2/version", timeout=5).status_code == 200
    except requests.RequestException:
        return False
