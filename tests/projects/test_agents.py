"""What Remote Execution Agents do: workers with the emitted image and values run the Dag, with no way to the database.

Each is started with what `Dockerfile.client` copies, what `remote-execution/values.yaml` sets, and a home of its own;
of the control plane it knows URL and token. `make e2e ONLY=docker` builds the image and runs it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools import agents
from tools.agents import QUEUES, ControlPlane, of_an_agent
from tools.background import bucket, keys_in, running
from tools.baking import Answers, Bake, Install, environment_of_a_project, run

BACKENDS: dict[str, Answers] = {
    "object_storage": {"cloud": "aws", "remote_execution": True},
    "custom": {"cloud": "aws", "remote_execution": True, "xcom_backend": "custom"},
}


@pytest.fixture(scope="module")
def programs(bake: Bake, install: Install) -> Path:
    """The programs of an environment with the packages of both backends and the Edge executor."""
    return install("agents", bake(**BACKENDS["custom"]) / "requirements-dev.txt", agents.REQUIREMENTS)


@pytest.fixture(scope="module")
def store(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bucket that the bakes name, in a moto server. The server's URL."""
    with bucket(programs, tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture(scope="module")
def control_plane(bake: Bake, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane."""
    with agents.control_plane(programs, bake(**BACKENDS["custom"]), tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_agents_pass_values_through_the_bucket_alone(
    backend: str, bake: Bake, control_plane: ControlPlane, store: str, tmp_path: Path
) -> None:
    project = bake(**BACKENDS[backend])
    with ExitStack() as processes:
        for queue in QUEUES:
            home = tmp_path / queue
            variables = agent_environment(project, home, control_plane, store)
            assert_no_database(variables, control_plane, home)
            worker = ("edge", "worker", "--queues", queue, "--edge-hostname", f"{backend}-{queue}")
            processes.enter_context(running(home / "log", variables, control_plane.programs / "airflow", *worker))
        run_id = control_plane.run_the_dag(tmp_path)
        said = "\n".join(log.read_text(errors="replace") for log in sorted(tmp_path.rglob("*.log")))
        assert control_plane.state_of(run_id) == "success", said

    pulled = "\n".join(log.read_text(errors="replace") for log in (tmp_path / "second").rglob("attempt=1.log"))
    for key in ("small_obj", "big_obj"):
        assert f"{key} came back whole from object storage" in pulled
    hosts = {"push_objects": f"{backend}-first", "pull_objects": f"{backend}-second"}
    assert control_plane.hosts_of(run_id) == hosts
    keys = control_plane.keys_of(run_id)
    assert set(keys) >= {"big_obj", "small_obj"}
    assert set(keys.values()) <= keys_in(store)


def agent_environment(project: Path, home: Path, plane: ControlPlane, store: str) -> dict[str, str]:
    """Return the environment of an agent, after copying into its home what its image would hold.

    The image's folder is one of the home.
    """
    dockerfile = (project / "Dockerfile.client").read_text()
    for source, target in re.findall(r"^COPY (\w+) /(\S+)$", dockerfile, re.MULTILINE):
        shutil.copytree(project / source, home / target)
    (path,) = re.findall(r"^ENV PYTHONPATH=(/[^$]+)\$", dockerfile, re.MULTILINE)
    settings = of_an_agent(plane, project, store)
    return {
        **environment_of_a_project(plane.programs, home),
        **{name: value.replace(path, f"{home}{path}") for name, value in settings.items()},
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/no/such/folder/airflow.db",
        "PYTHONPATH": f"{home}{path}",
    }


def assert_no_database(variables: Mapping[str, str], plane: ControlPlane, home: Path) -> None:
    """Fail if an agent's environment names the metadata database, or Airflow reaches one with it."""
    assert plane.named_in(variables) == []
    done = run(plane.programs / "airflow", "db", "check", "--retry", "0", env=dict(variables), cwd=home)
    assert done.returncode != 0
    assert "unable to open database file" in done.stdout + done.stderr
