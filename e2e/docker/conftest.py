"""What the tests with Docker share: a container engine, and the Astro CLI with the environment of a user who has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.docker.engine import Docker, engine
from e2e.docker.images import HERE, REAL
from tools.astro import ASTRO, MISSING, Cli
from tools.baking import environment_of_a_project
from tools.debian import NoProgramError


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """Yield a container engine, without our images in it at the end."""
    if ASTRO is None and not REAL:
        pytest.skip(MISSING)
    try:
        with engine() as docker:
            yield docker
            named = ("--filter", "dangling=false", "--format", "{{.Repository}}:{{.Tag}}")
            ours = docker("images", "--filter", "label=stand-in", *named).split()
            if ours:
                docker("rmi", "--force", *ours)
    except NoProgramError as error:
        if REAL:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def astro(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Return the Astro CLI as a user has it: a home without settings, the engine, and nothing of Python."""
    home = tmp_path_factory.mktemp("home")
    variables = {
        # In HERE is a `docker` that does not pull: a stand-in is in no registry.
        **environment_of_a_project(home if REAL else HERE, home),
        "ASTRONOMER_NO_BROWSER": "1",
        "ASTRO_TELEMETRY_DISABLED": "1",
        "DOCKER_HOST": docker.host,
        "HOME": str(home),
    }
    return Cli(variables).checked(home)
