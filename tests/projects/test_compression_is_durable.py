"""With compression on, a push has either put the whole object into the store, or raised.

The provider's class promises neither, which is why the template emits one of its own. What the provider's does is
printed next to each result (`pytest -rP`), so that a later version that mends it is seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tools.baking import CHOICES, Bake, Install, environment_of_a_project, run
from tools.processes import free_port
from tools.projects import PROBES

OURS = "include.xcom_object_storage.XComObjectStorageBackend"
PROVIDERS = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
BUCKET = "xcom-tests"
COMPRESSIONS = [compression for compression in CHOICES["compression"] if compression != "none"]
DECODE = """
import fsspec, io, sys
sys.stdout.buffer.write(fsspec.compression.compr[sys.argv[1]](io.BytesIO(sys.stdin.buffer.read()), mode="rb").read())
"""


def run_probe(
    name: str, *arguments: str, project: Path, programs: Path, tmp_path: Path, **variables: str
) -> list[dict[str, Any]]:
    """Run a probe in a project with its environment, and return the JSON lines that it printed."""
    settings = {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        "PYTHONPATH": str(project),
        **variables,
    }
    environment = {**environment_of_a_project(programs, tmp_path), **settings}
    done = run(programs / "python", PROBES / name, *arguments, cwd=project, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]


@pytest.mark.parametrize("compression", ["gzip", "zip"])
def test_a_push_that_the_store_refuses_raises(compression: str, bake: Bake, install: Install, tmp_path: Path) -> None:
    project = bake(cloud="aws", compression=compression)
    programs = install("aws", project / "requirements-dev.txt")
    setting = {"AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION": compression}
    ours, providers = run_probe(
        *("push_to_a_refusing_store.py", OURS, PROVIDERS),
        project=project,
        programs=programs,
        tmp_path=tmp_path,
        **setting,
    )
    print(f"The provider's own class raised {providers['error']}, and {providers['objects']} objects were stored.")
    assert ours["class"] == OURS
    assert ours["objects"] == 0
    assert ours["error"], "the push went on as if the object were stored"
    assert "PermissionError" in ours["error"]


@pytest.fixture
def all_compressions(bake: Bake, install: Install) -> tuple[Path, Path]:
    """Return a project on Google Cloud Storage, and the programs of an environment that knows every compression."""
    bakes = [bake(cloud="gcp", compression=compression) for compression in COMPRESSIONS]
    return bakes[0], install("gcp-compressions", *(project / "requirements-dev.txt" for project in bakes))


@pytest.fixture
def gcs(all_compressions: tuple[Path, Path]) -> Iterator[str]:
    """Yield the URL of a GCS emulator, in a process that outlives the ones that push."""
    _, programs = all_compressions
    port = free_port()
    options = ["--host=127.0.0.1", f"--port={port}", "--in-memory", f"--default-bucket={BUCKET}"]
    with subprocess.Popen([str(programs / "gcp-storage-emulator"), "start", *options]) as emulator:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_up(f"{url}/storage/v1/b/{BUCKET}", seconds=60)
            yield url
        finally:
            emulator.terminate()


def wait_until_up(url: str, seconds: float) -> None:
    """Wait until a URL answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            requests.get(url, timeout=seconds)
            return
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def stored_bytes(gcs: str, path: str) -> bytes | None:
    """Return the bytes of the object at a path such as ``gs://conn@bucket/xcom/…``, or None if there is none."""
    key = path.partition(f"@{BUCKET}/")[2]
    assert key, path
    answer = requests.get(f"{gcs}/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}?alt=media", timeout=60)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.content


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_process_that_ends_right_after_a_push_leaves_the_whole_object_smaller_than_its_json(
    all_compressions: tuple[Path, Path], gcs: str, tmp_path: Path
) -> None:
    project, programs = all_compressions
    extra = {"project": "test", "is_anonymous": True, "gcs.endpoint": gcs}
    settings = {
        "AIRFLOW_CONN_MY_GCP_CONN": json.dumps({"conn_type": "google_cloud_platform", "extra": extra}),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"gs://my_gcp_conn@{BUCKET}/xcom",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }

    def probe(*arguments: str) -> list[dict[str, Any]]:
        return run_probe(*arguments, project=project, programs=programs, tmp_path=tmp_path, **settings)

    pushes = probe("push_and_exit.py", f"{OURS},{PROVIDERS}", ",".join(COMPRESSIONS))
    text = json.dumps({"numbers": list(range(100_000))}).encode()
    for push in pushes:
        stored = stored_bytes(gcs, push["path"])
        size = "no object" if stored is None else f"{len(stored):,} bytes"
        print(f"{push['compression']:8}{push['class']}: {size} for {len(text):,} bytes of JSON")

    ours = {push["compression"]: push["path"] for push in pushes if push["class"] == OURS}
    assert list(ours) == COMPRESSIONS, "a compression that is offered and cannot push"
    for compression, path in ours.items():
        stored = stored_bytes(gcs, path)
        assert stored, f"{compression}: the task succeeded, and there is no object"
        assert len(stored) < len(text), f"{compression} does not compress"
        decode = [str(programs / "python"), "-c", DECODE, compression]
        assert subprocess.run(decode, input=stored, capture_output=True, check=True).stdout == text
    assert [pull["is_value"] for pull in probe("pull.py", OURS, *ours.values())] == [True] * len(ours)
