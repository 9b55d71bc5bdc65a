"""A worker: forks for each task of its spool and runs it under Airflow's own supervisor, with the run's own settings.

Runs in the project's environment. `FIRE_FOLDER/runs/<hash of the run ID>.json` holds environment variables for the
tasks of a run; with `LD_PRELOAD` among them, the task gets a process of its own from the start.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import airflow.providers.amazon.aws.fs.s3
import airflow.sdk.execution_time.supervisor
import airflow.sdk.execution_time.task_runner
import boto3
import s3fs
from airflow.executors.base_executor import BaseExecutor
from airflow.executors.workloads import ExecuteTask

FOLDER = Path(os.environ["FIRE_FOLDER"])
PRELOADED = (airflow, boto3, s3fs)  # what each task would import anew


def name_of(run_id: str) -> str:
    """Return the name of a run's files."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:16]


def main(spool: Path) -> None:
    """Take tasks until the process is ended."""
    gc.freeze()
    while True:
        for file in sorted(spool.glob("*.json")):
            taken = file.with_suffix(".taken")
            file.rename(taken)
            if os.fork() == 0:
                work(taken)
                os._exit(0)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.1)


def work(file: Path) -> None:
    """Run one task to its end in this process and write down how it ended."""
    os.setsid()
    workload = ExecuteTask.model_validate_json(file.read_text())
    ti = workload.ti
    settings = FOLDER / "runs" / f"{name_of(ti.run_id)}.json"
    changes: dict[str, Any] = json.loads(settings.read_text()) if settings.exists() else {}
    if size := changes.pop("RLIMIT_FSIZE", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    os.environ.update(changes)
    (FOLDER / "pids" / f"{name_of(ti.run_id)}.{ti.task_id[:80]}.{ti.try_number}").write_text(str(os.getpid()))
    if "LD_PRELOAD" in changes:
        module = "airflow.sdk.execution_time.execute_workload"
        os.execv(sys.executable, [sys.executable, "-m", module, "--json-path", str(file)])  # noqa: S606
    state = "success"
    try:
        BaseExecutor.run_workload(workload)
    except BaseException as error:
        print(f"{ti.key}: {type(error).__name__}: {error}", flush=True)
        state = "failed"
    done = file.with_suffix(".writing")
    done.write_text(json.dumps([list(ti.key), state]))
    done.rename(file.with_suffix(".done"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
