"""Airflow's own API server with the explorer in it, XComs of every kind in its database and store, and its users."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from dotenv import dotenv_values

from tools.airflow import Airflow
from tools.baking import ROOT, bake, run
from tools.environments import project_environment
from tools.processes import Process, free_port, listens

DAGS = Path(__file__).parent / "dags"
DAG, SECRET = "explorer_values", "explorer_secret"
PASSWORD = "correct horse battery staple"  # noqa: S105 - of these tests
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


class Store:
    """Where the objects are: a folder, or a bucket of a moto server."""

    def __init__(self, folder: Path, python: Path) -> None:
        """Take a folder that nothing is in yet, and the Python beside which moto is."""
        self.folder, self.python, self.port = folder, python, 0

    def serve(self) -> None:
        """Start moto, with an empty bucket."""
        self.port = free_port()
        self.folder.mkdir()
        command = [str(self.python.parent / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = Process("moto", command, self.folder, os.environ, self.folder / "moto.log")
        self.process.wait_for(lambda: listens("127.0.0.1", self.port), 240)
        assert requests.put(f"http://127.0.0.1:{self.port}/my-xcom-bucket", timeout=60).ok

    def stop(self) -> None:
        """End moto."""
        self.process.stop()

    def settings(self) -> dict[str, str]:
        """Return the variables with which the XCom backend finds it."""
        path = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
        if not self.port:
            return {path: f"file://{self.folder}"}
        extra = {"endpoint_url": f"http://127.0.0.1:{self.port}", "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
        return {path: "s3://my_aws_conn@my-xcom-bucket/xcom", "AIRFLOW_CONN_MY_AWS_CONN": json.dumps(connection)}


class Site:
    """A deployment with an explorer: its users, and the XComs of one run of each Dag."""

    def __init__(self, airflow: Airflow, store: Store) -> None:
        """Take a deployment in which the Dags ran."""
        self.airflow, self.store = airflow, store
        self.run_id: dict[str, str] = dict(airflow.query("SELECT dag_id, run_id FROM dag_run"))
        self._tokens: dict[str, str] = {}

    def token(self, user: str) -> str:
        """Return a token of a user, by the password that the auth manager knows."""
        if user not in self._tokens:
            file = self.airflow.folder / "home" / "simple_auth_manager_passwords.json.generated"
            password = json.loads(file.read_text())[user] if file.exists() else PASSWORD
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
        with closing(sqlite3.connect(self.airflow.database, timeout=30)) as database, database:
            (value,) = database.execute(
                "SELECT value FROM xcom WHERE dag_id = ? AND task_id = ? AND key = ?", [DAG, task_id, key]
            ).fetchone()
            database.execute(
                "UPDATE xcom SET value = ? WHERE dag_id = ? AND task_id = ? AND key = ?",
                [json.dumps(change(json.loads(value))), DAG, task_id, key],
            )


Make = Callable[..., Site]


@pytest.fixture(scope="session")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Return a function that starts a deployment: once, with a backend, an Airflow, FAB or a setting."""
    with ExitStack() as stack:

        @cache
        def make(
            backend: str = "custom", airflow: str = "3", *, fab: bool = False, setting: str = "", cloud: str = "local"
        ) -> Site:
            folder = tmp_path_factory.mktemp(f"explorer-{backend}-{airflow}")
            answers = {"cloud": cloud, "xcom_backend": backend, "explorer": True}
            project = bake(folder, folder / "bake", answers, accept_hooks=False)
            requirements = [project / "requirements-dev.txt", ROOT / "requirements" / "explorer.in"]
            python = project_environment(f"explorer-{cloud}-{backend}-{airflow}", requirements, airflow)
            store = Store(folder / "store", python)
            if cloud == "aws":
                stack.callback(store.stop)
                store.serve()
            own = {name: value or "" for name, value in dotenv_values(project / ".env").items()} | {
                **store.settings(),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,op:op,user:user,viewer:viewer,nobody:",
                **dict([setting.split("=")] if setting else []),
            }
            if fab:
                own["AIRFLOW__CORE__AUTH_MANAGER"] = FAB
                own["AIRFLOW__FAB__AUTH_BACKENDS"] = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth"
            empty = python.parents[1] / f"empty{'-fab' if fab else ''}.db"
            migrated = empty if empty.exists() else None
            deployment = Airflow(folder / "site", python, project, DAGS, airflow, own, migrated)
            if migrated is None:
                shutil.copy(deployment.database, empty)
            deployment.take((DAG, {"rich": backend == "custom", "many": 3}), (SECRET, {}))
            if fab:
                run(python, Path(__file__).with_name("add_users.py"), env=deployment.settings, check=True, timeout=240)
            stack.callback(deployment.stop)
            deployment.serve()
            deployment.until(lambda: answers_at(deployment.url), "the API server does not answer")
            return Site(deployment, store)

        yield make


def answers_at(url: str) -> bool:
    """Tell whether the API server is up."""
    try:
        return requests.get(f"{url}/api/v2/version", timeout=5).status_code == 200
    except requests.RequestException:
        return False
