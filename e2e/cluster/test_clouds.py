"""The projects for the other clouds on such a cluster, with either backend class, and that of the provider's on S3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.cluster import BACKEND, Cluster, running_cluster
from e2e.cluster.conftest import Record
from tools.pages.cluster import PROVIDER

HAND_OVER = Path(__file__).parent / "dags" / "hand_over.py"


@pytest.mark.parametrize(("cloud", "scheme"), [("gcp", "gs://"), ("azure", "abfs://")])
def test_both_backends(cloud: str, scheme: str, record: Record) -> None:
    with running_cluster({"cloud": cloud, "xcom_backend": "custom"}, dags=[HAND_OVER]) as cluster:
        assert handed_over(cluster)["paths"][0].startswith(scheme)
        cluster.restart_workers({BACKEND: PROVIDER})
        assert handed_over(cluster).startswith(scheme)
        record(f"cloud {cloud}", {"store": cluster.store.name.partition(" on ")[0]})


def test_project_of_the_provider_on_s3() -> None:
    with running_cluster({"cloud": "aws", "xcom_backend": "object_storage"}, dags=[HAND_OVER]) as cluster:
        assert cluster.settings[BACKEND] == "include.xcom_object_storage.XComObjectStorageBackend"
        assert handed_over(cluster).startswith("s3://")


def handed_over(cluster: Cluster) -> Any:
    """Return the row behind the value that the first worker handed to the second, after the project's own Dag ran."""
    cluster.run("custom_xcom_backend_test")
    run = cluster.run("hand_over")
    assert len(set().union(*cluster.workers_of(run).values())) == 2
    query = "SELECT value FROM xcom WHERE run_id = :'run' AND task_id = 'push'"
    ((value,),) = cluster.database.query(query, run=run.run_id)
    assert cluster.store.path in value
    return json.loads(value)
