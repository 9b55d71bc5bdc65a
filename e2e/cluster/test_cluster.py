"""The project's Dags on a whole Airflow with Celery, two workers and each store."""

from __future__ import annotations

import pytest

from e2e.cluster.cluster import running_cluster


@pytest.mark.slice
def test_custom_class_on_s3() -> None:
    with running_cluster({"cloud": "aws", "xcom_backend": "custom"}) as cluster:
        run = cluster.run("custom_xcom_backend_test")
        assert "XCom push: key=big_obj" in cluster.log(run, "push_objects")
