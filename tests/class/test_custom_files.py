"""Files and folders: streamed with little memory, verified before they are handed over, and never half there."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import PROJECT
from custom_xcom import (
    COORDINATES,
    Configure,
    Relay,
    encoded,
    objects,
    pull,
    purge,
    push,
    reference,
    run_python,
    store_of,
)

from include.xcom_backend import files
from include.xcom_backend.chunks import Chunks
from include.xcom_backend.codecs import RefusedError
from include.xcom_backend.compat import AIRFLOW_2
from include.xcom_backend.files import XComFile, XComFolder
from include.xcom_backend.reference import (
    InvalidReferenceError,
    ObjectCorruptError,
    ObjectMissingError,
    XComBackendError,
)
from include.xcom_backend.stores import BucketStore, FsspecStore

pytestmark = pytest.mark.usefixtures("configure")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a file of 20 MB."""
    path = tmp_path / "data.csv"
    path.write_bytes(os.urandom(20_000_000))
    return path


def test_a_file_comes_back(base: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(local))
    row = push(XComFile(data))
    assert reference(row)["paths"][0].endswith(".csv")
    assert store_of(base).get(objects(base)[0], 20_000_000).data.getvalue() == data.read_bytes()  # any tool opens it
    file = pull(row)
    assert isinstance(file, files.PulledFile)
    assert (file.name, file.size, file.media_type) == ("data.csv", 20_000_000, "text/csv")
    assert file.read() == data.read_bytes()
    target = file.download(tmp_path / "copy.csv")
    assert target.read_bytes() == data.read_bytes()
    (tmp_path / "folder").mkdir()
    assert file.download(tmp_path / "folder") == tmp_path / "folder" / "data.csv"
    with file as path:
        assert path.name == "data.csv"
        assert path.read_bytes() == data.read_bytes()
    assert not path.exists()
    with file as path, file:  # the inner end removes the copy of both
        pass
    assert not path.exists()
    with file.open() as stream, open(file, "rb") as same:
        stream.seek(10_000_000)
        same.seek(10_000_000)
        assert stream.read(10) == same.read(10) == data.read_bytes()[10_000_000:10_000_010]
    assert pickle.loads(pickle.dumps(file)).name == "data.csv"  # noqa: S301
    assert "'data.csv' of XCom 'return_value'" in repr(file)
    again = push(file, task_id="again")
    assert pull(again).read() == data.read_bytes()
    purge(row)
    purge(again, task_id="again")
    assert objects(base) == []
    with file:
        assert list(local.iterdir())
    assert list(local.iterdir()) == []


def test_a_local_copy_goes_when_the_process_ends(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    row = push(XComFile(tmp_path / "a.txt"))
    script = f"""
        import json, os
        from include.xcom_backend.backend import pull
        from include.xcom_backend.compat import from_row
        file = pull(from_row({row!r}))
        print(os.fspath(file), open(file).read(), file.open("r").read())
    """
    path, *texts = run_python(textwrap.dedent(script)).splitlines()[-1].split()
    assert texts == ["hello", "hello"]
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("name", "ending"),
    [("model.BIN", "bin"), ("no-ending", "file"), ("x.tar.gz", "gz"), ("a.b c", "file"), (".hidden", "file")],
)
def test_names_become_safe_keys(name: str, ending: str, tmp_path: Path) -> None:
    from include.xcom_backend.reference import parse_object_key

    (tmp_path / name).write_bytes(b"x")
    row = push(XComFile(tmp_path / name))
    [key] = objects(f"file://{tmp_path}/xcom")
    assert key.endswith(f".{ending}")
    found = parse_object_key(key)
    assert found
    assert found.key == "return_value"
    assert pull(row).name == name
    assert pull(push(XComFile(tmp_path / name, name="other.json", media_type="x/y"))).media_type == "x/y"


def folder_of(tmp_path: Path) -> Path:
    """Return a folder with files in it, of which one is empty, and with an empty folder."""
    root = tmp_path / "export"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "zero").write_bytes(b"")
    (root / "sub" / "b ü.bin").write_bytes(os.urandom(100_000))
    return root


def test_a_folder_comes_back(base: str, tmp_path: Path) -> None:
    root = folder_of(tmp_path)
    row = push(XComFolder(root))
    assert reference(row)["summary"]["first"] == ["a.txt", "sub/b ü.bin", "sub/empty/", "zero"]
    folder = pull(row)
    assert list(folder) == ["a.txt", "sub/b ü.bin", "zero"]
    assert (len(folder), "a.txt" in folder, "b" in folder) == (3, True, False)
    assert folder["a.txt"].read() == b"a"
    assert folder["zero"].read() == b""
    assert folder["sub/b ü.bin"].size == 100_000
    assert pickle.loads(pickle.dumps(folder["a.txt"])).read() == b"a"  # noqa: S301
    for target in (folder.download(tmp_path / "copy"), pull(push(folder)).download(tmp_path / "copy2")):
        assert {path.relative_to(target).as_posix() for path in target.rglob("*")} == {
            path.relative_to(root).as_posix() for path in root.rglob("*")
        }
        assert (target / "sub" / "b ü.bin").read_bytes() == (root / "sub" / "b ü.bin").read_bytes()
    with pytest.raises(FileExistsError, match="not empty"):
        folder.download(tmp_path / "copy")
    with folder as path:
        assert (path / "sub" / "empty").is_dir()
    assert not path.exists()
    with pytest.raises(KeyError):
        folder["sub/empty/"]


def test_nothing_comes_back_as_nothing(base: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    file = pull(push(XComFile(tmp_path / "empty")))
    assert (file.size, file.read(), file.download(tmp_path / "copy").read_bytes()) == (0, b"", b"")
    folder = pull(push(XComFolder(tmp_path / "folder")))
    assert (len(folder), list(folder.download(tmp_path / "out").iterdir())) == (0, [])


def test_names_that_differ_only_in_case_are_two(tmp_path: Path) -> None:
    root = tmp_path / "export"
    (root / "SUB").mkdir(parents=True)
    (root / "sub").mkdir()
    for name in ("a.txt", "A.txt", "SUB/x", "sub/x"):
        (root / name).write_text(name)
    target = pull(push(XComFolder(root))).download(tmp_path / "copy")
    assert {name: (target / name).read_text() for name in ("a.txt", "A.txt", "SUB/x", "sub/x")} == {
        name: name for name in ("a.txt", "A.txt", "SUB/x", "sub/x")
    }


def test_the_names_of_a_folder_are_looked_at_once(tmp_path: Path) -> None:
    class Counted(list[str]):
        looked = 0

        def __iter__(self) -> Iterator[str]:
            self.looked += 1
            return super().__iter__()

    root = tmp_path / "export"
    root.mkdir()
    for number in range(300):
        (root / f"{number:03}").write_text(f"{number}")
    folder = pull(push(XComFolder(root)))
    names = folder._index.content["names"] = Counted(folder._index.content["names"])
    assert [folder[name].read() for name in folder] == [b"%d" % number for number in range(300)]
    assert names.looked <= 2


def test_people_see_what_a_folder_holds(base: str, tmp_path: Path) -> None:
    from include.xcom_backend.__main__ import read as show

    row = reference(push(XComFolder(folder_of(tmp_path))))
    assert row["is"].startswith("XComFolder of 4, 100.")
    assert show(row["paths"][0]) == {"a.txt": "1 B", "sub/b ü.bin": "100,000 B", "sub/empty/": "0 B", "zero": "0 B"}
    assert reference(push(XComFile(__file__, name="a.py")))["is"].startswith("XComFile a.py, ")


def test_of_a_folder_only_what_is_opened_is_fetched(
    cloud: str, relay: Relay, configure: Configure, tmp_path: Path
) -> None:
    configure(path=cloud)
    root = tmp_path / "export"
    root.mkdir()
    for number in range(50):
        (root / f"{number}.bin").write_bytes(os.urandom(200_000))
    folder = pull(push(XComFolder(root)))
    relay.take()
    before = relay.given
    assert folder["7.bin"].read() == (root / "7.bin").read_bytes()
    assert relay.given - before < 210_000
    assert len(relay.take()) == 3


def test_a_cut_costs_a_block_and_not_the_file(
    cloud: str,
    relay: Relay,
    configure: Configure,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(path=cloud)
    monkeypatch.setattr(files, "BLOCK_BYTES", 2_000_000)
    file = pull(push(XComFile(data)))
    before = relay.given
    relay.cuts += [1_000_000, 1_500_000]  # bytes into a connection
    assert file.read() == data.read_bytes()
    assert relay.cuts == []
    assert relay.given - before < 24_000_000


def test_a_cut_of_an_upload_costs_a_part_and_not_the_file(
    cloud: str, relay: Relay, configure: Configure, tmp_path: Path
) -> None:
    configure(path=cloud)
    path = tmp_path / "big"
    path.write_bytes(os.urandom(60_000_000))
    relay.breaks += [3_000_000, 5_000_000]  # bytes into a connection: two parts of 8 MiB
    row = push(XComFile(path))
    assert relay.breaks == []
    assert 60_000_000 < relay.taken < 80_000_000
    assert filecmp.cmp(path, pull(row).download(tmp_path / "copy"), shallow=False)


def half_uploads(cloud: str) -> list[str]:
    """Return the keys that S3 has parts of, but no object."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    client = S3Hook(aws_conn_id=urlsplit(cloud).username).get_conn()
    found = client.list_multipart_uploads(Bucket=urlsplit(cloud).hostname).get("Uploads", [])
    return [upload["Key"] for upload in found if f"{upload['Key']}/".startswith(f"{urlsplit(cloud).path[1:]}/")]


def test_a_push_that_fails_aborts_its_upload(cloud: str) -> None:
    if not cloud.startswith("s3:"):
        pytest.skip("only S3 lists them")
    seen: list[list[str]] = []

    def make() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 2**20
        seen.append(half_uploads(cloud))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        push(Chunks(make()))
    assert len(seen[0]) == 1
    assert half_uploads(cloud) == []
    assert objects(cloud) == []


def test_the_mirror_takes_over(pair: tuple[str, str], data: Path) -> None:
    primary, mirror = pair
    row = push(XComFile(data))
    [key] = objects(primary)
    assert objects(mirror) == [key]
    good = data.read_bytes()
    for bad in (b"z" + good[1:], good[:-1], good[:9_000_000]):
        store_of(primary).put(key, [bad])
        assert pull(row).read() == good
    store_of(primary).delete(key)
    assert pull(row).read() == good


def test_what_is_missing_cut_or_altered_is_an_error_and_no_file(base: str, data: Path, tmp_path: Path) -> None:
    row = push(XComFile(data))
    [key] = objects(base)
    good, target = data.read_bytes(), tmp_path / "copy"
    for bad, words in ((good[:-1], "it was cut"), (good[:-1] + b"!", "it was altered"), (b"", "it was cut")):
        store_of(base).put(key, [bad])
        with pytest.raises(ObjectCorruptError, match=words):
            pull(row).download(target)
        with pytest.raises(ObjectCorruptError, match=words), pull(row):
            pass
    store_of(base).delete(key)
    with pytest.raises(ObjectMissingError, match="the object is missing"):
        pull(row).download(target)
    assert not list(tmp_path.glob("*copy*"))


def test_a_file_that_changes_while_it_is_read_is_refused(
    base: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Growing(XComFile):
        def blocks(self) -> Any:
            for block in super().blocks():
                yield block
                with data.open("ab") as file:
                    file.write(b"more")

    Growing.__module__ = XComFile.__module__
    with pytest.raises(XComBackendError, match=r"data\.csv changed while it was read"):
        push(Growing(data))
    assert objects(base) == []


def test_what_is_no_file_is_refused(tmp_path: Path, configure: Configure) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises((XComBackendError, IsADirectoryError)):
            push(XComFile(path))
    with pytest.raises(FileNotFoundError):
        push(XComFile(tmp_path / "nothing"))
    with pytest.raises(XComBackendError, match="changed while it was read"):
        push(XComFile("/proc/self/status"))  # its size is 0 until it is read
    for name, media_type in (("two\nlines", ""), (os.fsdecode(b"\xff.csv"), ""), ("a/b", ""), ("a", "text/\nx")):
        with pytest.raises(XComBackendError, match="Give another"):
            push(XComFile(__file__, name=name, media_type=media_type))
    with pytest.raises(XComBackendError, match="is no folder"):
        push(XComFolder(tmp_path / "pipe"))
    for name, make in (
        ("link", lambda path: path.symlink_to("/etc/passwd")),
        ("pipe", os.mkfifo),
        ("two\nlines", Path.touch),
        ("folder of\nlines", Path.mkdir),
        (os.fsdecode(b"\xff"), Path.mkdir),
    ):
        root = tmp_path / f"root-of-{name!a}"
        root.mkdir()
        make(root / name)
        with pytest.raises(XComBackendError, match="refused"):
            push(XComFolder(root))
    configure(threshold=-1)
    with pytest.raises(RefusedError, match="only object storage takes it"):
        push(XComFile(__file__))


def forged(base: str, names: Any, sizes: list[int]) -> Any:
    """Return a row whose hashes are right, of a folder whose list of names is not what a writer makes."""
    import hashlib

    import ormsgpack

    from include.xcom_backend.streams import _END, _RECORD

    data, page, at = b"x" * sum(sizes), b"", 0
    for size in sizes:
        page += _RECORD.pack(at, size, size, 0, hashlib.sha256(b"x" * size).digest())
        at += size
    pages = [hashlib.sha256(page).digest()]
    index = ormsgpack.packb({"kinds": [["file", "none"]], "pages": pages, "names": names})
    index += _END.pack(len(sizes), len(index))
    row = reference(push(XComFolder(PROJECT / "plugins")))
    store_of(base).put(row["paths"][0].removeprefix(f"{base}/"), [data + page + index])
    sha256 = hashlib.sha256(index).hexdigest()
    whole = len(data + page + index)
    return encoded({**row, "size": whole, "sha256": sha256, "length": len(sizes), "index": len(index)})


def test_hostile_names_lead_nowhere(base: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert pull(forged(base, ["good/a", "b"], [1, 2]))["good/a"].read() == b"x"
    before = set(tmp_path.iterdir())
    for name in ("../a", "/etc/a", "a/../../b", "a//b", "", ".", "a\\b", "a\0b", "a\nb", "./a", 7, None, ["a"], b"a"):
        row = forged(base, ["good", name], [1, 1])
        with pytest.raises(InvalidReferenceError, match="refused"):
            pull(row).download(tmp_path / "out" / "here")
    with pytest.raises(InvalidReferenceError):
        list(pull(forged(base, ["one"], [1, 1])))
    with pytest.raises(InvalidReferenceError, match="two files of one name"):
        list(pull(forged(base, ["one", "one"], [1, 1])))
    with pytest.raises(InvalidReferenceError):
        list(pull(forged(base, 7, [1, 1])))
    for twisted in (["a", "a/b"], ["a/b", "a"]):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            pull(forged(base, twisted, [1, 1])).download(tmp_path / "out" / str(twisted.index("a")))
    file = reference(push(XComFile(__file__)))
    for name in ("../../evil", "/evil", "..", "", "a\0b", "x" * 100):
        path = pull(encoded({**file, "name": name})).download(tmp_path / "out")
        assert path.parent == tmp_path / "out"
        with pull(encoded({**file, "name": name})) as local:
            assert local.parent.name.startswith("xcom-")
    assert set(tmp_path.iterdir()) == before


def test_a_full_disk_is_an_error_and_no_file(base: str, data: Path, tmp_path: Path) -> None:
    file = pull(push(XComFile(data)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))  # the kernel refuses to write more
    try:
        with pytest.raises(OSError, match=re.escape(os.strerror(errno.EFBIG))):
            file.download(tmp_path / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("*copy*"))


LIMITED = """
import os, resource, sys
from include.xcom_backend import XComBackend, XComFile
from include.xcom_backend.backend import pull
from include.xcom_backend.compat import from_row
[used] = [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData")]
resource.setrlimit(resource.RLIMIT_DATA, (used + 200_000_000, used + 200_000_000))  # the kernel gives no more
row = XComBackend.serialize_value(XComFile({path!r}), **{names!r}, map_index=-1)
file = pull(from_row(row))
print(file.download({target!r}).stat().st_size, flush=True)
try:
    bytearray(file.size)
except MemoryError:
    print("the limit holds")
"""


def test_a_file_passes_through_a_process_that_could_not_hold_it(base: str, tmp_path: Path) -> None:
    path, target = tmp_path / "big", tmp_path / "copy"
    with path.open("wb") as file:
        for _ in range(192):
            file.write(os.urandom(2**20))
    told = run_python(LIMITED.format(path=str(path), target=str(target), names=COORDINATES))
    assert told.splitlines()[-2:] == [str(192 * 2**20), "the limit holds"]
    assert filecmp.cmp(path, target, shallow=False)


def test_a_killed_push_leaves_nothing_that_can_be_read(base: str, configure: Configure, tmp_path: Path) -> None:
    from include.xcom_backend.cleanup import _without_partial
    from include.xcom_backend.reference import parse_object_key

    configure(path=base)
    script = f"""
        import os, signal
        from include.xcom_backend import Chunks, XComBackend
        def make():
            for number in range(40):
                if number == 30:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield b"x" * 2**20
        XComBackend.serialize_value(Chunks(make()), **{COORDINATES!r}, map_index=-1)
    """
    with pytest.raises(subprocess.CalledProcessError) as error:
        run_python(textwrap.dedent(script))
    assert error.value.returncode == -9
    left = objects(base)
    assert all(key.endswith(".part") for key in left)
    assert all(parse_object_key(_without_partial(key)) for key in left)  # so xcom_cleanup finds and removes it


def shell(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line of the class."""
    command = [sys.executable, "-W", "ignore", "-m", "include.xcom_backend", *arguments]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CTX_")
    }  # of a Dag run here
    if not AIRFLOW_2:  # what its tasks hand on to their shells
        kept["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "airflow-db-not-allowed:///"
    return subprocess.run(
        command, cwd=PROJECT, env=kept, capture_output=True, text=True, check=False, timeout=300, input=text
    )


def test_files_go_in_and_out_by_the_command_line(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    names = ("--dag-id", "dag", "--run-id", COORDINATES["run_id"], "--task-id", "task")
    done = shell("push", str(tmp_path / "a.txt"), *names)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert len(line) < 2000
    row = push(json.loads(line))  # as the operator does with what its command printed
    file = pull(row)
    assert (file.name, file.read()) == ("a.txt", b"hello")
    out = tmp_path / "out.txt"
    done = shell("pull", str(file), "--to", str(out))
    assert (done.returncode, done.stdout.strip(), out.read_text()) == (0, str(out), "hello"), done.stderr
    done = shell("pull", "-", "--to", str(tmp_path / "more.txt"), text=line)
    assert (done.returncode, (tmp_path / "more.txt").read_text()) == (0, "hello"), done.stderr
    with pytest.raises(RefusedError, match="it is the row of XCom"):
        push(json.loads(line), task_id="other")
    with pytest.raises(InvalidReferenceError):
        push({**json.loads(line), "paths": [f"{base}/other/x/y/-1/return_value.0123456789abcdef.txt"]})
    done = shell("pull", "{}")
    assert done.returncode == 1
    assert "push" in done.stderr
    done = shell("push", str(tmp_path / "a.txt"))
    assert done.returncode == 1
    assert "--dag-id" in done.stderr
    purge(row)
    assert objects(base) == []


def test_all_of_it_goes_through_fsspec_too(
    cloud: str, relay: Relay, configure: Configure, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BucketStore, "process", -1)  # as in a child of a process that used obstore
    configure(path=cloud)
    assert isinstance(store_of(cloud), FsspecStore)
    items = [bytes([number]) * 100_000 for number in range(20)]
    rows = [push(Chunks(iter(items)), run_id="1"), push(XComFile(data), run_id="2")]
    rows.append(push(XComFolder(folder_of(tmp_path)), run_id="3"))
    chunks, file, folder = map(pull, rows)
    before = relay.given
    assert chunks[7] == items[7]
    assert relay.given - before < 110_000
    assert list(chunks) == items
    assert filecmp.cmp(data, file.download(tmp_path / "copy"), shallow=False)
    assert folder["sub/b ü.bin"].read() == (tmp_path / "export" / "sub" / "b ü.bin").read_bytes()
    with pytest.raises(RefusedError):
        push(Chunks([b"x" * 10_000_000, object()]), run_id="4")
    relay.take()
    listed = store_of(cloud).list()
    first = next(listed)
    asked = len(relay.take())
    assert [first.key, *(item.key for item in listed)] == objects(cloud)
    assert len(relay.take()) > 2 * asked  # the listing goes on while it is used
    assert [key.split("/")[1] for key in objects(cloud)] == ["1", "2", "3"]
    for run, row in enumerate(rows, 1):
        purge(row, run_id=str(run))
    assert objects(cloud) == []


def test_many_threads_read_one_folder(base: str, tmp_path: Path) -> None:
    root = tmp_path / "export"
    root.mkdir()
    for number in range(150):
        (root / f"{number:03}").write_text(f"{number}")
    folder = pull(push(XComFolder(root)))
    wrong: list[str] = []

    def read(name: str) -> None:
        with contextlib.suppress(Exception):
            if folder[name].read().decode() == str(int(name)):
                return
        wrong.append(name)

    threads = [threading.Thread(target=read, args=(name,)) for name in list(folder)[::5]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
