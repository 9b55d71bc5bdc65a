"""Checks of versions: known-bad pairs, and the end of maintenance of the Runtime. All seen by running."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from datetime import date
from importlib import metadata
from urllib.parse import urlsplit

from packaging.version import Version

from include.xcom_doctor.registry import Outcome, check, finding, ok, skip, warning
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
NAMES = (
    "apache-airflow",
    "apache-airflow-providers-common-io",
    "apache-airflow-providers-celery",
    "s3fs",
    "gcsfs",
    "adlfs",
    "pandas",
    "universal-pathlib",
    "celery",
    "astro-sdk-python",
)
# A pair: what is wrong, and the line that mends it; empty when these versions go together.
Pair = Callable[[dict[str, Version], Situation], tuple[str, str] | None]


@check(
    "versions.pairs",
    title="No two installed versions are known not to work together",
    symptom="Errors that speak of something else: `detected protocol s3 which is incompatible`, "
    "`cannot serialize object of type DataFrame`",
    why="Each of these pairs was seen to fail.",
    mend="pin the versions in requirements.txt as the message says",
)
def versions_pairs(situation: Situation) -> Outcome:
    """Every known-bad pair."""
    have = installed()
    troubles = [trouble for pair in PAIRS if (trouble := pair(have, situation))]
    if troubles:
        return finding("; ".join(seen for seen, _ in troubles), "\n".join(mend for _, mend in troubles))
    return ok(", ".join(f"{name} {version}" for name, version in have.items()))


@check(
    "versions.gcsfs",
    title="gcsfs leaves an emulator alone with gRPC",
    symptom="At an emulator of Cloud Storage one push takes minutes",
    why="Since 2026 gcsfs looks for hierarchical namespaces by gRPC over TLS, also at an endpoint "
    "that speaks plain http.",
    mend=f"set in .env: {_GCSFS_HNS}=false",
    needs=("connection.credentials",),
)
def versions_gcsfs(situation: Situation) -> Outcome:
    """An http endpoint, and the variable that turns the look-up off not set; gcsfs reads it when it is imported."""
    on = situation.env.get(_GCSFS_HNS, "true").lower() in ("true", "1")
    if situation.cloud.module == "gcsfs" and on and urlsplit(situation.endpoint).scheme == "http":
        return finding(f"gcsfs {installed().get('gcsfs')} at {situation.endpoint}, and {_GCSFS_HNS} is not false")
    return ok("no emulator of Cloud Storage" if situation.cloud.module != "gcsfs" or on else f"{_GCSFS_HNS}=false")


@check(
    "versions.security",
    title="This Airflow has the known XCom fixes",
    symptom="Nothing, until somebody uses it",
    why="CVE-2026-33858, CVE-2026-25917 and CVE-2026-42359 let an XCom payload run code on Airflow 3 "
    "before 3.2.2; CVE-2026-33264 before 3.3.0.",
    mend="move to a Runtime with Airflow 3.3 or newer",
)
def versions_security(situation: Situation) -> Outcome:
    """Airflow 3 before 3.3.0."""
    version = Version(situation.airflow.version)
    if version.major == 3 and version < Version("3.3.0"):
        return warning(f"Airflow {version}")
    return ok(f"Airflow {version}")


@check(
    "versions.runtime",
    title="The Astro Runtime is maintained",
    symptom="No fixes any more, for Airflow or for the image beneath it",
    why="After the end of maintenance there are no security fixes.",
    mend="take a maintained Runtime in the Dockerfile's FROM line",
)
def versions_runtime(situation: Situation) -> Outcome:
    """The image this runs in, else the Dockerfile's."""
    tag = situation.env.get("ASTRONOMER_RUNTIME_VERSION") or _tag(situation.read("Dockerfile"))
    if not tag:
        return skip("no Astro Runtime here and none in the Dockerfile")
    series = next((one for one in RUNTIMES if re.match(rf"{re.escape(one)}(?!\d)", tag)), "")
    if not series:
        return ok(f"Runtime {tag}: newer than this table")
    if RUNTIMES[series] < date.today():
        return finding(f"Runtime {tag}: maintained until {RUNTIMES[series]}")
    return ok(f"Runtime {tag}: maintained until {RUNTIMES[series]}")


def installed() -> dict[str, Version]:
    """The versions of the distributions that a pair or the report speaks of."""
    found: dict[str, Version] = {}
    for name in NAMES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = Version(metadata.version(name))
    return found


def _pandas_3_on_airflow_2(have: dict[str, Version], situation: Situation) -> tuple[str, str] | None:
    pandas = have.get("pandas")
    if not situation.airflow.three and pandas and pandas >= Version("3"):
        return (
            f"pandas {pandas} with Airflow {situation.airflow.version}: every DataFrame XCom fails",
            "in requirements.txt: pandas<3",
        )
    return None


def _upath_on_airflow_2_11_0(have: dict[str, Version], situation: Situation) -> tuple[str, str] | None:
    upath = have.get("universal-pathlib")
    if Version(situation.airflow.version) <= Version("2.11.0") and upath and upath >= Version("0.3"):
        return (
            f"universal-pathlib {upath} with Airflow {situation.airflow.version}",
            "in requirements.txt: universal-pathlib<0.3",
        )
    return None


def _old_common_io(have: dict[str, Version], situation: Situation) -> tuple[str, str] | None:
    version = have.get("apache-airflow-providers-common-io")
    if version is None and situation.backend_name == PROVIDER_BACKEND:
        return None  # class.found says so
    if version and version < Version("1.3.1"):
        return (
            f"common-io {version} has the class under its old name only",
            "in requirements.txt: apache-airflow-providers-common-io>=1.11",
        )
    if version and Version(situation.airflow.version) >= Version("3.4.0a0") and version < Version("1.11"):
        return (
            f"common-io {version} lacks the hooks of Airflow 3.4",
            "in requirements.txt: apache-airflow-providers-common-io>=1.11",
        )
    return None


def _celery(have: dict[str, Version], situation: Situation) -> tuple[str, str] | None:
    celery, provider = have.get("celery"), have.get("apache-airflow-providers-celery")
    if celery and provider and celery >= Version("5.7") and provider <= Version("3.26.0"):
        return (
            f"celery {celery} with the celery provider {provider}: workers do not start",
            "in requirements.txt: celery<5.7",
        )
    return None


def _astro_sdk(have: dict[str, Version], situation: Situation) -> tuple[str, str] | None:
    sdk = have.get("astro-sdk-python")
    if sdk and situation.airflow.three:
        return f"astro-sdk-python {sdk} does not import on Airflow 3", "remove from requirements.txt: astro-sdk-python"
    return None


PAIRS: tuple[Pair, ...] = (
    _pandas_3_on_airflow_2,
    _upath_on_airflow_2_11_0,
    _old_common_io,
    _celery,
    _astro_sdk,
)


def _tag(dockerfile: str) -> str:
    match = re.search(r"^\s*FROM\s+\S*(?:astro-)?runtime:(\S+)", dockerfile, re.M)
    return match[1] if match else ""
