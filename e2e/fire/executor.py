"""An executor whose workers are other processes: it hands out tasks and takes back results as files, nothing else.

Like Celery without its broker: tasks outlive the scheduler, a killed worker tells nothing, and each worker has settings
of its own. Runs in the project's environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from airflow.executors.base_executor import BaseExecutor
from airflow.models.taskinstancekey import TaskInstanceKey

SPOOL = Path(os.environ["FIRE_FOLDER"], "spool")


class FileExecutor(BaseExecutor):  # type: ignore[misc]
    """Writes each task into the spool of its backend's worker."""

    def _process_workloads(self, workloads: Sequence[Any]) -> None:
        for workload in workloads:
            # A Dag run says by its ID which backend its tasks have: provider-..., custom-...
            folder = SPOOL / workload.ti.run_id.partition("-")[0]
            waiting = folder / f"{uuid4().hex}.new"
            waiting.write_text(workload.model_dump_json())
            waiting.rename(waiting.with_suffix(".json"))
            self.queued_tasks.pop(workload.key)
            self.running.add(workload.key)

    def sync(self) -> None:
        """Tell the scheduler which tasks have ended."""
        for file in SPOOL.glob("*/*.done"):
            key, state = json.loads(file.read_text())
            file.unlink()
            self.change_state(TaskInstanceKey(*key), state)

    def try_adopt_task_instances(self, tis: Sequence[Any]) -> Sequence[Any]:
        """After a restart of the scheduler, go on with what the workers still run: all of it."""
        self.running |= {ti.key for ti in tis}
        return []

    def end(self) -> None:
        """Leave the workers alone."""

    def terminate(self) -> None:
        """Leave the workers alone."""
