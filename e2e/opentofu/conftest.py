"""What the tests of infra/ share: a baked project of each cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.baking import Answers, bake


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By cloud; ``long`` for AWS with the longest names, ``agents`` for theirs, and with a mirror in the same cloud."""
    folder = tmp_path_factory.mktemp("projects")
    answers: dict[str, Answers] = {cloud: {"cloud": cloud} for cloud in ("aws", "gcp", "azure")}
    answers["long"] = {"cloud": "aws", "bucket": "b" * 63, "project_slug": "p" * 63}
    answers["agents"] = {"cloud": "aws", "remote_execution": True}
    mirrors = {
        "mirror": ("aws", "s3://my_aws_conn@second-bucket/copies"),
        "gcp-mirror": ("gcp", "gs://my_gcp_conn@second-bucket/copies"),
        "azure-mirror": ("azure", "abfs://second_conn@second-container/copies"),
    }
    for name, (cloud, path) in mirrors.items():
        answers[name] = {"cloud": cloud, "xcom_backend": "custom", "mirror": path}
    return {name: bake(folder, folder / name, one, accept_hooks=False) for name, one in answers.items()}
