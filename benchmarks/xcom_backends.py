"""Measures the custom class beside the provider's backend and the floor: `make record ONLY=bench`.

The floor is what nobody can beat with the same format: encode with the bare library, write with the bare client, no
check and no reference. All run side by side in interleaved rounds against a fast S3 server on loopback and a local
folder, the cold rows also against emulators of Google and Azure. Each push and each pull has a process of its own,
forked from one that has imported the libraries, as Airflow's supervisor forks tasks; the cold rows start Python
itself. Besides the provider's backend, plain and compressed, the
classes of older tutorials take part (older_ways.py). Writes docs/reference/benchmarks.md and its picture.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import io
import json
import multiprocessing
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
HOME = ROOT / ".demo" / "bench"
PROVIDER = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
CUSTOM = "include.xcom_backend.XComBackend"
CSV = "benchmarks.older_ways.S3CsvBackend"
DUAL = "benchmarks.older_ways.DualWriteBackend"
DEFAULT = "airflow.sdk.bases.xcom.BaseXCom"
PACKAGES = [
    "apache-airflow",
    "apache-airflow-task-sdk",
    "obstore",
    "boto3",
    "s3fs",
    "gcsfs",
    "adlfs",
    "pandas",
    "pyarrow",
    "numpy",
    "msgspec",
]
NAMES = {"dag_id": "bench", "run_id": "manual__2026-11-20", "task_id": "push", "key": "return_value", "map_index": -1}
MB = 2**20

Result = dict[str, float]


# The payloads


def make(payload: str) -> Any:
    """Return the value of a payload, the same each time."""
    if payload == "frame":
        import numpy as np
        import pandas as pd

        rows, random = 1_000_000, np.random.default_rng(7)
        return pd.DataFrame(
            {
                "id": np.arange(rows),
                "amount": random.normal(100, 15, rows),
                "units": random.integers(0, 1000, rows),
                "region": np.array(["north", "south", "east", "west"], dtype=object)[random.integers(0, 4, rows)],
            }
        )
    if payload == "records":
        return [
            {"id": number, "name": f"user-{number}", "amount": number * 1.25, "ok": number % 3 == 0, "note": None}
            for number in range(150_000)
        ]
    if payload == "nested":
        leaf = {"text": "some words that say what it is", "n": 12345, "x": 0.125, "list": [1, 2, 3], "none": None}
        return {f"a{i}": {f"b{j}": {f"c{k}": dict(leaf) for k in range(10)} for j in range(10)} for i in range(100)}
    if payload == "array":
        import numpy as np

        return np.random.default_rng(7).normal(size=(2**11, 2**12))
    if payload == "gigabyte":
        return os.urandom(MB) * 1024
    if payload == "small":
        return {"id": 12345, "state": "done", "path": "s3://bucket/folder/file.csv", "rows": 100_000, "ok": True}
    return [{"n": number, "text": "x" * 80} for number in range(2000)]  # 200 KB


def same(payload: str, value: Any) -> bool:
    """Tell whether a pulled value is what was pushed."""
    if payload == "gigabyte":  # SHA-256 has looked at the bytes, which are others each time
        return len(value) == 1024 * MB and value[:MB] * 1024 == value
    wanted = make(payload)
    if payload == "frame":
        return bool(wanted.equals(value)) and list(wanted.dtypes) == list(value.dtypes)
    if payload == "array":
        import numpy as np

        return bool(np.array_equal(wanted, value))
    return bool(wanted == value)


# The contenders


class Backend:
    """A class that Airflow could load."""

    def __init__(self, path: str) -> None:
        """Import the class from its path."""
        module, _, name = path.rpartition(".")
        self.backend = getattr(import_module(module), name)

    def push(self, value: Any) -> Any:
        """Return the row."""
        return self.backend.serialize_value(value, **NAMES)

    def pull(self, row: Any) -> Any:
        """Return the value."""
        return self.backend.deserialize_value(SimpleNamespace(value=row))

    def purge(self, row: Any) -> None:
        """Delete the object."""
        self.backend.purge(SimpleNamespace(value=row))


class AsList(Backend):
    """What a user of the provider's backend does with an array, which it refuses."""

    def push(self, value: Any) -> Any:
        """Return the row."""
        return super().push(value.tolist() if hasattr(value, "tolist") else value)


class Floor:
    """The bare library and the bare client, with the same format and the same options."""

    def __init__(self, payload: str, path: str) -> None:
        """Connect to the store of the path."""
        self.payload, self.client = payload, None
        self.folder = Path(path.removeprefix("file://"))
        if not path.startswith("file:"):
            self.client = bare_client(path)

    def push(self, value: Any) -> str:
        """Write the object and return its name."""
        return self.put(encode(self.payload, value))

    def put(self, body: bytes) -> str:
        """Write bytes and return their name."""
        name = f"floor-{os.getpid()}-{time.monotonic_ns()}"
        if self.client is None:
            (self.folder / name).write_bytes(body)
        else:
            self.client.put(name, body, use_multipart=False)
        return name

    def pull(self, name: str) -> Any:
        """Read the object and decode it."""
        return decode(self.payload, self.get(name))

    def get(self, name: str) -> Any:
        """Read bytes."""
        if self.client is None:
            return (self.folder / name).read_bytes()
        return self.client.get(name).bytes()

    def purge(self, name: str) -> None:
        """Delete the object."""
        if self.client is None:
            (self.folder / name).unlink()
        else:
            self.client.delete(name)


def bare_client(path: str) -> Any:
    """Return the fastest bare client known for the store of a path: obstore, with nothing but the credentials."""
    from obstore import store

    url = urlsplit(path)
    connection = json.loads(os.environ[f"AIRFLOW_CONN_{url.username}".upper()])
    extra, options = connection["extra"], {"client_options": {"allow_http": True}}
    if url.scheme == "s3":
        keys = {"access_key_id": connection["login"], "secret_access_key": connection["password"]}
        more = {"endpoint": extra["endpoint_url"], "region": "us-east-1", "unsigned_payload": True}
        return store.S3Store(url.hostname, **keys, **more, disable_bulk_delete=True, **options)
    if url.scheme == "gs":
        return store.GCSStore(url.hostname, base_url=extra["gcs.endpoint"], bearer_token="anonymous", **options)  # noqa: S106
    parts = dict(part.split("=", 1) for part in extra["connection_string"].strip(";").split(";"))
    account = {"account_name": parts["AccountName"], "account_key": parts["AccountKey"]}
    return store.AzureStore(url.hostname, **account, endpoint=parts["BlobEndpoint"], **options)


def encode(payload: str, value: Any) -> bytes:
    """Return the bytes that the custom class stores, the shortest way."""
    if payload == "gigabyte":
        return bytes(value)  # the same object
    if payload == "frame":
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        table, encodings = pa.Table.from_pandas(value), dict.fromkeys(("id", "units"), "DELTA_BINARY_PACKED")
        options = {"use_dictionary": ["region"], "column_encoding": encodings | {"amount": "BYTE_STREAM_SPLIT"}}
        pq.write_table(table, sink, compression="zstd", write_statistics=False, **options)
        return bytes(sink.getvalue().to_pybytes())
    if payload == "array":
        import numpy as np

        stream = io.BytesIO()
        np.save(stream, value)
        return stream.getvalue()
    import msgspec

    return bytes(msgspec.json.encode(value))


def decode(payload: str, data: bytes) -> Any:
    """Return the value of :func:`encode`'s bytes."""
    if payload == "gigabyte":
        return bytes(data)
    if payload == "frame":
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.ParquetFile(pa.BufferReader(data)).read().to_pandas()
    if payload == "array":
        import numpy as np

        return np.frombuffer(data, dtype=float, offset=128).reshape(2**11, 2**12)
    import msgspec

    return msgspec.json.decode(data)


def contender(name: str, payload: str, path: str) -> Any:
    """Return the contender of this name, with its settings in the environment."""
    name, _, compression = name.partition("+")
    if compression == "msgpack":  # no compression: the compact format of data
        os.environ["AIRFLOW__XCOM_BACKEND__DATA_FORMAT"], compression = compression, ""
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = path
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"] = compression
    if name == "floor":
        return Floor(payload, path)
    if name == "custom over s3fs":
        from include.xcom_backend import stores

        stores.sign_in = lambda _: None
    if name == "provider" and payload == "array":
        return AsList(PROVIDER)
    return Backend({"provider": PROVIDER, "default": DEFAULT, "csv": CSV, "dual write": DUAL}.get(name, CUSTOM))


# One measurement, in a process of its own


def peak() -> tuple[int, int]:
    """Return the resident memory of this process now and at its highest, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024


def timed(action: Callable[[], Any]) -> tuple[Any, Result]:
    """Run the action once and return what it returned, its seconds by clock and CPU, and the memory it added."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark
    before = peak()[0]
    started, cpu = time.perf_counter(), time.process_time()
    value = action()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    after, highest = peak()
    return value, {"seconds": seconds, "cpu": cpu, "added": highest - before, "kept": after - before}


def warm(backend: Any) -> None:
    """Connect and import what is left, with a value that goes to the store."""
    if isinstance(backend, Floor):
        payload, backend.payload = backend.payload, "nested"
        backend.purge(backend.push({"a": "b" * 5000}))
        backend.payload = payload
        return
    row = backend.push({"a": "b" * 5000})
    backend.pull(row)
    backend.purge(row)


def run_push(name: str, payload: str, path: str) -> tuple[Any, Result]:
    """Push once and return the row."""
    backend, value = contender(name, payload, path), make(payload)
    warm(backend)
    stored = server_counts(path).get("bytes", 0)
    row, result = timed(lambda: backend.push(value))
    return row, result | {"stored": server_counts(path).get("bytes", 0) - stored}


def run_pull(name: str, payload: str, path: str, row: Any, check: bool) -> tuple[Any, Result]:
    """Pull once, check the value if asked to, and purge. Return whether it is another, which only CSV may give."""
    backend = contender(name, payload, path)
    warm(backend)
    value, result = timed(lambda: backend.pull(row))
    differs = check and not same(payload, value)
    if differs and name != "csv":
        raise ValueError(f"{name} gave back another {payload}")
    backend.purge(row)
    return differs, result


def run_small(name: str, payload: str, path: str) -> tuple[Any, Result]:
    """Return the microseconds of a push and a pull of a value that stays in the database."""
    backend, value = contender(name, payload, path), make(payload)
    row = backend.push(value)
    backend.pull(row)
    times = []
    actions: list[Callable[[], Any]] = [lambda: backend.push(value), lambda: backend.pull(row)]
    for action in actions:
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(1000):
            action()
        times += [(time.perf_counter() - started) * 1000, (time.process_time() - cpu) * 1000]
    return json.dumps(row), dict(zip(("push", "push cpu", "pull", "pull cpu"), times, strict=True))


def run_many(name: str, payload: str, path: str, number: int) -> tuple[Any, Result]:
    """Push 200 KB many times and return the throughput of the first and the last tenth, and what grew."""
    backend, value = contender(name, payload, path), make(payload)
    warm(backend)
    opened, times, rows, early = server_counts(path), [], [], 0
    cpu = []
    for index in range(number):
        started = time.perf_counter(), time.process_time()
        rows.append(backend.push(value))
        times.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
        if index == number // 10:
            early = peak()[0]
    late, now, tenth = peak()[0], server_counts(path), number // 10
    for row in rows:
        backend.purge(row)
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    return None, {
        "first": 1 / first,
        "last": 1 / last,
        "first cpu": 1 / statistics.median(cpu[:tenth]),
        "last cpu": 1 / statistics.median(cpu[-tenth:]),
        "grown": late - early,
        "connections": now.get("connections", 0) - opened.get("connections", 0),
    }


def run_requests(name: str, payload: str, path: str) -> tuple[Any, Result]:
    """Count the requests of one push, pull and purge."""
    backend, value = contender(name, payload, path), make(payload)
    warm(backend)
    counted, row = {}, None
    for action in ("push", "pull", "purge"):
        before = requests(path)
        returned = getattr(backend, action)(value if action == "push" else row)
        row = returned if action == "push" else row
        counted[action] = float(requests(path) - before)
    return None, counted


def run_steps(path: str) -> tuple[Any, Result]:
    """Return the milliseconds of CPU time of each step, in one process."""
    from benchmarks.steps import steps

    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = path
    floor = Floor("nested", path)
    warm(floor)
    return None, {f"{payload}/{action}/{step}": taken for payload, action, step, taken in steps(make, floor)}


def run_cold(what: str, name: str, path: str) -> Result:
    """Return the seconds of the first push and pull in this process, after what every task's process has imported."""
    value = make("nested") if what == "object" else None
    for module in ("airflow.sdk", "airflow.sdk.bases.xcom", "airflow.sdk.execution_time.supervisor"):
        import_module(module)

    before, started, cpu = peak()[1], time.perf_counter(), time.process_time()
    backend = contender(name, "nested", path)
    row = make("small") if what == "row" else backend.push(value)
    backend.pull(row)
    result = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    result["added"] = peak()[1] - before
    if what == "object":
        backend.purge(row)
    return result


def server_counts(path: str) -> dict[str, int]:
    """Return what the S3 server has counted."""
    if not path.startswith("s3:"):
        return {}
    endpoint = json.loads(os.environ["AIRFLOW_CONN_BENCH"])["extra"]["endpoint_url"]
    with urllib.request.urlopen(f"{endpoint}/-/counts") as answer:  # noqa: S310
        counted: dict[str, int] = json.load(answer)
    return counted


def requests(path: str) -> int:
    """Return how many requests the S3 server has answered, but for those about the counts."""
    return sum(count for name, count in server_counts(path).items() if name.isupper())


def in_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the work returns in a forked process, or the text of its error."""

    def run() -> None:
        try:
            sender.send(work(*arguments))
        except Exception as error:
            sender.send(f"{type(error).__name__}: {error}")

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run)
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return "the process died"
    finally:
        process.join()


# All measurements


def main() -> int:
    """Return 0 when every value that came back was the one that went in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case; the median counts")
    parser.add_argument("--only", help="measure only payloads and parts that have this in their names, write nothing")
    parser.add_argument("--store", help="measure only this store: s3, file, gs or abfs (cold only)")
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)  # set when it starts itself in the project
    parser.add_argument("--cold", nargs=3, help=argparse.SUPPRESS)  # what, contender, path: in a process of its own
    arguments = parser.parse_args()
    if arguments.cold:
        print(json.dumps(run_cold(*arguments.cold)))
        return 0
    if arguments.project is None:
        start_in_project(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as on Ctrl-C, the server ends too
    started, load = time.monotonic(), [os.getloadavg()[0]]
    with open_server(arguments.project) as paths:
        measured = measure(arguments, paths)
    load.append(os.getloadavg()[0])
    if not arguments.only and not arguments.store:
        from tools.pages import benchmarks as report

        report.record({"machine": machine(), "rounds": arguments.rounds, "load": load, "measured": measured})
    print(f"All in {time.monotonic() - started:.0f} seconds.")
    return 0


def machine() -> str:
    """Return what the numbers depend on besides the code."""
    model = next(line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}, {versions}"


def start_in_project(arguments: list[str]) -> NoReturn:
    """Bake, install what the projects of three clouds need, and go on as this script in that environment."""
    from tools.demo.start import bake
    from tools.environments import project_environment

    print("Installing what custom bakes of three clouds need into .venv-bench (the first time about 1 minute).")
    print(
        "Then measuring: about 15 minutes on 2 quiet cores. Use --only=frame and --rounds=1 for a quick look.",
        flush=True,
    )
    answers = {"xcom_backend": "custom", "compression": "zstd"}
    projects = [
        bake({**answers, "cloud": cloud, "project_slug": f"xcom-bench-{cloud}"}) for cloud in ("aws", "gcp", "azure")
    ]
    python = project_environment("bench", [project / "requirements-dev.txt" for project in projects])
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an image has the bytecode of its packages
    # The tests of the last project can install Azurite.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(projects[0]), str(projects[-1] / "tests")])
    os.execv(python, [str(python), __file__, *arguments, f"--project={projects[0]}"])  # noqa: S606


@contextmanager
def open_server(project: Path) -> Iterator[dict[str, str]]:
    """Start the S3 server, set what all contenders share, and give the base path of each store."""
    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "files").mkdir(parents=True)
    command = [sys.executable, str(HERE / "fast_s3.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101
        port = int(server.stdout.readline())
        extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "test-key", "password": "test-secret", "extra": extra}
        for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_"))]:
            del os.environ[name]
        os.environ.update(
            {
                "AIRFLOW_HOME": str(HOME),
                "AIRFLOW_CONN_BENCH": json.dumps(connection),
                "AIRFLOW_CONN_BENCH_GCS": '{"conn_type": "google_cloud_platform", "extra": {"is_anonymous": true}}',
                "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
                "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
                "AWS_EC2_METADATA_DISABLED": "true",
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(project)]),
            }
        )
        import object_stores

        paths = {"s3": "s3://bench@bucket/xcom", "file": f"file://{HOME}/files"}
        try:
            with object_stores.gcs("bench_gs") as gcs, object_stores.azure("bench_abfs") as azure:
                for store in (gcs, azure):
                    url = urlsplit(store.path)
                    os.environ[f"AIRFLOW_CONN_{url.username}".upper()] = str(store.connection)
                    paths[url.scheme] = store.path
                yield paths
        finally:
            server.terminate()


def measure(arguments: argparse.Namespace, paths: dict[str, str]) -> dict[str, Any]:
    """Return the medians of all measurements, by part, store, payload and contender."""
    only, rounds = arguments.only or "", arguments.rounds
    found: dict[str, list[Result]] = {}
    places: dict[str, list[int]] = {}

    def note(result: Any, *case: str) -> Any:
        """Keep a result, or say that there is none."""
        name = "/".join(case)
        if isinstance(result, str):
            print(f"{name}: {result[:150]}", flush=True)
            found.setdefault(name, [])
            return None
        found.setdefault(name, []).append(result[1])
        print(name, " ".join(f"{key}={value:.4g}" for key, value in result[1].items()), flush=True)
        return result[0]

    cold = [("row", name, "s3") for name in ("default", "provider", "custom")]
    cold += [("object", name, store) for store in paths for name in ("provider", "custom", "floor")]
    cold.append(("object", "custom over s3fs", "s3"))
    for turn in range(rounds + 1):
        for what, name, store in cold:
            if only in f"cold {what}" and arguments.store in (None, store):
                result = start_cold(what, name, paths[store])
                if turn > 0:  # the first one writes bytecode
                    note((None, result), "cold", what, store, name)
    preload()
    stores = [store for store in ("s3", "file") if arguments.store in (None, store)]
    for turn in range(rounds):
        for store in stores:
            for payload in ("frame", "records", "nested", "array", "gigabyte"):
                if only not in payload:
                    continue
                names = contenders(payload, store)
                first = turn % len(names)  # not always the same one: who begins may find colder memory
                for place, name in enumerate(names[first:] + names[:first]):
                    pushed = in_child(run_push, name, payload, paths[store])
                    row = note(pushed, store, payload, name, "push")
                    if row is not None:
                        places.setdefault(f"{store}/{payload}/{name}/push", []).append(place)
                        pulled = in_child(run_pull, name, payload, paths[store], row, turn == 0)
                        if note(pulled, store, payload, name, "pull"):
                            found[f"{store}/{payload}/{name}/differs"] = [{"differs": 1.0}]
        for name in ("default", "provider", "custom"):
            if only in "small":
                note(in_child(run_small, name, "small", paths["file"]), "file", "small", name)
    for store in stores:
        for name in ("provider", "custom", "floor"):
            if only in "many":
                note(in_child(run_many, name, "many", paths[store], 2000), store, "many", name)
    for name in ("provider", "custom"):
        if only in "requests":
            note(in_child(run_requests, name, "nested", paths["s3"]), "s3", "requests", name)
    if only in "steps":
        note(in_child(run_steps, paths["s3"]), "steps")
    medians: dict[str, Any] = {case: median(results) for case, results in found.items()}
    return medians | {"order": {"first": first_by_later(found, places)}}


def first_by_later(found: dict[str, list[Result]], places: dict[str, list[int]]) -> float:
    """Return the CPU time of pushes that were the first of their round by that of the same pushes when later.

    It is the median over all cases: 1 if the order of the contenders makes no difference.
    """
    ratios = []
    for case, order in places.items():
        taken = [result["cpu"] for result in found[case]]
        first = [seconds for place, seconds in zip(order, taken, strict=True) if place == 0]
        later = [seconds for place, seconds in zip(order, taken, strict=True) if place > 0]
        if first and later:
            ratios.append(statistics.median(first) / statistics.median(later))
    return statistics.median(ratios) if ratios else float("nan")


def contenders(payload: str, store: str) -> list[str]:
    """Return who measures themselves with this payload."""
    names = ["provider", "custom", "floor"]
    if payload == "records":
        names += ["custom+zstd", "custom+msgpack"]
    if payload in {"frame", "records", "nested"} or (payload == "array" and store == "s3"):
        names += ["provider+gzip", "provider+zip"]
    if store == "s3" and payload in {"frame", "array", "gigabyte"}:
        names.append("custom over s3fs")
    if store == "s3" and payload == "frame":
        names.append("csv")
    if store == "s3" and payload in {"records", "nested"}:
        names.append("dual write")
    return names


def start_cold(what: str, name: str, path: str) -> Result:
    """Run one cold measurement in a Python of its own."""
    command = [sys.executable, __file__, "--cold", what, name, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def preload() -> None:
    """Import what the forked processes need, without connecting to anything."""
    backends = [path.rpartition(".")[0] for path in (PROVIDER, CSV)]
    for name in (
        "pandas",
        "pyarrow.parquet",
        "obstore",
        "obstore.store",
        "boto3",
        "s3fs",
        "msgspec",
        "zstandard",
        *backends,
    ):
        import_module(name)
    for name in ("backend", "stores", "sign_in", "compression"):
        import_module(f"include.xcom_backend.{name}")
    import_module("airflow.providers.amazon.aws.hooks.s3")
    from airflow.sdk.io import has_fs

    has_fs("s3")


def median(results: list[Result]) -> Result:
    """Return the median of each number, and how many there were."""
    return {name: statistics.median(result[name] for result in results) for name in results[0]} if results else {}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. All that was started has ended.")
