"""Integrity of every Dag of this project: it loads, it has a tag, and people can read what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.models import DagBag
from airflow.providers.common.compat.sdk import DAG

BAG = DagBag(str(Path(__file__).parents[2] / "dags"))


def test_every_file_of_the_dags_folder_loads() -> None:
    assert not BAG.import_errors
    assert BAG.dags


@pytest.mark.parametrize("dag", BAG.dags.values(), ids=BAG.dags)
def test_every_dag_has_a_tag_and_a_description(dag: DAG) -> None:
    assert dag.tags, f"{dag.dag_id} has no tags"
    assert dag.doc_md or dag.description, f"{dag.dag_id} says nowhere what it is for"
