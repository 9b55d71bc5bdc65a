"""The project for each other cloud on the same cluster, with either backend class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.cluster.cluster import BACKEND, PROVIDER, running_cluster
from e2e.cluster.conftest import Record

HAND_OVER = Path(__file__).parent / "dags" / "hand_over.py"


@pytest.mark.parametrize(("cloud", "scheme"), [("gcp", "gs://"), ("azure", "abfs://")])
def test_both_backends(cloud: str, scheme: str, record: Record) -> None:
    with running_cluster({"cloud": cloud, "xcom_backend": "custom"}, dags=[HAND_OVER]) as cluster:
        runs = {"the custom class": cluster.run("hand_over")}
        cluster.run("custom_xcom_backend_test")
        cluster.restart_workers({BACKEND: PROVIDER})
        runs["the provider's"] = cluster.run("hand_over")
        cluster.run("custom_xcom_backend_test")
        paths = {}
        for name, run in runs.items():
            query = "SELECT value FROM xcom WHERE run_id = :'run' AND task_id = 'push'"
            ((value,),) = cluster.database.query(query, run=run.run_id)
            row = json.loads(value)
            paths[name] = row["paths"][0] if isinstance(row, dict) else row
            assert paths[name].startswith(cluster.store.path)
            assert paths[name].startswith(scheme)
        record(f"cloud {cloud}", {"store": cluster.store.name.partition(" on ")[0], "backends": list(paths)})
