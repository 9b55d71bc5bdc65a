"""Versions: known-bad pairs, and the end of maintenance of the Runtime. All seen by running."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from importlib import metadata
from urllib.parse import urlsplit

from packaging.version import Version

from include.xcom_doctor.model import NotAskedError, Outcome, check, finding, ok, warning
from include.xcom_doctor.situation import PROVIDER_BACKEND, Situation

# Astro Runtime series -> last day of maintenance (Astronomer's lifecycle table, 2026-11).
RUNTIMES = {
    "3.3": date(2028, 7, 31),
    "3.2": date(2028, 4, 30),
    "3.1": date(2027, 9, 30),
    "3.0": date(2027, 4, 30),
    "13": date(2027, 4, 30),
    "12": date(2026, 2, 28),
    "11": date(2025, 10, 31),
}
_GCSFS_HNS = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
_COMMON_IO = "apache-airflow-providers-common-io"


@check
def versions_pairs(situation: Situation) -> Outcome:
    """Every known-bad pair."""
    troubles = []
    for names, is_bad, seen, fix in PAIRS:
        have = {"airflow": Version(situation.airflow.version)} | {name: _installed(name) for name in names}
        versions = [have[name] for name in ("airflow", *names)]
        if None not in versions and is_bad(*versions):
            what = ", ".join(
                f"{name.removeprefix('apache-airflow-providers-')} {version}" for name, version in have.items()
            )
            troubles.append((f"{what}: {seen}", fix))
    if _installed(_COMMON_IO) is None and situation.backend_name == PROVIDER_BACKEND:
        troubles = []  # class.found says so
    if troubles:
        return finding("; ".join(seen for seen, _ in troubles), "\n".join(fix for _, fix in troubles))
    names = ("apache-airflow", _COMMON_IO, "s3fs", "gcsfs", "adlfs", "pandas", "universal-pathlib")
    return ok(", ".join(f"{name} {version}" for name in names if (version := _installed(name))))


@check
def versions_gcsfs(situation: Situation) -> Outcome:
    """An http endpoint, and the variable that turns the look-up off not set; gcsfs reads it when it is imported."""
    on = situation.env.get(_GCSFS_HNS, "true").lower() in ("true", "1")
    if situation.cloud.module == "gcsfs" and on and urlsplit(situation.endpoint).scheme == "http":
        return finding(f"gcsfs {_installed('gcsfs')} at {situation.endpoint}, and {_GCSFS_HNS} is not false")
    return ok("no emulator of Cloud Storage" if situation.cloud.module != "gcsfs" or on else f"{_GCSFS_HNS}=false")


@check
def versions_security(situation: Situation) -> Outcome:
    """Airflow 3 before 3.3.0."""
    version = Version(situation.airflow.version)
    is_old = version.major == 3 and version < Version("3.3.0")
    return (warning if is_old else ok)(f"Airflow {version}")


@check
def versions_runtime(situation: Situation) -> Outcome:
    """The image this runs in, else the Dockerfile's."""
    image = re.search(r"^\s*FROM\s+\S*(?:astro-)?runtime:(\S+)", situation.read("Dockerfile"), re.M)
    tag = situation.env.get("ASTRONOMER_RUNTIME_VERSION") or (image[1] if image else "")
    if not tag:
        raise NotAskedError("no Astro Runtime here and none in the Dockerfile")
    end = next((day for series, day in RUNTIMES.items() if re.match(rf"{re.escape(series)}(?!\d)", tag)), None)
    if end is None:
        return ok(f"Runtime {tag}: newer than this table")
    return (finding if end < date.today() else ok)(f"Runtime {tag}: maintained until {end}")


def _installed(name: str) -> Version | None:
    try:
        return Version(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


# Distributions, when their versions (Airflow's first) do not go together, what happens, and the fix.
PAIRS: tuple[tuple[tuple[str, ...], Callable[..., bool], str, str], ...] = (
    (
        ("pandas",),
        lambda airflow, pandas: airflow.major == 2 and pandas.major >= 3,
        "every DataFrame XCom fails",
        "in requirements.txt: pandas<3",
    ),
    (
        ("universal-pathlib",),
        lambda airflow, upath: airflow <= Version("2.11.0") and upath >= Version("0.3"),
        "no filesystem can be opened",
        "in requirements.txt: universal-pathlib<0.3",
    ),
    (
        (_COMMON_IO,),
        lambda _, common_io: common_io < Version("1.3.1"),
        "the class has its old name only",
        "in requirements.txt: apache-airflow-providers-common-io>=1.11",
    ),
    (
        (_COMMON_IO,),
        lambda airflow, common_io: airflow >= Version("3.4.0a0") and Version("1.3.1") <= common_io < Version("1.11"),
        "it lacks the hooks of Airflow 3.4",
        "in requirements.txt: apache-airflow-providers-common-io>=1.11",
    ),
    (
        ("celery", "apache-airflow-providers-celery"),
        lambda _, celery, provider: celery >= Version("5.7") and provider <= Version("3.26.0"),
        "workers do not start",
        "in requirements.txt: celery<5.7",
    ),
    (
        ("astro-sdk-python",),
        lambda airflow, _: airflow.major == 3,
        "astro-sdk-python does not import on Airflow 3",
        "remove from requirements.txt: astro-sdk-python",
    ),
)
