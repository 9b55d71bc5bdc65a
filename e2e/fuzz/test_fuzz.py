"""Random bytes break no codec and no parser. FUZZ_SECONDS for each (20); FUZZ_KEEP=1 keeps what is interesting."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tools.baking import clean_environment, run

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
TARGETS = ("json", "values", "codecs", "compression", "row", "keys", "paths")
SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))
OPTIONS = ("-max_len=4096", "-timeout=30", "-rss_limit_mb=3000", "-print_final_stats=1")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_breaks(target: str, project: Path, python: Path, tmp_path: Path) -> None:
    found, kept = tmp_path / "found", CORPUS / target
    found.mkdir()
    fuzz = [python, "-W", "ignore", HERE / "targets.py", target, *OPTIONS, f"-artifact_prefix={tmp_path}/"]
    environment = clean_environment(tmp_path, PYTHONPATH=str(project), PYTHONDONTWRITEBYTECODE="1")
    environment = {name: value for name, value in environment.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{tmp_path}/airflow/xcom",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__XCOM_BACKEND__MAX_DECODED_BYTES": str(2**20),
    }
    limit = {"cwd": tmp_path, "env": environment, "timeout": SECONDS + 300}
    done = run(*fuzz, f"-max_total_time={SECONDS}", found, kept, **limit)
    broken = [f"{file.name}: {file.read_bytes()!r}" for file in tmp_path.glob("*-*") if file.is_file()]
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{broken}"
    print(next(line for line in done.stderr.splitlines() if "number_of_executed_units" in line))
    if os.environ.get("FUZZ_KEEP"):
        merged = tmp_path / "merged"
        merged.mkdir()
        assert run(*fuzz, "-merge=1", merged, kept, found, **limit).returncode == 0
        assert list(merged.iterdir()), "the merge kept nothing"
        shutil.rmtree(kept)
        shutil.copytree(merged, kept)
