"""What a cleanup of 100,000 objects costs: requests, which a server counts, and memory."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from custom_xcom import Configure, push, reference

from include.xcom_backend.compat import AIRFLOW_2
from include.xcom_backend.deployment import mark_of

pytestmark = pytest.mark.skipif(AIRFLOW_2, reason="tasks of Airflow 2 ask the database itself")

DEPLOYMENT = "the deployment of these tests"
RUNS, OBJECTS_OF_A_RUN, LISTED_AT_ONCE = 1000, 100, 1000
MEMORY = 32 * 2**20  # bytes; 100,000 objects in a list take more than twice as many
OBJECT = (
    "<Contents><Key>xcom/dag/run-{run:04}/task/-1/key{key:02}.{mark}-{run:06x}{key:06x}.json</Key>"
    "<LastModified>2024-01-01T00:00:00.000Z</LastModified><Size>5000</Size><ETag>&quot;0&quot;</ETag></Contents>"
)
LISTING = "<ListBucketResult><IsTruncated>{more}</IsTruncated>{token}{contents}</ListBucketResult>"
ROW_KEYS = [f"key{number:02}" for number in range(OBJECTS_OF_A_RUN - 1)]
ROWS = json.dumps(
    {
        "xcom_entries": [{"task_id": "task", "key": key, "map_index": -1} for key in ROW_KEYS],
        "total_entries": len(ROW_KEYS),
    }
).encode()


class Site(BaseHTTPRequestHandler):
    """A bucket of 1,000 runs with 100 objects each, and an API with rows of all but the last of each run."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[Counter[str]] = Counter()
    deleted: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        """Answer from the numbers in the question: nothing is kept."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "list-type" in query:
            self.asked["pages of the listing"] += 1
            start = int(query.get("continuation-token", 0))
            end, mark = start + LISTED_AT_ONCE, mark_of(DEPLOYMENT)
            numbers = (divmod(number, OBJECTS_OF_A_RUN) for number in range(start, end))
            contents = "".join(OBJECT.format(run=run, key=key, mark=mark) for run, key in numbers)
            more = end < RUNS * OBJECTS_OF_A_RUN
            token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
            self.answer(LISTING.format(more=str(more).lower(), token=token, contents=contents).encode())
        elif url.path.startswith("/api/v2/variables/"):
            self.asked["questions to Airflow"] += 1
            self.answer(json.dumps({"value": DEPLOYMENT}).encode())
        else:
            self.asked["questions to Airflow"] += 1
            assert re.fullmatch(r"/api/v2/dags/dag/dagRuns/run-\d{4}/taskInstances/~/xcomEntries", unquote(url.path)), (
                url.path
            )
            self.answer(ROWS)

    def do_DELETE(self) -> None:
        """Remember what goes."""
        self.asked["deletions"] += 1
        self.deleted.add(self.path)
        self.answer(b"", 204)

    def answer(self, body: bytes, status: int = 200) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing for each request."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, configure: Configure) -> Iterator[type[Site]]:
    """Serve the bucket and the API, and set the connections to both."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        aws = {"conn_type": "aws", "login": "test", "password": "test"}
        extra = {"endpoint_url": url, "region_name": "us-east-1"}
        monkeypatch.setenv("AIRFLOW_CONN_COUNTED", json.dumps({**aws, "extra": extra}))
        monkeypatch.setenv("AIRFLOW_CONN_API", json.dumps({"conn_type": "http", "host": url, "password": "token"}))
        monkeypatch.setenv("AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT", DEPLOYMENT)
        configure(path="s3://counted@bucket/xcom")
        Thread(target=server.serve_forever, daemon=True).start()
        yield Site
        server.shutdown()


def memory(kind: str) -> int:
    """Return the memory of this process in bytes: VmRSS now, VmHWM at its peak."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_100_000_objects_take_few_requests_and_flat_memory(site: type[Site]) -> None:
    from include.xcom_backend.cleanup import choose_rows, clean

    rows = choose_rows("api")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    report = clean(rows, dry_run=False, max_per_dag=RUNS)
    added = memory("VmHWM") - before
    assert (report.looked_at, report.named_by_a_row, report.deleted) == (100_000, 99_000, RUNS)
    assert len(site.deleted) == RUNS
    assert all("/key99." in path for path in site.deleted)
    assert site.asked == {"pages of the listing": 100, "questions to Airflow": RUNS + 1, "deletions": RUNS}
    assert added < MEMORY


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process the ID of a deployment, whatever another test found."""
    from include.xcom_backend.deployment import own_mark

    monkeypatch.setenv("AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT", DEPLOYMENT)
    own_mark.cache_clear()
    yield
    own_mark.cache_clear()


@pytest.mark.usefixtures("deployment")
def test_a_run_tells_what_is_in_the_store_and_of_which_dags_the_mirror_differs(
    configure: Configure, tmp_path: Path
) -> None:
    from include.xcom_backend.cleanup import Contents, clean

    configure(path=f"file://{tmp_path}/primary", mirror=f"file://{tmp_path}/mirror")
    for run in ("one", "two"):
        push("x" * 100, dag_id="small", run_id=run, task_id="task")
    for task in ("first", "second"):
        row = push("x" * 1000, dag_id="big", run_id="one", task_id=task)
    Path(reference(row)["paths"][1].removeprefix("file://")).unlink()
    contents = Contents()
    clean(None, contents=contents)
    told = json.loads(json.dumps(contents.told()))
    tasks = [{"task_id": task, "objects": 1, "bytes": 1000} for task in ("first", "second")]
    big = {"dag_id": "big", "runs": 1, "objects": 2, "bytes": 2000}
    small = {"dag_id": "small", "runs": 2, "objects": 2, "bytes": 200}
    assert [{**dag, "tasks": sorted(dag["tasks"], key=str)} for dag in told["dags"]] == [
        {**big, "tasks": sorted(tasks, key=str)},
        {**small, "tasks": [{"task_id": "task", "objects": 2, "bytes": 200}]},
    ]
    assert (told["mirrors"], told["differ"], told["ages"]) == (1, ["big"], {"less than a day": 4})
    assert [one["bytes"] for one in told["biggest"]] == [1000, 1000, 100, 100]
