"""Runs Dags and doctor of a project with exactly the rights of infra/, then without each, and says what fails.

Runs in the project's environment; tools/pages/least_privilege.py starts it, once for each class of XComs. Prints JSON.
Arguments: the module of the cloud, the class, the project, and for S3, if it is there already, a file that tells what.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
CLASSES = {
    "provider": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "provider-gzip": "include.xcom_object_storage.XComObjectStorageBackend",
    "custom": "include.xcom_backend.XComBackend",
    "custom-gzip": "include.xcom_backend.XComBackend",
}
# The words by which stores refuse: an error is told by its type and the first of these in its text.
REFUSALS = (
    r"AccessDenied|Access Denied|Forbidden|BadDigest|did not arrive whole|Authorization\w+|ErrorCode:\w+|\b40[0-9]\b"
)
errors: list[str] = []
logged: list[str] = []


def configure(project: Path, name: str, home: str) -> None:
    """Set what Airflow reads when it is imported: nothing here can reach a real cloud."""
    for variable in [one for one in os.environ if one.startswith(("AIRFLOW", "AWS_", "AZURE_", "GOOGLE_"))]:
        del os.environ[variable]
    bundles = [project / "dags", project / "tests" / "sample_dags", HERE / "dags"]
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    config = [{"name": f"b{n}", "classpath": local, "kwargs": {"path": str(path)}} for n, path in enumerate(bundles)]
    os.environ.update(
        {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__XCOM_BACKEND": CLASSES[name],
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION": "gzip" if name.endswith("-gzip") else "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(config),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW_VAR_XCOM_BACKEND_DEPLOYMENT": "least-privilege",  # there is no task whose supervisor would tell it
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
    )


def forget() -> None:
    """Make the libraries forget what they know of the identity and of the store."""
    from airflow.providers.common.io.xcom import backend

    for getter in (backend._get_base_path, backend._get_compression, backend._get_threshold):
        getter.cache_clear()
    importlib.import_module("airflow.sdk.io.store")._STORE_CACHE.clear()
    for module, name in (("s3fs", "S3FileSystem"), ("gcsfs", "GCSFileSystem"), ("adlfs", "AzureBlobFileSystem")):
        if module in sys.modules:
            getattr(sys.modules[module], name).clear_instance_cache()
    for module in ("settings", "stores"):
        loaded = sys.modules.get(f"include.xcom_backend.{module}")
        for function in ("settings", "open_store"):
            if loaded is not None and hasattr(getattr(loaded, function, None), "cache_clear"):
                getattr(loaded, function).cache_clear()


def load_dags(project: Path) -> dict[str, Any]:
    """Return the Dags by ID; each task tells why it failed."""
    from airflow.dag_processing.dagbag import DagBag

    folders = (project / "dags", project / "tests" / "sample_dags", HERE / "dags")
    dags = {dag_id: dag for folder in folders for dag_id, dag in DagBag(str(folder)).dags.items()}
    for dag in dags.values():
        for task in dag.tasks:
            task.on_failure_callback = [lambda context: errors.append(in_short(context.get("exception")))]
    return dags


def in_short(error: BaseException | None) -> str:
    """Return the type of an error and by which word the store refused, if it did: the whole text names the run."""
    words = re.findall(REFUSALS, str(error)) or [" ".join(str(error).split())[:120]]
    return f"{type(error).__name__}: {words[0]}"


class Listener(logging.Handler):
    """Keeps what the custom class logs as an error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep its first words."""
        logged.append(" ".join(record.getMessage().split()[:2]))


class Steps:
    """What is tried with each set of rights: each step returns ``ok``, or what went wrong."""

    def __init__(self, project: Path, store: Any, name: str) -> None:
        """Load the Dags of the project."""
        self.project, self.store, self.name = project, store, name
        self.dags = load_dags(project)

    def run(self, dag_id: str, **conf: Any) -> tuple[dict[str, str], str]:
        """Run a Dag and return the state of each task, and its run ID."""
        errors.clear()
        logged.clear()
        run = self.dags[dag_id].test(run_conf=conf)
        return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}, run.run_id

    def failed(self) -> str:
        """Return what the last failed task said."""
        return f"fails: {errors[-1]}" if errors else "fails"

    def push(self) -> str:
        """Push a small and a big XCom, by the Dag that the project emits."""
        self.states, run_id = self.run("custom_xcom_backend_test")
        if self.states["push_objects"] != "success":
            return self.failed()
        there = any(run_id in key for key in self.store.objects())
        return "ok" if there else "says ok, and no object is there"

    def pull(self) -> str:
        """Pull both back, by the same run."""
        if self.states["push_objects"] != "success":
            return "-"
        return "ok" if self.states["pull_objects"] == "success" else self.failed()

    def again(self) -> str:
        """Push, fail, and run again: the object of the first try has to go."""
        states, run_id = self.run("fails_once")
        if states["push"] != "success":
            return self.failed()
        left = sum(run_id in key for key in self.store.objects())
        if left == 1:
            return "ok"
        loud = f", logs the error `{logged[0]} …`" if logged else ", logs no error"
        return f"the task succeeds{loud}, and the old object stays"

    def large(self) -> str:
        """Push more than one request carries."""
        states, run_id = self.run("large_xcom", size=self.size)
        if states["push"] != "success":
            return self.failed()
        there = any(run_id in key for key in self.store.objects())
        return "ok" if there else "says ok, and no object is there"

    def broken(self) -> str:
        """The same, and no part arrives whole: the task must fail and leave no open upload."""
        cloud = sys.modules[type(self.store).__module__]
        self.store.recorder.refuse = lambda call: cloud.BROKEN if cloud.is_part(call) else None
        try:
            states, _ = self.run("large_xcom", size=self.size)
        finally:
            self.store.recorder.refuse = lambda _: None
        said, left = self.failed() if states["push"] != "success" else "says ok", self.store.unfinished()
        return f"{said}; {left} unfinished uploads stay" if left else f"{said}; nothing stays"

    def doctor(self) -> str:
        """Ask the doctor, as the Dag xcom_doctor does."""
        from include.xcom_doctor import Situation, examine

        found = [result for result in examine(Situation(self.project)) if result.state in ("finding", "error")]
        return "; ".join(f"{one.check}: {short(one.seen)}" for one in found) or "ok"

    def cleanup(self) -> str:
        """Look for what no row names any more, as the Dag xcom_cleanup of the custom class does."""
        if not self.name.startswith("custom"):
            return "-"
        from include.xcom_backend.cleanup import clean

        try:
            clean(None, dry_run=True)
        except Exception as error:
            return f"fails: {in_short(error)}"
        return "ok"

    @property
    def size(self) -> int:
        """Bytes of a value that is uploaded in several requests."""
        cloud = sys.modules[type(self.store).__module__]
        return int(cloud.LARGE[self.name.removesuffix("-gzip")])


def tried(steps: Steps, names: list[str], operation: Callable[[Any], str]) -> dict[str, Any]:
    """Try these steps and return for each what it said, and which requests of it were answered with what."""
    results = {}
    for name in names:
        forget()
        calls = steps.store.recorder.calls
        calls.clear()
        said = getattr(steps, name)()
        done = sorted({operation(call) for call in calls if call.status < 400})
        refused = sorted({operation(call) for call in calls if call.status in (401, 403)})
        results[name] = {"said": said, "done": done, "refused": refused}
    return results


def steps_without(right: str, compressed: bool) -> list[str]:
    """Return the steps that are tried without a right: none that takes long and needs it as little as others do."""
    if right == "s3:AbortMultipartUpload":
        return ["push", "again"] if compressed else ["push", "again", "doctor", "broken"]
    return ["push", "pull", "again"] if compressed else ["push", "pull", "again", "cleanup", "doctor"]


def short(seen: str) -> str:
    """Return what the doctor saw without names that differ each time."""
    return f"{seen.partition(':')[0]}: {(re.findall(REFUSALS, seen) or [seen])[0]}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep standard output for the result: Airflow prints there."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def main() -> None:
    """Prove, and print what was seen."""
    cloud_name, name, project, *made = sys.argv[1], sys.argv[2], *map(Path, sys.argv[3:])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, quiet():
        configure(project, name, home)
        from airflow.utils.db import initdb

        initdb()
        cloud = importlib.import_module(cloud_name)
        with cloud.started(project, *made) as store:
            os.environ[PATH] = f"{cloud.SCHEME}://{cloud.CONNECTION_ID}@{store.bucket}/xcom"
            variable = f"AIRFLOW_CONN_{cloud.CONNECTION_ID.upper()}"
            os.environ[variable] = store.grant()
            steps = Steps(project, store, name)
            logging.getLogger("include.xcom_backend").addHandler(Listener(logging.ERROR))
            compressed = name.endswith("-gzip")
            large = ["large", "broken"] if cloud.BROKEN else ["large"]
            all_steps = ["push", "pull", "again", *([] if compressed else ["cleanup", "doctor", *large])]
            result = {"all": tried(steps, all_steps, cloud.operation), "elsewhere": store.elsewhere(), "without": {}}
            for right in store.rights():
                os.environ[variable] = store.grant(without=right)
                result["without"][right] = tried(steps, steps_without(right, compressed), cloud.operation)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
