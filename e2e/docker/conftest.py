"""What the tests with Docker share: a container engine, and the Astro CLI with the environment of a user who has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.docker.engine import Docker, engine
from e2e.docker.images import HERE, REAL
from tools.astro import MISSING, Cli, astro_cli
from tools.baking import environment_of_a_project
from tools.debian import NoProgramError


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """Yield a container engine, without our images in it at the end."""
    try:
        with engine() as docker:
            before = images(docker)
            yield docker
            if ours := [image for image in images(docker) if image not in before]:
                docker.succeeds("rmi", "--force", *ours)  # what others have built upon in the meantime stays
    except NoProgramError as error:
        if REAL:
            raise
        pytest.skip(str(error))


def images(docker: Docker) -> list[str]:
    """Return the IDs of all images, the newest first: with those that lost their name to a newer build."""
    return list(dict.fromkeys(docker("images", "--quiet", "--no-trunc").split()))


@pytest.fixture(scope="session")
def cli() -> None:
    """Skip at once, before an engine is started, where there is no Astro CLI."""
    if astro_cli() is None:
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def astro(cli: None, docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Cli:
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
