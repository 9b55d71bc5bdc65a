"""What the stores promise: verified reads, mirrors, purges, retries, and nothing left half done."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from custom_xcom import (
    COORDINATES,
    Configure,
    Relay,
    connection_variable,
    encoded,
    objects,
    port_of,
    pull,
    purge,
    push,
    reference,
    run_python,
    store_of,
)

from include.xcom_backend.reference import ObjectCorruptError, ObjectMissingError, XComBackendError

pytestmark = pytest.mark.usefixtures("configure")


# ---------------------------------------------------------------- verified reads


def test_missing_truncated_altered_or_grown_object_is_an_error(base: str) -> None:
    row = push({"a": list(range(100))})
    [key] = objects(base)
    good = store_of(base).get(key, None).data.getvalue()
    for bad in (good[:-1], b"", good[:-1] + b" ", good + b"x", b"x" * 10**6):
        store_of(base).put(key, [bad])
        with pytest.raises(ObjectCorruptError) as error:
            pull(row)
        for word in (base, "'return_value'", "'task'", "'dag'", "'manual__2026-01-01T00:00:00+00:00'", "clear task"):
            assert word in str(error.value)
    store_of(base).delete(key)
    with pytest.raises(ObjectMissingError, match="the object is missing"):
        pull(row)
    store_of(base).put(key, [good])
    assert pull(row) == {"a": list(range(100))}


def test_an_object_comes_in_pieces_for_who_does_not_keep_it(base: str) -> None:
    data = os.urandom(3 * 2**20 + 1)
    push(data)
    [key] = objects(base)
    pieces = list(store_of(base).chunks(key))
    assert b"".join(pieces) == data
    assert len(pieces) > 1
    store_of(base).delete(key)
    with pytest.raises(FileNotFoundError):
        next(store_of(base).chunks(key))


# ---------------------------------------------------------------- mirrors


def test_mirror_has_the_same_and_takes_over(pair: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    primary, mirror = pair
    row = push(["value"])
    [key] = objects(primary)
    assert objects(mirror) == [key]
    assert reference(row)["paths"] == [f"{primary}/{key}", f"{mirror}/{key}"]

    store_of(primary).put(key, [b"altered"])
    with caplog.at_level("WARNING"):
        assert pull(row) == ["value"]
    assert f"Took the copy {mirror}/{key}" in caplog.text
    store_of(primary).delete(key)
    assert pull(row) == ["value"]
    store_of(mirror).delete(key)
    with pytest.raises(ObjectMissingError):
        pull(row)

    row = push(["value"])
    purge(row)
    assert objects(primary) == objects(mirror) == []


def test_mirror_that_fails_fails_the_push_unless_told_otherwise(
    base: str, configure: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    configure(mirror=f"file://{tmp_path}/blocked/x")
    with pytest.raises(XComBackendError, match=r"'return_value'.*is not stored\. Cannot write file://.*/blocked/x"):
        push(["value"])
    assert objects(base) == []
    configure(mirror_writes="best_effort")
    with caplog.at_level("WARNING"):
        row = push(["value"])
    assert "MIRROR_WRITES=best_effort" in caplog.text
    assert len(reference(row)["paths"]) == 1
    assert pull(row) == ["value"]
    configure(path=f"file://{tmp_path}/blocked/y")
    with pytest.raises(XComBackendError):
        push(["value"])


# ---------------------------------------------------------------- purge


def test_purge_removes_its_own_object_only_and_twice_is_fine(base: str, configure: Configure) -> None:
    configure(purge_failures="raise")
    rows = [push(["value"], map_index=index) for index in range(3)]
    purge(rows[1], map_index=1)
    purge(rows[1], map_index=1)
    assert [key.split("/")[3] for key in objects(base)] == ["0", "2"]
    with pytest.raises(XComBackendError, match=r"an object of .* not deleted"):
        purge(rows[0], map_index=2)
    with pytest.raises(XComBackendError, match="not deleted"):
        purge(rows[0], map_index=0, task_id="other")
    assert len(objects(base)) == 2


def test_purge_of_values_in_the_database_needs_no_store(configure: Configure) -> None:
    configure(threshold=-1, path="s3://nowhere@nowhere/x", purge_failures="raise")
    for value in (None, "text", {"a": 1}, b"bytes", [1], "file:///a/b/c/0b7e1a52-1111-4222-8333-123456789abc.gz"):
        purge(push(value))


def test_failed_purge_is_an_error_in_the_log_or_raised(
    base: str, configure: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    row = push(["value"])

    def refuse(self: Any, key: str) -> None:
        raise PermissionError(f"403 for {key}")

    monkeypatch.setattr(type(store_of(base)), "delete", refuse)
    with caplog.at_level("ERROR"):
        purge(row)
    for words in (f"Cannot delete {base}/dag/", "delete under", "xcom_cleanup"):
        assert words in caplog.text
    configure(purge_failures="raise")
    with pytest.raises(XComBackendError, match="PermissionError"):
        purge(row)


def test_many_are_deleted_at_once(base: str, configure: Configure) -> None:
    from include.xcom_backend.backend import purge_rows
    from include.xcom_backend.compat import from_row

    configure(purge_failures="raise")
    rows = [push([index], map_index=index) for index in range(12)]
    purge_rows([(from_row(row), None) for row in rows[:11]])
    assert [key.split("/")[3] for key in objects(base)] == ["11"]


def test_same_key_pushed_again_leaves_the_first_row_readable(base: str) -> None:
    first, second = push(["one"]), push(["two"])
    assert (pull(first), pull(second)) == (["one"], ["two"])
    purge(first)
    assert pull(second) == ["two"]


# ---------------------------------------------------------------- one request each, no bucket made


def test_one_request_each(cloud: str, relay: Relay, configure: Configure) -> None:
    configure(path=cloud)
    push(1, key="warm up")  # the first use may sign in
    relay.take()
    row = push("x" * 100_000)
    pushed = relay.take()
    assert pull(row) == "x" * 100_000
    pulled = relay.take()
    purge(row)
    purged = relay.take()
    assert (len(pushed), len(pulled), len(purged)) == (1, 1, 1), (pushed, pulled, purged)


def test_bucket_is_never_created_and_its_absence_is_explained(cloud: str, configure: Configure) -> None:
    configure(path=f"{cloud.split('@')[0]}@no-such-bucket/xcom", retry_deadline=3)
    for _ in range(2):
        with pytest.raises(XComBackendError, match=r"no-such-bucket.*(never creates one|exists)"):
            push(["value"])


def test_anonymous_access_is_refused_unless_asked_for(
    cloud: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme, _, rest = cloud.partition("://")
    connection = json.loads(os.environ[connection_variable(cloud)])
    if scheme == "s3":
        del connection["login"], connection["password"]
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AIRFLOW_CONN_ANONYMOUS", json.dumps(connection))
        configure(path=f"s3://anonymous@{rest.partition('@')[2]}")
    elif scheme == "gs":  # without a connection gcsfs ends with anonymous access when it finds nothing better
        credentials = pytest.importorskip("gcsfs.credentials")
        for way in ("_connect_google_default", "_connect_cache", "_connect_cloud"):
            monkeypatch.setattr(credentials.GoogleCredentials, way, find_no_credentials)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", connection["extra"]["gcs.endpoint"])
        configure(path=f"gs://{rest.partition('@')[2]}")
    else:
        pytest.skip("a connection to Azure always has an account and its key, a SAS or an identity")
    with pytest.raises(XComBackendError, match=r"No credentials.*AIRFLOW__XCOM_BACKEND__ALLOW_ANONYMOUS=true"):
        push(["value"])
    configure(allow_anonymous="true")
    reference(push(["value"]))


def find_no_credentials(*_: Any) -> None:
    """Stand for a machine that is nobody's."""
    raise ValueError("no credentials here")


# ---------------------------------------------------------------- faults and the deadline


@pytest.mark.parametrize("fault", ["refused", "hangs"])
def test_dead_endpoint_ends_within_the_deadline(
    fault: str, cloud: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = connection_variable(cloud)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as dead:
        port = str(port_of(os.environ[variable]))
        monkeypatch.setenv(variable, os.environ[variable].replace(port, str(dead.getsockname()[1])))
        if fault == "refused":
            dead.close()
        configure(path=cloud, retry_deadline=2)
        started = time.monotonic()
        with pytest.raises(XComBackendError, match=r"RETRY_DEADLINE=2 seconds"):
            push(["value"])
        assert time.monotonic() - started < 8


def test_passing_fault_is_retried(cloud: str, relay: Relay, configure: Configure) -> None:
    configure(path=cloud)
    relay.cuts += [0, 0, 0]  # connections that end without an answer
    assert pull(push(["value"])) == ["value"]
    assert relay.cuts == []


def test_answer_that_drips_ends_within_the_deadline(cloud: str, configure: Configure) -> None:
    row = push("x" * 100_000)

    def drip(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.recv(65536)
            head = 'ETag: "x"\r\nLast-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\nContent-Length: 100000\r\n\r\n'
            client.sendall(f"HTTP/1.1 200 OK\r\n{head}".encode())
            while True:
                client.sendall(b"x")
                time.sleep(0.2)

    variable = connection_variable(cloud)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        port = str(port_of(os.environ[variable]))
        patch.setenv(variable, os.environ[variable].replace(port, str(server.getsockname()[1])))
        configure(path=cloud, retry_deadline=1)
        started = time.monotonic()
        with pytest.raises(XComBackendError, match=r"RETRY_DEADLINE=1 seconds"):
            pull(row)
        assert time.monotonic() - started < 8


def test_answer_that_ends_in_the_middle_is_asked_for_again(cloud: str, relay: Relay, configure: Configure) -> None:
    value = os.urandom(2_000_000)
    configure(path=cloud)
    relay.cuts += [700_000, 100_000]
    assert pull(push(value)) == value
    assert relay.cuts == []


# ---------------------------------------------------------------- in parts


@pytest.mark.parametrize("pieces", [[b"a" * 12_000_000], [b"h" * 100, b"a" * 5_242_780, memoryview(b"b" * 6_000_000)]])
def test_big_object_goes_in_parts_and_a_part_that_fails_goes_again(
    pieces: list[Any], cloud: str, relay: Relay, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.xcom_backend import stores

    if cloud.startswith("gs:"):
        pytest.skip("Google Cloud Storage takes 5 TB in one request")
    monkeypatch.setattr(stores, "MULTIPART_BYTES", 10_000_000)
    monkeypatch.setattr(stores, "PART_BYTES", 5 * 2**20)  # the least that S3 takes
    configure(path=cloud)
    store = store_of(cloud)
    store.put("dag/warm-up", [b"a"])
    relay.take()
    relay.cuts += [0, 0]
    store.put("dag/key", pieces)
    assert relay.cuts == []
    parts = [line for line in relay.take() if "partNumber=" in line or "comp=block&" in line]
    assert len(parts) >= 3
    assert store.get("dag/key", None).data.getvalue() == b"".join(pieces)


# ---------------------------------------------------------------- killed in the middle

SIZE = 8_000_000
WRITER = f"""
from include.xcom_backend import XComBackend
while True:
    row = XComBackend.serialize_value(b"x" * {SIZE}, map_index=-1, **{COORDINATES!r})
    print("pushed" if isinstance(row, (dict, bytes)) else "?", flush=True)
"""


def test_killed_writer_leaves_no_half_object(base: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", WRITER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as writer:
        assert writer.stdout is not None
        while "pushed" not in writer.stdout.readline():  # one push is complete, the next has begun
            assert writer.poll() is None
        end = time.monotonic() + 0.5
        while time.monotonic() < end:  # meanwhile no reader sees half an object
            assert {item.size for item in store_of(base).list()} <= {SIZE}
        os.kill(writer.pid, signal.SIGKILL)
    for item in store_of(base).list():
        assert item.size == SIZE
        assert not item.key.rpartition("/")[2].startswith(".")


def test_process_that_exits_after_the_push_has_lost_nothing_and_imported_no_provider(
    cloud: str, configure: Configure
) -> None:
    configure(path=cloud, compression="gzip")
    output = run_python(
        "import os, sys\nfrom include.xcom_backend import XComBackend\n"
        f"XComBackend.serialize_value('x' * 10_000, map_index=-1, **{COORDINATES!r})\n"
        "names = 'boto3', 's3fs', 'google.auth', 'gcsfs', 'azure.core', 'adlfs', 'pandas'\n"
        "imported = [name for name in names if name in sys.modules]\n"
        "print('imported:', *imported, flush=True); os._exit(0)"
    )
    assert len(objects(cloud)) == 1
    assert output.splitlines()[-1] == "imported:"


def test_child_of_a_process_that_used_the_store_uses_it_too(cloud: str, configure: Configure) -> None:
    configure(path=cloud)
    row = push(["value"])
    script = (
        "import os, sys; from types import SimpleNamespace; from include.xcom_backend import XComBackend\n"
        f"row = SimpleNamespace(value={encoded(reference(row))!r})\n"
        "assert XComBackend.deserialize_value(row) == ['value']\n"
        "if child := os.fork(): sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "os._exit(0 if XComBackend.deserialize_value(row) == ['value'] else 1)"
    )
    run_python(script)


def test_folder_removed_by_another_process_between_two_steps(tmp_path: Path) -> None:
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            for folder in sorted((tmp_path / "xcom").glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        rows = [push([number]) for number in range(100)]
    finally:
        stop.set()
        remover.join()
    assert [pull(row) for row in rows] == [[number] for number in range(100)]


@pytest.mark.parametrize("nameless", [True, False])
def test_rename_where_nameless_files_do_not_exist(
    nameless: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    assert pull(push(["value"])) == ["value"]
    assert all(not name.startswith(".") for name in os.listdir(next((tmp_path / "xcom").glob("*/*/*/*"))))


# ---------------------------------------------------------------- what it tells


def test_one_line_in_the_log_for_each_stored_value_and_none_for_others(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="include"):
        pull(push(["value"]))
        configure(threshold=10**6)
        pull(push(["value"]))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("include")]
    assert [line.split(":")[0] for line in lines] == ["XCom push", "XCom pull"]
    for word in ("key=return_value", "type=list", "codec=json", "decoded=9 B", "stored=9 B", " ms ", "file://"):
        assert word in lines[0]


class Metrics:
    """What Airflow's metrics send to: StatsD, OpenTelemetry, or this."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counted: dict[str, int] = {}
        self.timed: dict[str, float] = {}

    def incr(self, stat: str, count: int = 1, *_: Any, **__: Any) -> None:
        """Count."""
        self.counted[stat] = self.counted.get(stat, 0) + count

    def timing(self, stat: str, dt: Any, **_: Any) -> None:
        """Keep the milliseconds."""
        self.timed[stat] = float(dt)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Stand where Airflow's own metrics arrive."""
    received = Metrics()
    try:
        import airflow.sdk.observability.stats
    except ImportError:  # Airflow 2
        from airflow.stats import Stats

        monkeypatch.setattr(Stats, "instance", received)
    else:
        implementation = sys.modules[airflow.sdk.observability.stats.incr.__module__]
        monkeypatch.setattr(implementation, "_backend", received)
    return received


def test_metrics_arrive_in_airflows_own(
    metrics: Metrics, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = push("x" * 100)
    pull(row)
    with monkeypatch.context() as patch:
        patch.setattr(type(store_of(f"file://{tmp_path}/xcom")), "delete", find_no_credentials)
        purge(row)
    purge(row)
    with pytest.raises(ObjectMissingError):
        pull(row)
    configure(path=f"{Path(__file__).as_uri()}/x")
    with pytest.raises(XComBackendError):
        push("x" * 100)
    assert metrics.counted == {
        "xcom_backend.push": 1,
        "xcom_backend.push_bytes": 100,
        "xcom_backend.push_failures": 1,
        "xcom_backend.pull": 1,
        "xcom_backend.pull_bytes": 100,
        "xcom_backend.pull_failures": 1,
        "xcom_backend.purge": 1,
        "xcom_backend.purge_failures": 1,
    }
    assert set(metrics.timed) == {"xcom_backend.push_duration", "xcom_backend.pull_duration"}
    assert all(0 < milliseconds < 60_000 for milliseconds in metrics.timed.values())
