"""Plays all chosen cases at once, as early as the first test asks for one: most of a case is waiting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from e2e.fire.cases import CASES, Outcomes, backends_of, play, restart_airflow
from e2e.fire.site import BACKENDS, DEADLINE, OVER, Site
from tools.baking import ROOT, bake
from tools.debian import program
from tools.environments import project_environment
from tools.pages.fire import Outcome, record

AT_ONCE = 8
CASE = {"name", "backend"}  # the parameters of a test that plays a case


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Airflow, a store and two workers, running."""
    folder = tmp_path_factory.mktemp("fire")
    project = bake(folder, folder / "bake", {"cloud": "aws", "xcom_backend": "custom"}, accept_hooks=False)
    requirements = [
        project / "requirements-dev.txt",
        ROOT / "requirements" / "upgrade.in",
        ROOT / "requirements" / "fire.in",
    ]
    python = project_environment("fire", requirements)
    for name, package in (("initdb", "postgresql"), ("faketime", "faketime")):
        program(name, package)
    running = Site(folder / "site", project, python, python.parent / "rclone")
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="package")
def outcomes(site: Site, request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """Return what tells the outcome of a case with a backend; FIRE_RECORD=1 writes the page anew at the end."""
    wanted = {
        (str(item.callspec.params["name"]), str(item.callspec.params["backend"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and item.callspec.params.keys() == CASE
    }
    order = list(CASES)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        playing: dict[tuple[str, str], Future[Outcome]] = {
            (name, backend): pool.submit(play, site, CASES[name], backend)
            # The longest first.
            for name, backend in sorted(wanted, key=lambda pair: (-CASES[pair[0]].bound, order.index(pair[0])))
            if name != "airflow_killed"
        }
        last: dict[str, Outcome] = {}

        def outcome(name: str, backend: str) -> Outcome:
            if name != "airflow_killed":
                return playing[name, backend].result()
            if not last:  # after all others: it hurts every run
                for future in playing.values():
                    future.exception()
                last.update(restart_airflow(site, list(BACKENDS)))
            return last[backend]

        try:
            yield outcome
        finally:
            if not all(future.done() for future in playing.values()):
                OVER.set()
            for future in playing.values():
                future.cancel()
    if os.environ.get("FIRE_RECORD"):
        told = {pair: future.result() for pair, future in playing.items() if not future.exception()}
        told |= {("airflow_killed", backend): killed for backend, killed in last.items()}
        record(
            {name: case.title for name, case in CASES.items()},
            {
                name: {backend: told[name, backend] for backend in backends_of(case)}
                for name, case in CASES.items()
                if all((name, backend) in told for backend in backends_of(case))
            },
            DEADLINE,
        )
