"""The hooks of Airflow 3.4, store_value and load_value, and what the provider's backend writes there."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from custom_xcom import Configure, objects, pull, store_of
from dag_runs import run_dag

base = pytest.importorskip("airflow.sdk.bases.xcom", reason="Airflow 2 has other hooks")
if not hasattr(base, "XComCoordinate"):
    pytest.skip("XComCoordinate comes with Airflow 3.4", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("configure")


def coordinate(**changes: Any) -> Any:
    """Return the coordinate of a task instance."""
    names: dict[str, Any] = {"dag_id": "dag", "run_id": "run", "task_id": "task", "ti_id": uuid.uuid4()}
    return base.XComCoordinate(**(names | changes))


def test_loop_iterations_and_foreign_writes_do_not_share_objects(tmp_path: Path) -> None:
    from include.xcom_backend import XComBackend

    region = uuid.uuid4()
    coordinates = [coordinate(region_id=region, region_index=index) for index in (0, 1, 0)]
    rows = [XComBackend.store_value(item, "key", [n]) for n, item in enumerate((*coordinates, coordinate(ti_id=None)))]
    rows = json.loads(json.dumps(rows))
    assert [XComBackend.load_value(row) for row in rows] == [[0], [1], [2], [3]]
    assert len(objects(f"file://{tmp_path}/xcom")) == 4
    assert [row["map_index"] for row in rows] == [0, 1, 0, -1]
    assert rows[3]["ti_id"] == "unknown"


def test_real_task_loop(base: str, configure: Configure) -> None:
    configure(path=base, threshold=1000)
    run = run_dag("probe_loop")
    assert run.state == "success"
    keys = objects(base)
    assert [key.split("/")[2:4] for key in keys] == [["passes.add_one", str(index)] for index in range(3)]
    values = [json.loads(store_of(base).get(key, None).data.getvalue()) for key in keys]
    assert values == [[index] * 1000 for index in range(3)]


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_provider_rows_are_read(compression: str, configure: Configure, tmp_path: Path) -> None:
    from airflow.providers.common.io.xcom import backend as provider

    from include.xcom_backend import XComBackend

    configure(compression=compression)
    for getter in (provider._get_base_path, provider._get_compression, provider._get_threshold):
        getter.cache_clear()
    for key, ti_id in (("return_value", uuid.uuid4()), ("a/b #ü", None), ("k" * 300, uuid.uuid4())):
        row = provider.XComObjectStorageBackend.store_value(coordinate(ti_id=ti_id), key, {"a": [1, key]})
        assert isinstance(row, str)
        assert row.startswith(f"file://{tmp_path}/xcom/dag/run/task/")
        assert XComBackend.load_value(row) == pull(row) == {"a": [1, key]}
    for getter in (provider._get_base_path, provider._get_compression, provider._get_threshold):
        getter.cache_clear()
