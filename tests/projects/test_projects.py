"""Projects as their users have them: with nothing but what they ask for installed, their own tests and checks pass."""

from __future__ import annotations

import json
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.baking import CONFIG, Answers, Bake, Install
from tools.projects import PROBES, Project, make_project, read_as_docker
from tools.tested_with import record

# What each store is tested on, as the first lines of pytest name it.
STORES = {
    "aws": r"moto server on http://127\.0\.0\.1:\d+",
    "gcp": r"gcp-storage-emulator on http://127\.0\.0\.1:\d+",
    "azure": r"Azurite on http://127\.0\.0\.1:\d+",
    "local": "a temporary folder",
}
PROJECTS: dict[str, Answers] = {
    "aws": {"cloud": "aws"},
    "aws-gzip": {"cloud": "aws", "compression": "gzip"},
    "gcp-zstd": {"cloud": "gcp", "compression": "zstd"},
    "azure-zip": {"cloud": "azure", "compression": "zip"},
    "local": {"cloud": "local"},
    "aws-custom-mirror": {
        "cloud": "aws",
        "xcom_backend": "custom",
        "compression": "zstd",
        "mirror": "gs://my_gcp_conn@my-mirror/xcom",
        "examples": True,
    },
    "gcp-custom": {"cloud": "gcp", "xcom_backend": "custom"},
    "azure-custom": {"cloud": "azure", "xcom_backend": "custom", "compression": "gzip"},
    "local-custom": {"cloud": "local", "xcom_backend": "custom", "threshold": "0"},
}
every_project = pytest.mark.parametrize("name", PROJECTS)


@pytest.fixture
def project(name: str, bake: Bake, install: Install, tmp_path: Path) -> Project:
    answers = PROJECTS[name]
    baked = bake(**answers)
    custom = answers.get("xcom_backend") == "custom"
    programs = install(f"{answers['cloud']}{'-custom' if custom else ''}", baked / "requirements-dev.txt")
    return make_project(baked, programs, tmp_path)


class Decoy(socketserver.ThreadingTCPServer):
    """A server that stands for the user's real store, and counts who comes."""

    daemon_threads = True
    visits = 0

    def process_request(self, request: object, client_address: object) -> None:
        """Count, and answer nothing."""
        self.visits += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """The URL to reach it."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def decoy() -> Iterator[Decoy]:
    with Decoy(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fill_in_connection(project: Path, cloud: str, decoy: Decoy) -> None:
    """Fill in the connection of .env as a user would, with the decoy as the real store."""
    azure = f"DefaultEndpointsProtocol=http;AccountName=real;AccountKey=AAAA;BlobEndpoint={decoy.url}/real;"
    extra = {
        "aws": {"region_name": "us-east-1", "endpoint_url": decoy.url},
        "gcp": {"project": "real", "is_anonymous": True, "gcs.endpoint": decoy.url},
        "azure": {"connection_string": azure},
    }
    if cloud in extra:
        lines = (project / ".env").read_text().splitlines()
        number = next(number for number, line in enumerate(lines) if line.startswith("AIRFLOW_CONN_"))
        name, _, value = lines[number].partition("=")
        lines[number] = f"{name}={json.dumps({**json.loads(value), 'extra': extra[cloud]})}"
        (project / ".env").write_text("\n".join([*lines, ""]))


def assert_all_passed(done: subprocess.CompletedProcess[str], may_skip: bool = False) -> None:
    """Fail unless pytest ran some tests, passed all, and skipped none, or may skip some and says why."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"= \d+ passed(, \d+ skipped)?(, \d+ warnings?)? in ", done.stdout), done.stdout
    assert may_skip or "SKIPPED" not in done.stdout, done.stdout


@every_project
def test_the_projects_own_tests_pass_on_an_emulator_and_never_reach_the_real_store(
    name: str, project: Project, decoy: Decoy, tmp_path: Path
) -> None:
    cloud = PROJECTS[name]["cloud"]
    fill_in_connection(project.folder, cloud, decoy)
    airflow_home = tmp_path / "airflow-home-of-the-user"
    airflow_home.mkdir()
    baits = {"AWS_ENDPOINT_URL": decoy.url, "STORAGE_EMULATOR_HOST": decoy.url, "AIRFLOW_HOME": str(airflow_home)}
    done = project.run("pytest", **baits)
    # The custom class's tests of a store, a mirror or an Airflow that this project has not are skipped.
    assert_all_passed(done, may_skip=PROJECTS[name].get("xcom_backend") == "custom")
    record(name, PROJECTS[name], project.programs / "python", done.stdout)
    header = f"^XCom object store: {STORES[cloud]}( and gcp-storage-emulator .*)?$"
    assert re.search(header, done.stdout, re.MULTILINE), done.stdout
    assert decoy.visits == 0
    assert not list(airflow_home.iterdir())
    assert project.new_to_git() == []


@every_project
def test_the_integrity_test_of_the_astro_cli_passes_with_and_without_a_broken_dag(name: str, project: Project) -> None:
    assert_all_passed(project.run("pytest", ".astro", "-p", "no:cacheprovider"))
    (project.folder / "dags" / "broken.py").write_text("import airflow, no_such_module  # a Dag\n")
    done = project.run("pytest", ".astro", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "no_such_module" in done.stdout
    (project.folder / ".astro" / "dag_integrity_exceptions.txt").write_text("dags/broken.py\n")
    assert_all_passed(project.run("pytest", ".astro", "-p", "no:cacheprovider"))


@every_project
def test_ruff_and_mypy_have_nothing_to_say(name: str, project: Project) -> None:
    cache = project.programs.parent / "mypy-cache" / name
    for check in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "--cache-dir", cache)):
        done = project.run(*check)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name, answers in PROJECTS.items() if answers["cloud"] != "local"])
def test_airflow_reads_the_connection_of_the_env_file(name: str, project: Project) -> None:
    settings = read_as_docker((project.folder / ".env").read_text())
    airflow = {"AIRFLOW_HOME": str(project.folder / "home"), "PYTHONPATH": str(project.folder)}
    done = project.run("python", PROBES / "read_connection.py", **airflow, **settings)
    assert done.returncode == 0, done.stderr
    expected = CONFIG["_clouds"][PROJECTS[name]["cloud"]]["connection"]
    read = json.loads(done.stdout.splitlines()[-1])
    assert read == {"conn_type": expected["conn_type"], "extra": sorted(expected["extra"])}


@pytest.mark.parametrize("name", ["local"])
def test_the_local_store_is_where_the_readme_says_with_the_env_file_as_it_is(
    name: str, project: Project, tmp_path: Path
) -> None:
    settings = read_as_docker((project.folder / ".env").read_text())
    airflow = {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    airflow["AIRFLOW__CORE__DAGS_FOLDER"] = str(project.folder / "dags")
    done = project.run("python", PROBES / "run_test_dag.py", PYTHONPATH=str(project.folder), **airflow, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["state"] == "success"
    assert result["rows"]["small_obj"] == {"a": 23}
    (stored,) = (path for path in (project.folder / "logs" / "xcom-store").rglob("*") if path.is_file())
    assert str(stored.relative_to(project.folder)) in result["rows"]["big_obj"]
    assert project.new_to_git() == []


def test_in_a_runtime_image_the_same_tests_pass_on_a_folder_and_say_so(
    bake: Bake, install: Install, tmp_path: Path
) -> None:
    """The image has Airflow, pytest and requirements.txt. It has no .env: `docker --env-file` gives the variables."""
    answers = PROJECTS["aws-gzip"]
    baked = bake(**answers)
    asked_for = tmp_path / "image"
    asked_for.mkdir()
    shutil.copy(baked / "requirements.txt", asked_for)
    (pytest_pin,) = re.findall(r"^pytest==.*$", (baked / "requirements-dev.txt").read_text(), re.MULTILINE)
    airflow_pin = f"apache-airflow=={CONFIG['_airflow'][CONFIG['airflow'][0]]['version']}"
    (asked_for / "requirements-image.txt").write_text(f"-r requirements.txt\n{airflow_pin}\n{pytest_pin}\n")
    project = make_project(baked, install("image", asked_for / "requirements-image.txt"), tmp_path)
    settings = read_as_docker((project.folder / ".env").read_text())
    (project.folder / ".env").unlink()

    done = project.run("pytest", "tests/", **settings)
    assert_all_passed(done)
    assert "XCom object store: a temporary folder, because moto is not installed" in done.stdout
    assert_all_passed(project.run("pytest", ".astro", **settings))
