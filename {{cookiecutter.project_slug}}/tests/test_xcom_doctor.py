"""The doctor on this project: healthy as it is, one mistake is one finding, and nothing is left in the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from conftest import MIRROR, PATH, PROJECT, THRESHOLD


@pytest.fixture
def root(tmp_path: Path, set_threshold: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder without `.env`, for these tests run on another store than the one that is named there."""
    shutil.copy(PROJECT / "Dockerfile", tmp_path)
    set_threshold(1000)
    # What other tests left in the metadata database is no business of these.
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/none.db")
    return tmp_path


def left_behind() -> list[str]:
    """Return all objects of the doctor that are still in the store, or in both stores."""
    bases = [ObjectStoragePath(os.environ[name]) for name in (PATH, MIRROR) if os.environ.get(name)]
    for base in bases:
        base.fs.invalidate_cache()
    paths = (path for base in bases if base.exists() for path in base.rglob("*"))
    return [str(path) for path in paths if "xcom-doctor" in str(path) and path.is_file()]


def test_the_command_finds_nothing_and_leaves_nothing(root: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "include.xcom_doctor", "--project", str(root), "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    states = {result["check"]: result["state"] for result in json.loads(done.stdout)["results"]}
    assert {states[name] for name in ("rights.write", "rights.delete", "roundtrip.small", "roundtrip.big")} == {"ok"}
    assert left_behind() == []


def test_a_misspelt_setting_is_the_one_finding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.xcom_doctor import Situation, examine, exit_code

    misspelt = THRESHOLD.replace("OBJECTSTORAGE", "OBJECTSTORE")
    monkeypatch.setenv(misspelt, os.environ[THRESHOLD])
    monkeypatch.delenv(THRESHOLD)
    results = examine(Situation(root))
    found = {result.check: result.fix for result in results if result.state in ("finding", "error")}
    assert found == {"settings.names": f"rename in .env: {misspelt} -> {THRESHOLD}"}
    assert exit_code(results) == 1
