"""Findings about versions. A pair that is not installed is laid in front as metadata: all that the check reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put another version of a distribution in front of the installed one."""
    front = tmp_path / "front"
    front.mkdir()
    monkeypatch.syspath_prepend(str(front))

    def lay(name: str, version: str) -> Path:
        info = front / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return info

    return lay


def forget_path(info: Path) -> None:
    (info / "METADATA").unlink()
    info.rmdir()
    for finder in sys.meta_path:
        getattr(finder, "invalidate_caches", lambda: None)()


@pytest.mark.parametrize(
    ("airflow", "packages", "seen", "fix"),
    [
        ("2.11.2", {"pandas": "3.0.0"}, "every DataFrame XCom fails", "pandas<3"),
        (
            "2.11.0",
            {"universal-pathlib": "0.3.4", "pandas": "2.1.4"},
            "universal-pathlib 0.3.4",
            "universal-pathlib<0.3",
        ),
        ("", {"apache-airflow-providers-common-io": "1.3.0"}, "old name only", "common-io>=1.11"),
        (
            "3.4.0",
            {"apache-airflow-providers-common-io": "1.10.0"},
            "lacks the hooks of Airflow 3.4",
            "common-io>=1.11",
        ),
        ("", {"celery": "5.7.0", "apache-airflow-providers-celery": "3.26.0"}, "workers do not start", "celery<5.7"),
        ("3.3.2", {"astro-sdk-python": "1.9.0"}, "does not import on Airflow 3", "astro-sdk-python"),
    ],
)
def test_known_bad_pair(
    on_s3: Any,
    install: Any,
    monkeypatch: pytest.MonkeyPatch,
    airflow: str,
    packages: dict[str, str],
    seen: str,
    fix: str,
) -> None:
    from include.xcom_doctor import situation

    real = situation.load_airflow()

    def as_version() -> Any:
        real.version = airflow or real.version
        real.three = not real.version.startswith("2")
        return real

    monkeypatch.setattr(situation, "load_airflow", as_version)
    laid = [install(name, version) for name, version in packages.items()]

    def restore(_: str) -> None:  # what lies behind them is the tested version
        for info in laid:
            forget_path(info)

    on_s3.restore = restore
    on_s3.fix(on_s3.has("versions.pairs", seen, fix, only=["versions.pairs"]))
    if airflow[:4] not in ("2.11", "3.4."):  # for those the installed packages are of another Airflow
        on_s3.is_healthy(only=["versions.pairs"])


@pytest.mark.parametrize("tag", ["12.8.0", "11.5.0-base"])
def test_runtime_after_its_end(on_s3: Any, tag: str) -> None:
    on_s3.write("Dockerfile", f"FROM quay.io/astronomer/astro-runtime:{tag}\n")
    on_s3.is_fixed_by_its_word("versions.runtime", f"Runtime {tag}: maintained until 202", "maintained Runtime")


def test_runtime_of_the_container(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRONOMER_RUNTIME_VERSION", "12.8.0")
    on_s3.has("versions.runtime", "Runtime 12.8.0")


def test_airflow_without_the_fixes_is_a_warning(on_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_doctor import situation

    real = situation.load_airflow()
    real.version = "3.1.8"
    monkeypatch.setattr(situation, "load_airflow", lambda: real)
    on_s3.has("versions.security", "Airflow 3.1.8", "3.3 or newer", state="warning", only=["versions"])
