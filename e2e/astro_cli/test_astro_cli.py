"""The real Astro CLI opens the emitted project: `make e2e ONLY=astro_cli`.

The CLI has to be on this machine: it cannot be installed from Go's module proxy, because its go.mod replaces modules by
folders of its repository. Name another one than the PATH's with ASTRO=/path/to/astro.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import vendor
from vendor import Vendor

from tools.astro import MISSING, Cli, astro_cli
from tools.background import BUCKET, bucket, keys_in, rows_of, trigger, wait_for
from tools.baking import CONFIG, ROOT, bake, clean_environment, environment_of_a_project, paths_of, run
from tools.environments import project_environment
from tools.processes import free_port
from tools.tested_with import record_cli

DAG = "custom_xcom_backend_test"
AIRFLOW = CONFIG["_airflow"]["3"]
RUNTIME = AIRFLOW["runtime"].rpartition(":")[2]
LOCK = (ROOT / "requirements" / "projects.txt").read_text()
LEFT_BY_THE_CLI = ".astro/config.yaml.lock"
# Seconds for `astro dev start`: it installs Airflow first.
WAIT = 900

pytestmark = pytest.mark.slice


# For the table of what was tested: what the tests below look at, by command.
DID = {
    "astro dev init": "a bake has each file of a new project but its example Dag; over a bake, nothing is overwritten",
    "astro config set dev.mode standalone": "all commands below do without Docker",
    "astro dev start": "installs the pinned Airflow and the project's requirements, healthy",
    "astro dev run": "`dags trigger`: the small XCom is in the database, the big one in the bucket (moto server)",
    "astro dev bash": "`python -m include.xcom_doctor` is healthy",
    "astro dev pytest": "the project's own tests pass on the emulator",
    "astro dev parse": "no errors; one for a Dag that does not import",
    "astro dev restart": "healthy, and XCom goes on",
    "astro dev stop": "nothing is left running, and git sees no new file",
}


def standalone_log(project: Path) -> str:
    """Return the end of what Airflow said in a project that the CLI started."""
    log = project / ".astro" / "standalone" / "airflow.log"
    return log.read_text(errors="replace")[-5000:] if log.exists() else ""


@pytest.fixture(scope="module")
def asked() -> Vendor:
    """What the stand-in offers, and what was asked of it."""
    return Vendor({RUNTIME: AIRFLOW["version"]}, LOCK)


@pytest.fixture(scope="module")
def astro(asked: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    if astro_cli() is None:
        pytest.skip(MISSING)
    home = tmp_path_factory.mktemp("home")
    # Nothing but uv: the CLI finds pytest on the PATH where the project has none.
    programs = home / "bin"
    programs.mkdir()
    (programs / "uv").symlink_to(Path(sys.executable).parent / "uv")
    with vendor.running(asked, home) as through:
        variables = {
            **environment_of_a_project(programs, home),
            **through,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",  # seconds: machines are slow at times
            "ASTRONOMER_NO_BROWSER": "1",
            "ASTRO_TELEMETRY_DISABLED": "1",
            "HOME": str(home),
            "UV_CACHE_DIR": str(ROOT / ".tools" / "uv-cache"),
        }
        yield Cli(variables, standalone_log).checked(home)


def baked(folder: Path, **answers: Any) -> Path:
    """Bake a project into a folder and return the project's own."""
    home = folder / "home"
    home.mkdir(parents=True)
    return bake(home, folder / "output", answers)


def test_a_bake_has_each_file_of_a_new_project(astro: Cli, tmp_path: Path) -> None:
    new = tmp_path / "my-xcom-project"
    new.mkdir()
    assert "Initialized empty Astro project" in astro(new, "dev", "init")
    project = baked(tmp_path / "baked", cloud="aws", project_slug=new.name)
    theirs, ours = set(paths_of(new)), set(paths_of(project))
    assert theirs - ours == {"dags/exampledag.py", LEFT_BY_THE_CLI}, "our Dags take the place of its example"
    differ = {path for path in theirs & ours if (new / path).read_bytes() != (project / path).read_bytes()}
    filled = {".astro/config.yaml", ".env", "Dockerfile", "README.md", "airflow_settings.yaml", "requirements.txt"}
    longer = {".dockerignore", ".gitignore", ".astro/dag_integrity_exceptions.txt"}
    mended = {".astro/test_dag_integrity_default.py", "tests/dags/test_dag_example.py"}  # they fail on this Airflow
    assert differ <= filled | longer | mended
    for path in (".gitignore", ".dockerignore"):
        assert lines_of(new / path) <= lines_of(project / path), path
    assert lines_of(new / "Dockerfile") == lines_of(project / "Dockerfile")
    assert (new / ".astro/config.yaml").read_text().split() == ["project:", "name:", new.name]


def test_an_init_over_a_bake_overwrites_nothing(astro: Cli, tmp_path: Path) -> None:
    project = baked(tmp_path / "baked", cloud="aws")
    before = {path: (project / path).read_bytes() for path in paths_of(project)}
    astro(project, "dev", "init", "--force")
    after = {path: (project / path).read_bytes() for path in paths_of(project)}
    assert {path for path in before if after[path] != before[path]} <= {".astro/config.yaml"}
    assert set(after) - set(before) == {"dags/exampledag.py", LEFT_BY_THE_CLI}


def test_without_docker_from_start_to_stop(astro: Cli, asked: Vendor, tmp_path: Path) -> None:
    """The steps of the emitted README for a machine without a container engine, one after the other."""
    project = baked(tmp_path / "baked", cloud="aws")
    git = clean_environment(tmp_path, GIT_DIR=str(tmp_path / "git"), GIT_WORK_TREE=str(project))
    run("git", "init", "--quiet", env=git, check=True)
    run("git", "add", "--all", cwd=project, env=git, check=True)
    programs = project_environment("aws", [project / "requirements-dev.txt"]).parent
    port = free_port()
    url = f"http://localhost:{port}"
    here = ("--port", str(port), "--no-proxy", "--wait", f"{WAIT}s")
    with bucket(programs, tmp_path) as store, stopping(astro, project):
        fill_in_connection(project / ".env", store)
        astro(project, "config", "set", "dev.mode", "standalone")
        assert "Airflow is ready!" in astro(project, "dev", "start", *here)
        for path in ("/runtime-constraints/", "/runtime-freeze/", "/v2/apache-airflow/", "/v2/s3fs/"):
            assert [asked_for for asked_for in asked.asked if asked_for.startswith(path)], path
        wait_for(lambda: DAG in astro(project, "dev", "run", "dags", "list"), "the Dag", tmp_path)
        astro(project, "dev", "run", "dags", "unpause", DAG)
        astro(project, "dev", "run", "dags", "trigger", DAG)
        assert_values_pass_through_the_bucket(project, store)
        doctor = astro(project, "dev", "bash", typed="python -m include.xcom_doctor; exit $?\n")
        assert "healthy" in doctor

        astro.program(project, "uv", "pip", "install", "--quiet", "-r", "requirements-dev.txt")
        tests = astro(project, "dev", "pytest")
        assert "XCom object store: moto server on" in tests
        assert re.search(r"= \d+ passed", tests)
        assert "No errors detected in your DAGs" in astro(project, "dev", "parse")
        (project / "dags" / "broken.py").write_text("import airflow, no_such_module  # a Dag\n")
        assert "no_such_module" in astro(project, "dev", "parse", code=1)
        (project / "dags" / "broken.py").unlink()

        assert "Airflow is ready!" in astro(project, "dev", "restart", *here[:-2], "--wait", f"{WAIT}s")
        trigger(url, DAG, project / ".astro" / "standalone")
        assert_values_pass_through_the_bucket(project, store)
        astro(project, "dev", "stop")
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=60)
    status = run("git", "status", "--porcelain", "-uall", cwd=project, env=git, check=True).stdout.splitlines()
    assert not [line for line in status if line.startswith("??")]
    record_cli(astro.version, RUNTIME, DID)


@contextmanager
def stopping(astro: Cli, project: Path) -> Iterator[None]:
    """Stop what `astro dev start` started, also when the test fails."""
    try:
        yield
    finally:
        astro(project, "dev", "stop")


def fill_in_connection(env_file: Path, store: str) -> None:
    """Fill in the connection as a user would, with the emulator as the cloud."""
    text = env_file.read_text()
    connection = {"conn_type": "aws", "login": "test", "password": "test"}
    filled = json.dumps({**connection, "extra": {"region_name": "us-east-1", "endpoint_url": store}})
    env_file.write_text(re.sub(r"^(AIRFLOW_CONN_MY_AWS_CONN)=.*$", rf"\1={filled}", text, flags=re.MULTILINE))


def assert_values_pass_through_the_bucket(project: Path, store: str) -> None:
    """Wait for the newest run, and fail unless its small XCom is in the database and the big one in the bucket."""
    log = project / ".astro" / "standalone"
    database = log / "airflow.db"
    ((run_id,),) = rows_of(database, "SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1")

    def state() -> str:
        return str(rows_of(database, "SELECT state FROM dag_run WHERE run_id = ?", run_id)[0][0])

    wait_for(lambda: state() in ("success", "failed"), "the run", log)
    assert state() == "success", standalone_log(project)
    rows = dict(rows_of(database, "SELECT key, value FROM xcom WHERE run_id = ?", run_id))
    assert json.loads(rows["small_obj"]) == {"a": 23}
    path = json.loads(rows["big_obj"])
    assert path.removeprefix(f"s3://my_aws_conn@{BUCKET}/") in keys_in(store)


def lines_of(file: Path) -> set[str]:
    """Return the lines of a file that say something."""
    return {line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")}
