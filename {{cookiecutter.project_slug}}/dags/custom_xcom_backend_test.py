"""### Where do my XComs go?

`push_objects` pushes two XComs: `small_obj`, a few bytes, and `big_obj`, always bigger than the threshold.
`pull_objects` pulls both back, compares them with what was pushed, and logs where each came from.

Trigger this Dag, then open the **XCom** tab of `push_objects`: the small one shows its value, because it lives in the
metadata database. The big one shows a reference: its value lives in object storage, at that path.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from airflow.providers.common.compat.sdk import conf, dag, get_current_context, task

log = logging.getLogger(__name__)

SMALL_OBJ = {"a": 23}


def make_big_obj() -> dict[str, list[int]]:
    """Return an object whose JSON has more bytes than the threshold, and at least about 50,000."""
    threshold = conf.getint("common.io", "xcom_objectstorage_threshold", fallback=-1)
    numbers = max(10_000, threshold // 3)  # a number takes at least 3 bytes: a digit, a comma and a space
    return {"numbers": list(range(numbers))}


def read_row(key: str) -> Any:
    """Return what the metadata database holds for this XCom of `push_objects`: the value itself, or a reference.

    The row is read as it is. `ti.xcom_pull` asks the configured XCom backend, which follows references.
    """
    ti = get_current_context()["ti"]
    names: dict[str, Any] = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": "push_objects", "key": key}
    try:
        from airflow.sdk.bases.xcom import BaseXCom
    except ImportError:  # Airflow 2, where a task may ask the database itself
        from airflow.models.xcom import XCom  # type: ignore[attr-defined, unused-ignore]
        from airflow.utils.session import create_session

        with create_session() as session:
            return json.loads(session.query(XCom.value).filter_by(**names).scalar())
    return BaseXCom.get_one(**names)


@dag(schedule=None, tags=["xcom"], doc_md=__doc__)
def custom_xcom_backend_test() -> None:
    @task
    def push_objects() -> None:
        ti = get_current_context()["ti"]
        ti.xcom_push(key="small_obj", value=SMALL_OBJ)
        ti.xcom_push(key="big_obj", value=make_big_obj())

    @task
    def pull_objects() -> None:
        ti = get_current_context()["ti"]
        for key, pushed in (("small_obj", SMALL_OBJ), ("big_obj", make_big_obj())):
            pulled = ti.xcom_pull(task_ids="push_objects", key=key)
            if pulled != pushed:
                raise ValueError(f"{key} is not what was pushed: {str(pulled)[:200]}")
            row = read_row(key)
            source = "the metadata database" if row == pushed else f"object storage: {row}"
            log.info("%s came back whole from %s", key, source)

    push_objects() >> pull_objects()


custom_xcom_backend_test()
