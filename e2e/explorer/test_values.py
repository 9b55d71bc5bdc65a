"""What the explorer tells of each kind of value, and of objects that are not what was pushed."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from base64 import b64decode
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
    "bytes": {"kind": "bytes", "size": 5_120},
    "inline bytes": {"kind": "bytes", "data": "AP8=", "size": 2},
    "png": {"kind": "bytes"},
    "svg": {"kind": "bytes"},
    "html": {"kind": "bytes", "name": None},
    "exact": {"kind": "tree"},
    "chunks": {"kind": "parts", "size": 4},
    "file": {"kind": "bytes", "name": "Zürich report.csv", "type": "text/csv", "size": 54_008},
    "file that is an image": {"kind": "bytes", "type": "image/png"},
    "file that is HTML": {"kind": "bytes", "type": "text/html"},
    "folder": {"kind": "parts", "size": 6},
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
    assert listed["many chunks"]["what"].startswith("Chunks of 300, ")
    assert listed["file"]["what"] == "XComFile Zürich report.csv, 54.0 kB"
    facts = ("place", "places", "hashed", "size")
    assert [listed["text"][name] for name in facts] == ["file", 1, True, 90_000]
    assert [listed["small"][name] for name in facts] == ["", 0, False, 32]


@pytest.mark.slice
@pytest.mark.parametrize("key", ["text", "frame", "matrix", "png", "html", "records", "a/key/with/slashes"])
def test_a_download_is_the_object_byte_for_byte_under_its_own_name(key: str, custom: Site) -> None:
    path = custom.object(key)
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


def part_of(site: Site, key: str, part: int) -> Any:
    """Return the view of a part of an XCom."""
    told = site.get("api/value", **site.where(), key=key, part=part).json()
    assert told["state"] == "read", told
    return told["view"]


@pytest.mark.slice
def test_parts_of_chunks_and_folders_open_one_by_one(custom: Site) -> None:
    assert [codec for _, _, codec in custom.value("chunks")["view"]["parts"]] == ["pandas", "text", "json", "bytes"]
    assert (part_of(custom, "chunks", 0)["kind"], part_of(custom, "chunks", 0)["shape"]) == ("table", [5, 4])
    assert part_of(custom, "chunks", 1) == {"kind": "text", "text": "the second", "size": 10, "cut": False}
    names = {name: place for place, (name, _, _) in enumerate(custom.value("folder")["view"]["parts"])}
    binary = "<img src=x onerror=alert(1)>.bin"
    assert set(names) == {"a.csv", "empty/", "page.html", "picture.png", "sub/notes.txt", binary}
    contents = {name: b64decode(part_of(custom, "folder", place)["data"]) for name, place in names.items()}
    assert (contents["sub/notes.txt"].decode(), contents["empty/"]) == ("Größe: 5 µm", b"")
    assert contents[binary] == bytes(range(256))
    assert contents["a.csv"] == (b"id,name\n" + b"1,one\n" * 9_000)[:20_000]
    assert contents["picture.png"].startswith(b"\x89PNG")
    last = custom.get("api/value", **custom.where(), key="folder", part=99).json()
    assert last["view"]["name"] == max(names, key=lambda name: names[name])


def test_many_parts_are_listed_page_by_page(custom: Site) -> None:
    seen, first = [], 0
    while first < 300:
        view = custom.get("api/value", **custom.where(), key="many chunks", first=first).json()["view"]
        assert (view["first"], view["size"]) == (first, 300)
        seen += [name for name, _, _ in view["parts"]]
        first += len(view["parts"])
    assert seen == [f"[{number}]" for number in range(300)]
    assert part_of(custom, "many chunks", 299)["tree"]["text"] == "299"


def test_of_a_big_file_only_the_head_is_read(custom: Site) -> None:
    path, rows = custom.object("file"), list[Any]()
    kept = path.read_bytes()
    os.truncate(path, GB)

    def forge(row: dict[str, Any]) -> dict[str, Any]:
        rows.append(row)
        return {**row, "size": GB, "decoded_size": GB}

    custom.write_row("file", forge)
    told = custom.value("file")
    path.write_bytes(kept)
    custom.write_row("file", lambda _: rows[0])
    assert (told["state"], told["copies"][0]["state"], told["view"]["size"]) == ("read", "read", GB)
    assert len(b64decode(told["view"]["data"])) == 20_000


@pytest.mark.slice
@pytest.mark.parametrize("key", ["hostile text", "chunks", "file", "folder"])
@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda path: path.unlink(), "gone"),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "cut"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"), "altered"),
    ],
    ids=["gone", "cut", "altered"],
)
def test_an_object_that_is_not_what_was_pushed_is_not_shown(
    change: Any, state: str, key: str, custom: Site, tmp_path: Path
) -> None:
    path = custom.object(key)
    shutil.copy(path, tmp_path / "kept")
    change(path)
    try:
        told = custom.value(key)
        assert (told["state"], told["copies"][0]["state"]) == (state, state)
        assert "view" not in told
        said = custom.get("api/download", **custom.where(), key=key, stream=True)
        if (key, state) in {("chunks", "altered"), ("folder", "altered")}:
            assert said.status_code == 200  # each part has a hash, the whole has none
        elif said.status_code == 200:  # it notices after the first bytes: then it ends too soon, and a browser says so
            with pytest.raises(ProtocolError):
                said.raw.read()
        else:
            assert said.status_code == 502
    finally:
        shutil.copy(tmp_path / "kept", path)
    assert custom.value(key)["state"] == "read"


def test_an_object_that_is_longer_than_what_was_pushed_is_not_shown(custom: Site) -> None:
    path = custom.object("hostile text")
    kept = path.read_bytes()
    path.write_bytes(kept + b"x")
    assert custom.value("hostile text")["state"] == "altered"
    path.write_bytes(kept)
    assert custom.value("hostile text")["state"] == "read"


def test_a_part_that_was_altered_is_not_shown(custom: Site) -> None:
    path = custom.object("chunks")
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b"the second", b"the wrong1"))
    told = custom.get("api/value", **custom.where(), key="chunks", part=1).json()
    path.write_bytes(kept)
    assert (told["state"], "view" in told) == ("altered", False)
    assert part_of(custom, "chunks", 1)["text"] == "the second"


def test_a_value_that_takes_too_much_memory_ends_only_its_own_process(custom: Site) -> None:
    path = custom.object("wide")
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


def test_values_of_the_providers_class_are_shown_too(make_site: Make) -> None:
    site = make_site("object_storage")
    told = site.value("text")
    assert told["paths"][0].startswith(f"file://{site.folder}/")
    assert (told["state"], told["view"]["kind"], told["view"]["size"]) == ("read", "text", 90_000)
    assert told["hashed"] is False
    assert site.value("records")["view"]["tree"]["size"] == 2_000
    assert site.value("small")["paths"] == []
    path = Path(told["paths"][0].removeprefix("file://"))
    assert site.get("api/download", **site.where(), key="text").content == path.read_bytes()
    for forged in (
        site.value("return_value", dag_id=SECRET)["paths"][0],
        f"file://{site.folder}/../site/airflow.db",
        told["paths"][0].rpartition("/")[0] + "/../../../../site/airflow.db",
    ):
        site.write_row("text", partial(lambda forged, _: forged, forged))
        assert site.value("text")["state"] in {"refused", "read"}
        assert "secret" not in json.dumps(site.value("text").get("view"))
        assert site.value("text")["state"] == "refused"
        assert site.get("api/download", **site.where(), key="text").status_code == 502
    site.write_row("text", lambda _: told["paths"][0])
    kept = path.read_bytes()
    path.write_bytes(kept[:100])
    assert (site.value("text")["state"], site.value("text")["copies"][0]["state"]) == ("cut or altered", "read")
    path.unlink()
    assert site.value("text")["state"] == "gone"


def test_nothing_of_the_store_is_read_unless_a_setting_says_so(make_site: Make) -> None:
    site = make_site(setting="AIRFLOW__XCOM_EXPLORER__READ_VALUES=False")
    told = site.value("frame")
    assert (told["state"], "view" in told) == ("not read", False)
    assert "READ_VALUES=True" in told["message"]
    assert site.get("api/download", **site.where(), key="frame").status_code == 502
    assert site.value("small")["state"] == "read"


def test_the_next_airflow_has_it_too(make_site: Make) -> None:
    site = make_site(airflow="next")
    assert site.value("frame")["view"]["shape"] == [1_000, 4]
    path = site.object("matrix")
    assert site.get("api/download", **site.where(), key="matrix").content == path.read_bytes()
    assert site.value("mapped value", task_id="mapped", map_index=2)["view"]["kind"] == "text"
    for path_of_api in ("values", "api/xcoms", "storage"):
        codes = [site.get(path_of_api, user, **site.where()).status_code for user in ("viewer", "nobody", None)]
        assert codes == [200, 403, 401]
