"""The XCom doctor as a Dag: the same checks where they matter, on the worker; the report is in the task log."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task
from pendulum import datetime

log = logging.getLogger("airflow.task")
AMBIENT = Param(False, type="boolean", description="Allow the worker's own identity where the connection has none.")


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["xcom", "doctor"],
    doc_md=__doc__,
    params={"ambient": AMBIENT},
)
def xcom_doctor() -> None:
    @task(retries=0)
    def examine_worker(params: dict[str, Any] | None = None) -> None:
        """Fail with the number of findings, so that a sick worker is red in the grid."""
        # Imported here: the doctor loads the filesystems, and a Dag file is parsed every few seconds.
        from include.xcom_doctor import Situation, examine, exit_code, report
        from include.xcom_shared import REPORT

        results = examine(Situation(ambient=bool((params or {}).get("ambient"))))
        bad = [result.as_dict() for result in results if result.state not in {"ok", "skipped"}]
        with suppress(Exception):  # what it found may be that no XCom can be pushed
            context: Any = get_current_context()
            context["ti"].xcom_push(key=REPORT, value={"summary": report.summary(results), "results": bad})
        log.info("XCom doctor on this worker:\n%s", report.as_text(results, everything=True))
        if exit_code(results):
            raise RuntimeError(f"XCom doctor: {report.summary(results)}; the report above says how to fix them")

    examine_worker()


xcom_doctor()
