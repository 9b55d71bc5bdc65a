"""`astro dev start` with Docker, from the first command of the emitted README to the last: `make e2e ONLY=docker`.

The images are the real ones where they can be pulled, else stand-ins. With REAL_IMAGES=1 they are never stand-ins.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from e2e.docker.engine import Docker
from e2e.docker.images import REAL_IMAGE, is_stand_in, provide
from tools.astro import Cli
from tools.background import wait_for
from tools.baking import CHOICES, CLOUDS, CONFIG, bake, clean_environment, run
from tools.environments import project_environment
from tools.network import Place
from tools.servers import Store
from tools.tested_with import record_docker

DAG = "custom_xcom_backend_test"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
WAIT = ("--wait", "9m")
SLOW = {"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120"}  # seconds: machines are slow at times
SERVICES = {"3": 5, "2": 4}
BUCKET = "xcom-tests"  # what the emulators come with
OBJECTS = Path(__file__).with_name("objects.py")
# A folder that a user chose in place of the default, where containers may not write at first.
CHOSEN = "include/xcom-store"
FOLDERS = {"object_storage": CONFIG["_clouds"]["local"]["bucket"], "custom": CHOSEN}


def answers_of(cloud: str, backend: str, **others: str) -> dict[str, str]:
    """Return the answers of a case."""
    bucket = FOLDERS[backend] if cloud == "local" else BUCKET
    return {"cloud": cloud, "xcom_backend": backend, "bucket": bucket, **others}


CASES = {
    **{f"{one}-{other}": answers_of(one, other) for one in CLOUDS for other in CHOICES["xcom_backend"]},
    "aws-object_storage-airflow2": answers_of("aws", "object_storage", airflow="2"),
}
DOCTOR = "python -m include.xcom_doctor --deadline 60"  # seconds: machines are slow at times
LAST_STATE = "SELECT state FROM dag_run ORDER BY id DESC LIMIT 1"
# Airflow 2 keeps XComs as bytes.
LAST_XCOMS = {
    "3": """SELECT key || ' ' || value::text FROM xcom
            WHERE run_id = (SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1)""",
    "2": """SELECT key || ' ' || convert_from(value, 'UTF8') FROM xcom
            WHERE run_id = (SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1)""",
}


@dataclass(frozen=True)
class Objects:
    """The store of a project, asked by a client of its own.

    :param variables: what `.env` needs for it, by name
    :param python: the project's own, with the libraries of the store
    """

    path: str
    variables: dict[str, str]
    python: Path

    def listing(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        connection = next(iter(self.variables.values()))
        done = run(self.python, OBJECTS, self.path, connection)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))


@dataclass(frozen=True)
class Project:
    """A baked project, and the Airflow that `astro dev start` runs for it.

    :param path: the object storage path
    :param objects: its store, unless that is a folder
    """

    folder: Path
    airflow: str
    path: str
    astro: Cli
    docker: Docker
    objects: Objects | None
    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, *arguments: str, code: int = 0, typed: str = "") -> str:
        """Run a command of the Astro CLI in the project's folder, and return what it printed."""
        began = time.monotonic()
        said = self.astro(self.folder, *arguments, code=code, typed=typed)
        took = self.seconds[arguments[1]] = time.monotonic() - began
        print(f"astro {' '.join(arguments)}: {took:.1f} s")
        return said

    def containers(self, *options: str) -> list[str]:
        """Return the IDs of the project's containers: of those that run, without ``--all``."""
        return self.docker("ps", "--quiet", "--filter", f"name={self.folder.name}_", *options).split()

    def inside(self, service: str, *command: str) -> str:
        """Run a command in the container of a service."""
        (container,) = self.containers("--filter", f"label=com.docker.compose.service={service}")
        return self.docker("exec", container, *command)

    def query(self, sql: str) -> list[str]:
        """Return the lines that the metadata database answers."""
        psql = ("env", "PGPASSWORD=postgres", "psql", "-At", "-h", "127.0.0.1", "-U", "postgres", "-c", sql)
        return self.inside("postgres", *psql).splitlines()

    def set(self, name: str, value: str) -> None:
        """Write a variable into `.env`, as a user does in an editor."""
        file = self.folder / ".env"
        text, found = re.subn(rf"^{name}=.*$", lambda _: f"{name}={value}", file.read_text(), flags=re.MULTILINE)
        file.write_text(text if found else f"{text}{name}={value}\n")

    def image(self) -> str:
        """Return the name of the image that the CLI built: the newest, as a killed run may have left one."""
        return self.docker("images", "--format", "{{.Repository}}", f"{self.folder.name}_*/airflow").split()[0]

    def run_the_dag(self) -> dict[str, Any]:
        """Trigger the test Dag, wait until the run succeeded, and return what its rows hold, by key."""
        self("dev", "run", "dags", "trigger", DAG)
        wait_for(lambda: self.query(LAST_STATE)[0] in ("success", "failed"), "the run")
        assert self.query(LAST_STATE) == ["success"], self.inside("scheduler", "sh", "-c", "cat logs/*/*/*/*")
        rows = self.query(LAST_XCOMS[self.airflow])
        return {key: json.loads(value) for key, value in (row.split(" ", 1) for row in rows)}


@pytest.mark.parametrize("case", CASES)
def test_from_start_to_kill(case: str, docker: Docker, astro: Cli, tmp_path: Path) -> None:
    began = time.monotonic()
    answers = CASES[case]
    kind = provide(docker, answers.get("airflow", "3"), os.environ.get("INSTALLER", "uv"))
    with started(case, answers, docker, astro, tmp_path) as project:
        services = project("dev", "ps")
        assert services.count("running") == SERVICES[project.airflow], services
        if project.path.startswith(f"file://{CHOSEN}"):
            follow_the_doctor(project)
        project("dev", "run", "dags", "unpause", DAG)
        rows = project.run_the_dag()
        assert rows["small_obj"] == {"a": 23}
        assert_stored(project, rows["big_obj"])
        assert_seen_as_the_readme_says(project)
        doctor = project("dev", "bash", typed=f"{DOCTOR} --all; exit $?\n")
        assert re.search(r"^0 findings, .* healthy", doctor, re.MULTILINE), doctor
        assert "after a change of .env on the host, type: astro dev restart" in doctor

        tests = project("dev", "pytest")
        assert "XCom object store: a temporary folder" in tests
        passed = re.search(r"= (\d+) passed", tests)
        assert passed, tests
        assert "No errors detected in your DAGs" in project("dev", "parse")
        broken = project.folder / "dags" / "broken.py"
        broken.write_text("import airflow, no_such_module  # a Dag\n")
        assert "no_such_module" in project("dev", "parse", code=1)
        broken.unlink()

        project.set(THRESHOLD, "0")
        project("dev", "restart", *WAIT)
        rows = project.run_the_dag()
        assert_stored(project, rows["small_obj"])
        assert_stored(project, rows["big_obj"])
        assert is_stand_in(docker, project.image()) == (kind != REAL_IMAGE)
        kept = f"find . -name .env -o -path './logs/*' -o -path './.git' -o -path './{CHOSEN}'"
        assert docker("run", "--rm", "--entrypoint", "sh", project.image(), "-c", kept) == "", "in the image"

        project("dev", "stop")
        assert project.containers() == []
        project("dev", "kill")
        for things in ("container", "volume", "network"):
            left = docker(things, "ls", *(["--all"] if things == "container" else []))
            assert project.folder.name not in left, things
        python = docker("run", "--rm", "--entrypoint", "python3", project.image(), "--version").split()[1]
        size = int(docker("image", "inspect", "--format", "{{.Size}}", project.image()))
        docker("rmi", project.image())
    assert not [line for line in git(project.folder, "status", "--porcelain", "-uall") if line.startswith("??")]
    row = CONFIG["_airflow"][project.airflow]
    ran_on = {
        **{name: answers[name] for name in ("cloud", "xcom_backend")},
        "airflow": row["version"],
        "runtime": row["runtime"].rpartition(":")[2],
        "is": kind,
        "python": python,
        "image_bytes": size,
        "tests_passed": int(passed[1]),
        "start_seconds": round(project.seconds["start"]),
        "seconds": round(time.monotonic() - began),
        "load": round(os.getloadavg()[2], 1),
    }
    record_docker(case, astro.version, ran_on)


@contextmanager
def started(case: str, answers: dict[str, str], docker: Docker, astro: Cli, folder: Path) -> Iterator[Project]:
    """Bake a project, fill in `.env`, and run `astro dev start` until the caller is done with it."""
    # What the containers mount has to be readable for their user all the same.
    before = os.umask(0o077)
    baked = bake(folder, folder / "output", {**answers, "project_slug": f"e2e-{case.replace('_', '-')}"})
    os.umask(before)
    assert (baked / ".env").stat().st_mode & 0o777 == 0o600, ".env will hold keys"
    git(baked, "init", "--quiet")
    git(baked, "add", "--all")
    with object_store(answers, baked, docker, folder / "store") as objects:
        path = str(dotenv_values(baked / ".env")[PATH])
        project = Project(baked, answers.get("airflow", "3"), path, astro, docker, objects)
        for name, value in {**(objects.variables if objects else {}), **SLOW}.items():
            project.set(name, value)
        try:
            project("dev", "start", *WAIT)
            yield project
        except BaseException:
            for container in project.containers("--all"):
                print(docker("ps", "--all", "--filter", f"id={container}"), docker("logs", "--tail", "50", container))
            raise
        finally:
            project("dev", "kill")


def assert_seen_as_the_readme_says(project: Project) -> None:
    """Fail unless the log of the test Dag, and a listing of a folder, show what the emitted README promises."""
    readme = (project.folder / "README.md").read_text()
    promises = re.findall(r"^- `(\w+ came back whole from .+)`$", readme, re.MULTILINE)
    assert len(promises) == 2, readme
    log = project.inside("scheduler", "sh", "-c", f"cat logs/dag_id={DAG}/*/task_id=pull_objects/attempt=1.log")
    for promise in promises:
        assert re.search(".*".join(map(re.escape, promise.split("…"))), log), f"{promise} is not in:\n{log}"
    if project.objects is None:
        (look,) = re.findall(r"^astro dev bash\n(find .+)$", readme, re.MULTILINE)
        assert f"/{DAG}/" in project("dev", "bash", typed=f"{look}; exit $?\n")


def follow_the_doctor(project: Project) -> None:
    """Ask the doctor about a folder that containers may not write, and type on the host what it says."""
    said = project("dev", "bash", typed=f"{DOCTOR}\nexit 0\n")
    fix = re.search(r"on the host, in the project's folder: (.+)", said)
    assert fix, said
    run("sh", "-c", fix[1], cwd=project.folder, check=True)


@contextmanager
def object_store(answers: dict[str, str], baked: Path, docker: Docker, folder: Path) -> Iterator[Objects | None]:
    """Run the emulator of a cloud where containers reach it, at the bridge's gateway: their localhost is their own."""
    if answers["cloud"] == "local":
        yield None
        return
    airflow = answers.get("airflow", "3")
    name = "-".join([answers["cloud"], *(["custom"] if answers["xcom_backend"] == "custom" else [])])
    python = project_environment(f"docker-{name}-{airflow}", [baked / "requirements-dev.txt"], airflow)
    path = str(dotenv_values(baked / ".env")[PATH])
    store = Store(folder, Place("store", docker.gateway()), python, baked, path)
    variables = {f"AIRFLOW_CONN_{CONFIG['_clouds'][answers['cloud']]['connection_id'].upper()}": store.connection}
    if answers["cloud"] == "gcp":
        variables["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # the emulator speaks no gRPC
    try:
        yield Objects(path, variables, python)
    finally:
        store.process.stop()


def assert_stored(project: Project, row: Any) -> None:
    """Fail unless what a row holds leads to an object of the store."""
    path = row["paths"][0] if isinstance(row, dict) else row
    if project.objects is None:
        project.inside("scheduler", "test", "-s", path.removeprefix("file://"))
        return
    start, _, _ = project.objects.path.partition(BUCKET)
    assert path.removeprefix(f"{start}{BUCKET}/") in project.objects.listing()


def git(project: Path, *arguments: str) -> list[str]:
    """Run git with a repository beside the project, and return the lines that it printed."""
    home = project.parent
    env = clean_environment(home, GIT_DIR=str(home / "git"), GIT_WORK_TREE=str(project))
    return run("git", *arguments, cwd=project, env=env, check=True).stdout.splitlines()
