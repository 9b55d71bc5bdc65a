"""What projects pin can be installed: all of it together, on every Python that Astro Runtime or a developer has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.baking import CLOUDS, CONFIG, ROOT, Bake, command, name_of, product, run

LOCKS = ROOT / "requirements"
# The Pythons of the Runtime image of each Airflow, and those of developers, whom the image's Pythons do not bind.
RUNTIME_PYTHONS = {"3": ("3.12", "3.13", "3.14"), "2": ("3.12",)}
DEVELOPERS_PYTHONS = {"3": ("3.11", "3.12", "3.13", "3.14"), "2": ("3.11", "3.12")}
# The file in which the pins of the projects for an Airflow are locked.
LOCK_OF = {"3": "projects", "2": "projects-airflow2"}


def every(pythons: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return each pair of an Airflow and a Python."""
    return [(airflow, python) for airflow, versions in pythons.items() for python in versions]


def read_pins(text: str) -> dict[str, set[str]]:
    """Return the versions that a requirements or lock file pins each package to: a universal lock may have several."""
    pins: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith(("#", "-")):
            requirement = Requirement(line)
            pins.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    return pins


def requirements_of_all_bakes(bake: Bake, airflow: str, *names: str) -> list[str]:
    """Return each line of these requirements files of every cloud and compression.

    What can be installed all together can be installed in every selection: one question to uv answers for all of them.
    """
    bakes = [answers for answers in product() if answers["airflow"] == airflow]
    lines = {line for answers in bakes for name in names for line in (bake(**answers) / name).read_text().splitlines()}
    return sorted(line for line in lines if line and not line.startswith(("#", "-")))


def resolve(airflow: str, requirements: Iterable[str], python: str, *options: str) -> str:
    """Return the pins of one set of packages that meets all requirements, and fail if there is none.

    A set within the lock is as good as any: where it exists, the requirements can be met, and the answer does not
    change with what was published today.
    """
    arguments = [
        "pip",
        "compile",
        "--quiet",
        "--python-version",
        python,
        "--constraint",
        LOCKS / f"{LOCK_OF[airflow]}.txt",
        *options,
    ]
    done = run(command("uv"), *arguments, "-", input="\n".join(requirements))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("airflow", "python"), every(RUNTIME_PYTHONS))
def test_a_runtime_image_can_install_what_the_projects_need_without_a_compiler(
    airflow: str, python: str, bake: Bake
) -> None:
    requirements = requirements_of_all_bakes(bake, airflow, "requirements.txt")
    image = [f"apache-airflow=={CONFIG['_airflow'][airflow]['version']}"]
    # The image has Airflow itself, and with it what Airflow 2 alone has no wheel for.
    platform = ("--only-binary", ":all:", "--no-binary", "python-nvd3", "--python-platform", "x86_64-manylinux_2_28")
    resolve(airflow, [*requirements, *image], python, *platform)


@pytest.mark.parametrize(("airflow", "python"), every(DEVELOPERS_PYTHONS))
def test_a_developer_can_install_what_the_tests_need(airflow: str, python: str, bake: Bake) -> None:
    resolve(airflow, requirements_of_all_bakes(bake, airflow, "requirements.txt", "requirements-dev.txt"), python)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(("airflow", "python"), every(DEVELOPERS_PYTHONS))
def test_constraints_pin_every_package_that_pip_would_otherwise_search_versions_of(
    airflow: str, python: str, cloud: str, bake: Bake
) -> None:
    project = bake(cloud=cloud, airflow=airflow, compression="zstd", xcom_backend="custom")
    needed = resolve(airflow, [f"-r {project / 'requirements-dev.txt'}"], python, "--no-annotate")
    missing = read_pins(needed).keys() - read_pins((project / "constraints.txt").read_text()).keys()
    assert not missing, "run `make lock`"


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("airflow", CONFIG["airflow"])
def test_constraints_are_lines_of_the_lock(airflow: str, cloud: str, bake: Bake) -> None:
    head, *pins = (bake(cloud=cloud, airflow=airflow) / "constraints.txt").read_text().splitlines()
    assert head.startswith("# ")
    assert pins
    assert set(pins) <= set((LOCKS / f"{LOCK_OF[airflow]}.txt").read_text().splitlines()), "run `make lock`"


def test_constraints_of_a_project_with_a_mirror_are_those_of_both_clouds(bake: Bake) -> None:
    mirrored = bake(cloud="aws", xcom_backend="custom", mirror="gs://my_gcp_conn@second/xcom") / "constraints.txt"
    pins = [(bake(cloud=cloud) / "constraints.txt").read_text().splitlines()[1:] for cloud in ("aws", "gcp")]
    assert sorted(mirrored.read_text().splitlines()[1:]) == sorted({*pins[0], *pins[1]})


def test_every_airflow_on_offer_is_resolved() -> None:
    assert set(RUNTIME_PYTHONS) == set(DEVELOPERS_PYTHONS) == set(LOCK_OF) == set(CONFIG["airflow"])


@pytest.mark.parametrize("answers", product(), ids=name_of)
def test_every_pin_is_the_one_that_is_locked_and_tested(answers: dict[str, str], bake: Bake) -> None:
    locked = read_pins((LOCKS / f"{LOCK_OF[answers['airflow']]}.txt").read_text())
    for name in ("requirements.txt", "requirements-dev.txt"):
        for package, versions in read_pins((bake(**answers) / name).read_text()).items():
            assert versions <= locked.get(package, set()), f"{package}: run `make lock`"


def test_the_tools_of_the_template_check_what_the_tools_of_a_project_check(bake: Bake) -> None:
    ours = read_pins((LOCKS / "template.txt").read_text())
    theirs = read_pins((bake() / "requirements-dev.txt").read_text())
    for tool in ("ruff", "mypy"):
        assert ours[tool] == theirs[tool]


@pytest.mark.parametrize("lock", ["template", "projects", "projects-airflow2", "projects-next", "cluster"])
def test_a_lock_pins_everything_that_was_asked_for_and_names_no_server(lock: str) -> None:
    text = (LOCKS / f"{lock}.txt").read_text()
    assert not re.search(r"://|@|--|\.(whl|zip|gz)\b", text)
    locked = read_pins(text)
    assert all(re.fullmatch(r"==[\w.]+", version) for versions in locked.values() for version in versions)
    for package, versions in read_pins((LOCKS / f"{lock}.in").read_text()).items():
        assert package in locked, "run `make lock`"
        assert versions in ({""}, locked[package]), f"{package}: run `make lock`"
