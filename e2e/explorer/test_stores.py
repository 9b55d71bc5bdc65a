"""The explorer on the store of each cloud, with both classes: seen in Chromium, downloaded, gone, and down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from e2e.explorer.conftest import Look, Make, Site
from tools.baking import run

TOOLS = {"aws": "aws s3 cp s3://", "gcp": "gcloud storage cp gs://", "azure": "az storage blob download "}
# Run in the project: any program reads the objects so.
HASHES = """
import hashlib, json, sys
from airflow.sdk import ObjectStoragePath
hashes = {path: hashlib.sha256(ObjectStoragePath(path).read_bytes()).hexdigest() for path in sys.argv[2:]}
ObjectStoragePath(sys.argv[1]).unlink()
print("HASHES", json.dumps(hashes))
"""


@pytest.mark.parametrize("backend", ["custom", "object_storage"])
@pytest.mark.parametrize("cloud", TOOLS)
def test_objects_of_a_store_are_seen_until_it_is_down(cloud: str, backend: str, make_site: Make, look: Look) -> None:
    site = make_site(backend, cloud=cloud)
    assert site.store
    listed = site.values()["xcoms"]
    stored = [xcom["key"] for xcom in listed if xcom["places"]]
    seen = look(site, ["in_airflow"], "matrix" if backend == "custom" else "records")
    assert seen["problems"] == []
    assert set(seen["shown"]) == {xcom["key"] for xcom in listed}
    for key in stored:
        assert ("verified" if backend == "custom" else "read") in seen["shown"][key], key
        assert "does not answer" not in seen["shown"][key]

    paths = {key: site.value(key)["paths"][0] for key in stored}
    last = paths.pop("text")
    hashes = removed(site, last, list(paths.values()))
    for key, path in paths.items():
        content = site.get("api/download", **site.where(), key=key).content
        assert hashlib.sha256(content).hexdigest() == hashes[path], key
    assert hashlib.sha256(Path(seen["downloaded"]).read_bytes()).hexdigest() in hashes.values()
    assert TOOLS[cloud] in seen["shown"]["records"]

    assert site.value("text")["state"] == "gone"
    site.store.process.stop()
    down = site.value("records")
    assert (down["state"], "view" in down) == ("store does not answer", False), down
    assert down["what"] == next(xcom["what"] for xcom in listed if xcom["key"] == "records")
    assert site.get("api/download", **site.where(), key="records").status_code == 502
    assert site.value("small")["state"] == "read"


def removed(site: Site, path: str, others: Sequence[str]) -> dict[str, str]:
    """Remove an object with Airflow's own paths, and return the SHA-256 of others."""
    done = run(site.airflow.python, "-c", HASHES, path, *others, env=site.airflow.settings, timeout=240)
    told = next((line for line in done.stdout.splitlines() if line.startswith("HASHES ")), "")
    assert told, done.stdout + done.stderr
    return dict(json.loads(told.removeprefix("HASHES ")))
