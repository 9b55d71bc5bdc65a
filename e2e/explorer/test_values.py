"""What the explorer tells of each kind of value, and of objects that are not what was pushed."""

from __future__ import annotations

import gzip
import hashlib
import json
import mmap
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from e2e.explorer.conftest import SECRET, Make, Site
from tools.baking import run

GB = 10**9
# The view of each value, with some facts in it. What holds a script is in test_browser.py.
VIEWS: dict[str, dict[str, Any]] = {
    "small": {"kind": "tree"},
    "text": {"kind": "text", "size": 90_000, "cut": True},
    "records": {"kind": "tree"},
    "deep": {"kind": "tree"},
    "frame": {"kind": "table", "shape": [1_000, 4]},
    "frame with hostile index": {"kind": "table", "shape": [60, 3]},
    "odd frame": {"kind": "table", "shape": [2, 2]},
    "series": {"kind": "table", "shape": [500, 1]},
    "table": {"kind": "table", "shape": [900, 2]},
    "polars": {"kind": "table", "shape": [700, 2]},
    "inline frame": {"kind": "table", "shape": [2, 1]},
    "matrix": {"kind": "array", "shape": [200, 300], "dtype": "float32", "min": "0.0", "max": "498.0", "mean": "249"},
    "line": {"kind": "array", "shape": [5_000], "dtype": "float64"},
    "picture of colours": {"kind": "array", "shape": [80, 80, 3], "dtype": "uint8"},
    "not finite": {"kind": "array", "not_finite": 200, "min": "1.0"},
    "dates": {"kind": "array", "dtype": "datetime64[D]"},
    "bytes": {"kind": "hex", "size": 5_120, "cut": True},
    "inline bytes": {"kind": "hex", "hex": "00ff", "size": 2},
    "png": {"kind": "image", "type": "image/png"},
    "svg": {"kind": "hex"},
    "html": {"kind": "hex"},
    "exact": {"kind": "tree"},
}


@pytest.fixture(scope="module")
def custom(make_site: Make) -> Site:
    """A project with the custom class."""
    return make_site()


@pytest.mark.slice
@pytest.mark.parametrize(
    "check", ["pytest -q -p no:cacheprovider tests/test_xcom_explorer.py", "ruff check plugins", "mypy"]
)
def test_a_project_with_it_passes_its_own_checks(check: str, custom: Site) -> None:
    project = Path(custom.airflow.settings["PYTHONPATH"])
    done = run(custom.airflow.python, "-m", *check.split(), cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slice
@pytest.mark.parametrize("key", VIEWS)
def test_a_value_has_its_view(key: str, custom: Site) -> None:
    told = custom.value(key)
    assert told["state"] == "read", told
    assert {name: told["view"].get(name) for name in VIEWS[key]} == VIEWS[key]
    assert all(copy["state"] == "verified" for copy in told["copies"])
    assert bool(told["copies"]) == bool(told["paths"])


def test_a_table_shows_its_rows_types_and_nulls(custom: Site) -> None:
    view = custom.value("frame")["view"]
    columns = {column["name"]: (column["type"], column["nulls"]) for column in view["columns"]}
    assert columns["number"] == ("int64", 0)
    assert columns["name"][1] == 100
    assert view["rows"][:2] == [["0", "0.0", None, "x"], ["1", "0.001001001001001001", "name 1", "x"]]
    assert len(view["rows"]) == 50


def test_a_tree_shows_types_that_json_does_not_have(custom: Site) -> None:
    children = dict(custom.value("exact")["view"]["tree"]["children"])
    assert children["when"] == {"type": "datetime", "text": "2024-01-01 00:00:00+00:00"}
    assert (children["tuple"]["type"], children["set"]["type"]) == ("tuple", "set")
    assert children["big"] == {"type": "int", "text": str(2**70)}


@pytest.mark.slice
def test_a_list_tells_what_each_xcom_is_without_reading_it(custom: Site) -> None:
    listed = {xcom["key"]: xcom for xcom in custom.get("api/xcoms", **custom.where()).json()["xcoms"]}
    assert listed["frame"]["what"].startswith("DataFrame 1,000 x 4, Parquet, ")
    assert listed["matrix"]["what"] == "ndarray 200 x 300, .npy, 240.1 kB"
    assert listed["text"]["what"] == "str of 90,000, 90.0 kB"
    assert listed["small"]["what"] == "dict of 2"
    assert listed["text"]["sha256"] == json.loads(custom.get("api/value", **custom.where(), key="text").text)["sha256"]


@pytest.mark.slice
@pytest.mark.parametrize("key", ["text", "frame", "matrix", "png", "html", "records", "a/key/with/slashes"])
def test_a_download_is_the_object_byte_for_byte_under_its_own_name(key: str, custom: Site) -> None:
    path = Path(custom.value(key)["paths"][0].removeprefix("file://"))
    said = custom.get("api/download", **custom.where(), key=key)
    assert said.content == path.read_bytes()
    assert said.headers["content-type"] == "application/octet-stream"
    assert said.headers["content-disposition"].startswith("attachment; ")
    name = said.headers["content-disposition"].partition("UTF-8''")[2]
    assert name.replace("%2F", "_").replace("%7E", "~") == path.name
    assert custom.get("api/download", **custom.where(), key="small").json() == {"a": 1, "b": [True, None, 2.5]}


def test_mapped_task_instances_are_apart(custom: Site) -> None:
    for index in range(3):
        assert custom.value("mapped value", task_id="mapped", map_index=index)["view"]["text"].startswith(
            f"{index + 1} "
        )
    assert custom.get("api/value", **custom.where("mapped"), key="mapped value").status_code == 404


def test_a_list_goes_on_after_a_key(custom: Site) -> None:
    after = custom.get("api/xcoms", **custom.where(), after="text").json()
    assert [xcom["key"] for xcom in after["xcoms"]] == ["wide", "zz odd ~ key"]
    assert after["total"] == len(custom.get("api/xcoms", **custom.where()).json()["xcoms"])


@pytest.mark.slice
@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda path: path.unlink(), "gone"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cut"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "altered"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "altered"),
    ],
    ids=["gone", "cut", "longer", "altered"],
)
def test_an_object_that_is_not_what_was_pushed_is_not_shown(
    change: Any, state: str, custom: Site, tmp_path: Path
) -> None:
    path = Path(custom.value("hostile text")["paths"][0].removeprefix("file://"))
    shutil.copy(path, tmp_path / "kept")
    change(path)
    try:
        told = custom.value("hostile text")
        assert (told["state"], told["copies"][0]["state"]) == (state, state)
        assert "view" not in told
        said = custom.get("api/download", **custom.where(), key="hostile text", stream=True)
        if said.status_code == 200:  # it notices after the first bytes: then it ends too soon, and a browser says so
            with pytest.raises(ProtocolError):
                said.raw.read()
        else:
            assert said.status_code == 502
    finally:
        shutil.copy(tmp_path / "kept", path)
    assert custom.value("hostile text")["state"] == "read"


def test_a_value_that_takes_too_much_memory_ends_only_its_own_process(custom: Site) -> None:
    path = Path(custom.value("wide")["paths"][0].removeprefix("file://"))
    kept, rows = path.read_bytes(), list[Any]()
    size = 200 * 2**20
    data = gzip.compress(b"[" + b"{}," * (size // 3) + b"{}" + b" " * (size % 3 - 1) + b"]")

    def forge(row: dict[str, Any]) -> dict[str, Any]:
        rows.append(row)
        promised = {"compression": "gzip", "size": len(data), "decoded_size": len(gzip.decompress(data))}
        return {**row, **promised, "sha256": hashlib.sha256(data).hexdigest()}

    path.write_bytes(data)
    custom.write_row("wide", forge)
    server = custom.airflow.processes["api-server"]
    told = custom.value("wide")
    assert told["copies"] == [] or told["copies"][0]["state"] == "verified"
    assert told["state"] in {"too big", "not decoded"}
    assert server.running()
    path.write_bytes(kept)
    custom.write_row("wide", lambda _: rows[0])
    assert custom.value("wide")["state"] == "read"


@pytest.mark.slice
def test_a_value_of_1_gb_goes_through_the_api_server_in_small_pieces(custom: Site) -> None:
    path = Path(custom.value("html")["paths"][0].removeprefix("file://"))
    kept, rows = path.read_bytes(), list[Any]()
    os.truncate(path, GB)  # zeros that take no room on the disk
    with path.open("rb") as file:
        sha256 = hashlib.sha256(mmap.mmap(file.fileno(), GB, prot=mmap.PROT_READ)).hexdigest()

    def forge(row: dict[str, Any]) -> dict[str, Any]:
        rows.append(row)
        return {**row, "size": GB, "decoded_size": GB, "sha256": sha256}

    custom.write_row("html", forge)
    before = most = memory(custom)
    assert custom.value("html")["state"] == "too big"
    most = max(most, memory(custom))
    received = 0
    said = custom.get("api/download", **custom.where(), key="html", stream=True)
    for chunk in said.iter_content(2**22):
        received += len(chunk)
        most = max(most, memory(custom))
    path.write_bytes(kept)
    custom.write_row("html", lambda _: rows[0])
    assert received == GB
    print(f"the API server had {before:,} bytes, and at most {most:,} while it sent 1 GB")
    assert most - before < 100 * 10**6


def memory(site: Site) -> int:
    """Return how many bytes of memory the API server has at this moment, without the process that reads values."""
    status = Path(f"/proc/{site.airflow.processes['api-server'].pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_values_of_the_providers_class_are_shown_too(make_site: Make) -> None:
    site = make_site("object_storage")
    told = site.value("text")
    assert told["paths"][0].startswith(f"file://{site.store.folder}/")
    assert (told["state"], told["view"]["kind"], told["view"]["size"]) == ("read", "text", 90_000)
    assert told["verified"] == "by nobody: the provider's class keeps no hash"
    assert site.value("records")["view"]["tree"]["size"] == 2_000
    assert site.value("small")["paths"] == []
    path = Path(told["paths"][0].removeprefix("file://"))
    assert site.get("api/download", **site.where(), key="text").content == path.read_bytes()
    for forged in (
        site.value("return_value", dag_id=SECRET)["paths"][0],
        f"file://{site.store.folder}/../site/airflow.db",
        told["paths"][0].rpartition("/")[0] + "/../../../../site/airflow.db",
    ):
        site.write_row("text", partial(lambda forged, _: forged, forged))
        assert site.value("text")["state"] in {"refused", "read"}
        assert "secret" not in json.dumps(site.value("text").get("view"))
        assert site.value("text")["state"] == "refused"
        assert site.get("api/download", **site.where(), key="text").status_code == 502
    site.write_row("text", lambda _: told["paths"][0])
    path.unlink()
    assert site.value("text")["state"] == "gone"


def test_nothing_of_the_store_is_read_unless_a_setting_says_so(make_site: Make) -> None:
    site = make_site(setting="AIRFLOW__XCOM_EXPLORER__READ_VALUES=False")
    told = site.value("frame")
    assert (told["state"], "view" in told) == ("not read", False)
    assert told["commands"][0]["text"] == f"python -m include.xcom_backend show {told['paths'][0]}"
    assert "READ_VALUES=True" in told["message"]
    assert site.get("api/download", **site.where(), key="frame").status_code == 502
    assert site.value("small")["state"] == "read"


def test_objects_of_s3_are_shown_until_the_store_is_down(make_site: Make) -> None:
    site = make_site(cloud="aws")
    told = site.value("frame")
    assert (told["state"], told["view"]["shape"], told["copies"][0]["state"]) == ("read", [1_000, 4], "verified")
    name = told["paths"][0].partition("@")[2]
    content = site.get("api/download", **site.where(), key="frame").content
    assert hashlib.sha256(content).hexdigest() == told["sha256"]
    assert [one["text"] for one in told["commands"]][2] == f"aws s3 cp s3://{name} ."
    site.store.stop()
    down = site.value("frame")
    assert (down["state"], "view" in down) == ("store does not answer", False)
    assert down["what"] == told["what"]
    assert site.get("api/download", **site.where(), key="frame").status_code == 502
    assert site.value("small")["state"] == "read"


def test_the_next_airflow_has_it_too(make_site: Make) -> None:
    site = make_site(airflow="next")
    assert site.value("frame")["view"]["shape"] == [1_000, 4]
    path = Path(site.value("matrix")["paths"][0].removeprefix("file://"))
    assert site.get("api/download", **site.where(), key="matrix").content == path.read_bytes()
    assert site.value("mapped value", task_id="mapped", map_index=2)["view"]["kind"] == "text"
    for path_of_api in ("values", "api/xcoms", "api/storage"):
        codes = [site.get(path_of_api, user, **site.where()).status_code for user in ("viewer", "nobody", None)]
        assert codes == [200, 403, 401]
