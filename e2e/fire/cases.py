"""The faults: what is done to a run, with either backend, and what became of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2e.fire.site import BACKENDS, BOUND, PATIENCE, Run, Site, clean, until
from tools.pages.fire import Outcome
from tools.processes import free_port
from tools.proxy import HOST, Fault, Proxy

LONG = "x" * 244
UMLAUTS = "Zürich_ночь_東京"


# Tells the outcome of a case, by its name, with a backend.
Outcomes = Callable[[str, str], Outcome]


@dataclass(frozen=True)
class Case:
    """One fault."""

    name: str
    title: str
    do: Callable[[Run], None]
    dag_id: str = "fire"
    run_id: str = ""
    slice: bool = False
    only: str = ""  # one backend
    ids: tuple[str, str, str] = ("push", "pull", "return_value")
    may_lose: bool = False  # the fault itself takes the object away
    bound: float = BOUND
    either: bool = False  # a value or a task that failed with the reason: whoever is faster


CASES: dict[str, Case] = {}


def backends_of(case: Case) -> list[str]:
    """Return the backends that a case is for."""
    return [case.only] if case.only else list(BACKENDS)


def case(title: str, **options: object) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Register a case; the function's name is its name."""

    def register(do: Callable[[Run], None]) -> Callable[[Run], None]:
        name = do.__name__
        CASES[name] = Case(name, title, do, **options)  # type: ignore[arg-type]
        return do

    return register


def play(site: Site, case: Case, backend: str) -> Outcome:
    """Do a case to a run, wait for its end, and tell what became of it."""
    run = Run(site, backend, case.name, case.dag_id, case.run_id)
    run.push_id, run.pull_id, run.key = case.ids
    run.bound = case.bound
    started = time.monotonic()
    try:
        case.do(run)
        ended = run.finish()
        return judge(run, ended, time.monotonic() - started, case.may_lose)
    finally:
        run.close()


def judge(run: Run, ended: bool, seconds: float, may_lose: bool) -> Outcome:
    """Return what became of a run that has ended."""
    verdicts, states = run.verdicts(), run.states()
    wrong = [verdict for verdict in verdicts if not verdict["right"]]
    if wrong:
        got = wrong[0]
        return Outcome(
            "WRONG VALUE", seconds, f"the pull succeeds with a {got['type']}: {clean(got['start'], run)[:70]}…"
        )
    if not ended:
        return Outcome("HANGS", seconds, f"still waiting after {run.bound:.0f} s, then ended by the test")
    if not may_lose and run.lost():
        return Outcome("LOST OBJECT", seconds, f"the row names an object that is not there: {clean(run.reason(), run)}")
    tries = max([verdict["try"] for verdict in verdicts] or [0])
    if states.get(run.pull_id) == "success" and verdicts:
        words = [f"try {tries} of the push"] if tries > 1 else []
        warnings = [
            clean(text, run) for text in run.messages("warning") if "The other copy" in text or "trying" in text
        ]
        words += [*(clean(text, run) for text in run.messages("warning") if "Took the copy" in text), *warnings][:1]
        orphans = len(run.objects()) - run.pushes
        words += [f"{orphans} orphan(s) in the store"] if orphans > 0 and not may_lose else []
        return Outcome("value", seconds, "; ".join(words))
    task = next((task for task, state in states.items() if state in {"failed", "upstream_failed"}), "?")
    reason = clean(run.reason(), run)
    return Outcome(
        f"failed with{'' if reason else 'out'} {'the' if reason else 'a'} reason", seconds, f"{task}: {reason}"
    )


def after_push(run: Run) -> None:
    """Trigger the run and return when the value is pushed and the pull waits."""
    run.gates("pull")
    run.trigger()
    run.wait_for_gate("pull")


# --- the store -------------------------------------------------------------------------------------------------------


@case("nothing: the same run unhurt", slice=True)
def nothing(run: Run) -> None:
    run.trigger()


@case("store stopped before the push, started again 4 seconds later", slice=True, either=True)
def store_restarted_at_push(run: Run) -> None:
    run.gates("push")
    run.trigger()
    run.wait_for_gate("push")
    restart_store(run, "push")


@case("store stopped after the push, started again 4 seconds after the pull began", either=True)
def store_restarted_at_pull(run: Run) -> None:
    after_push(run)
    restart_store(run, "pull")


def restart_store(run: Run, gate: str) -> None:
    """Kill the store and its listener, let the task go on, and start the store again."""
    run.stop_store()
    run.proxy.stop()
    run.open(gate)
    time.sleep(4)
    run.start_store()
    run.proxy.start()


@case("store stopped for good before the push")
def store_stopped_at_push(run: Run) -> None:
    run.proxy.stop()
    run.trigger()


@case("store stopped for good after the push", slice=True)
def store_stopped_at_pull(run: Run) -> None:
    after_push(run)
    run.proxy.stop()
    run.open("pull")


@case("503 SlowDown for the first 3 requests of the push")
def busy_at_push(run: Run) -> None:
    run.hurt("status", status=503, code="SlowDown", times=3)
    run.trigger()


@case("500 InternalError for the first 3 requests of the pull")
def errors_at_pull(run: Run) -> None:
    after_push(run)
    run.hurt("status", status=500, code="InternalError", times=3)
    run.open("pull")


@case("503 SlowDown from then on, at the push")
def busy_for_good(run: Run) -> None:
    run.hurt("status", status=503, code="SlowDown")
    run.trigger()


@case("500 InternalError from then on, at the pull")
def errors_for_good(run: Run) -> None:
    after_push(run)
    run.hurt("status", status=500, code="InternalError")
    run.open("pull")


@case("connection reset at the first 2 requests of the push")
def resets_at_push(run: Run) -> None:
    run.hurt("reset", times=2)
    run.trigger()


@case("every connection reset, at the pull")
def resets_for_good(run: Run) -> None:
    after_push(run)
    run.hurt("reset")
    run.open("pull")


@case("the first 2 GETs of the pull end in the middle")
def cut_twice(run: Run) -> None:
    after_push(run)
    run.hurt("cut", methods=("GET",), path=run.dag_id, times=2)
    run.open("pull")


@case("every GET ends in the middle", slice=True)
def cut_for_good(run: Run) -> None:
    after_push(run)
    run.hurt("cut", methods=("GET",), path=run.dag_id)
    run.open("pull")


@case("every GET gives half of the object and says that this is all")
def half_object(run: Run) -> None:
    after_push(run)
    run.hurt("short", methods=("GET",), path=run.dag_id)
    run.open("pull")


@case("each answer takes 2 seconds more")
def slow(run: Run) -> None:
    run.hurt("slow", seconds=2.0)
    run.trigger()


@case("the answer to each GET comes at a byte a second")
def drip(run: Run) -> None:
    after_push(run)
    run.hurt("drip", methods=("GET",), path=run.dag_id)
    run.open("pull")


@case("black hole at the push: the store takes the request and never answers")
def silent_at_push(run: Run) -> None:
    run.hurt("silent")
    run.trigger()


@case("black hole at the pull", slice=True)
def silent_at_pull(run: Run) -> None:
    after_push(run)
    run.hurt("silent")
    run.open("pull")


# --- rights ----------------------------------------------------------------------------------------------------------


@case("wrong secret in the connection", slice=True)
def wrong_secret(run: Run) -> None:
    run.set(AIRFLOW_CONN_FIRE=run.connection(run.proxy.port, password="not this one"))  # noqa: S106  # a wrong one
    run.trigger()


@case("unknown access key in the connection")
def wrong_key(run: Run) -> None:
    run.set(AIRFLOW_CONN_FIRE=run.connection(run.proxy.port, login="nobody"))
    run.trigger()


@case("session token expired between push and pull")
def expired_token(run: Run) -> None:
    after_push(run)
    run.hurt("status", status=400, code="ExpiredToken")
    run.open("pull")


@case("right to read revoked between push and pull")
def read_revoked(run: Run) -> None:
    after_push(run)
    run.hurt("status", status=403, code="AccessDenied", methods=("GET", "HEAD"))
    run.open("pull")


@case("right to write revoked while the Dag runs")
def write_revoked(run: Run) -> None:
    run.gates("push")
    run.trigger()
    run.wait_for_gate("push")
    run.hurt("status", status=403, code="AccessDenied", methods=("PUT", "POST"))
    run.open("push")


@case("bucket deleted before the push")
def bucket_gone_at_push(run: Run) -> None:
    delete_bucket(run)
    run.trigger()


@case("bucket deleted after the push", may_lose=True)
def bucket_gone_at_pull(run: Run) -> None:
    after_push(run)
    delete_bucket(run)
    run.open("pull")


def delete_bucket(run: Run) -> None:
    """Delete the bucket and all in it, while nobody uses the store."""
    run.stop_store()
    shutil.rmtree(run.folder)
    run.start_store()


# --- the object ------------------------------------------------------------------------------------------------------


@case("object deleted", slice=True, may_lose=True)
def object_deleted(run: Run) -> None:
    after_push(run)
    run.objects()[0].unlink()
    run.open("pull")


@case("object cut to half")
def object_truncated(run: Run) -> None:
    after_push(run)
    file = run.objects()[0]
    os.truncate(file, file.stat().st_size // 2)
    run.open("pull")


@case("object emptied")
def object_emptied(run: Run) -> None:
    after_push(run)
    os.truncate(run.objects()[0], 0)
    run.open("pull")


@case("one bit of the object flipped", slice=True)
def bit_flipped(run: Run) -> None:
    after_push(run)
    file = run.objects()[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2 + data[len(data) // 2 :].index(b"5")] ^= 1  # a digit becomes another one
    file.write_bytes(data)
    run.open("pull")


@case("object replaced by that of another run", slice=True)
def object_replaced(run: Run) -> None:
    other = Run(run.site, run.backend, f"{run.run_id}-other")
    try:
        other.trigger()
        after_push(run)
        other.wait_until("push", "success")
        shutil.copyfile(other.objects()[0], run.objects()[0])
        run.open("pull")
        other.finish()
    finally:
        other.close()


# --- the processes ---------------------------------------------------------------------------------------------------


@case("worker killed (-9) while the store takes the object; the task has retries", dag_id="fire_retry", bound=240)
def killed_during_push(run: Run) -> None:
    fault = run.hurt("hold", methods=("PUT",), path=run.dag_id, times=1)
    run.trigger()
    until(fault.seen.is_set, PATIENCE, "no push")
    run.kill_task("push")
    fault.go_on.set()


@case(
    "worker killed (-9) between the object and its row; the task has retries",
    dag_id="fire_retry",
    bound=240,
    slice=True,
)
def killed_before_row(run: Run) -> None:
    api = Proxy(f"{run.site.api}/execution/")
    api.upstream = run.site.api
    api.start()
    try:
        api.fault = Fault("hold", methods=("POST",), path="/xcoms/", times=1)
        run.set(AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://{HOST}:{api.port}/execution/")
        run.trigger()
        until(api.fault.seen.is_set, PATIENCE, "no row")
        run.kill_task("push")
        # What the dead worker had sent is gone with it: nothing goes on to the API server.
        api.upstream = f"http://{HOST}:{free_port()}"
        api.fault.go_on.set()
        run.set(AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{run.site.api}/execution/")
    finally:
        api.close()


@case("worker killed (-9) in the middle of the pull; the pull is cleared by hand", bound=240)
def killed_during_pull(run: Run) -> None:
    after_push(run)
    fault = run.hurt("hold-answer", methods=("GET",), path=run.dag_id, times=1)
    run.open("pull")
    until(fault.seen.is_set, PATIENCE, "no pull")
    run.kill_task("pull")
    fault.go_on.set()
    run.wait_until("pull", "failed")
    clear(run, "pull")


def clear(run: Run, task_id: str) -> None:
    """Clear one task, as the button does."""
    body = {"dag_run_id": run.run_id, "task_ids": [task_id], "dry_run": False, "only_failed": False}
    run.site.send("POST", f"/dags/{run.dag_id}/clearTaskInstances", body)


@case("push fails once after its first XCom and is retried", dag_id="fire_retry")
def push_retried(run: Run) -> None:
    run.gates("push")
    run.trigger()
    run.wait_for_gate("push")
    run.hurt("status", status=403, code="AccessDenied", methods=("PUT",), times=1)
    run.open("push")


@case("push cleared and run again while its consumer reads", slice=True, may_lose=True)
def rerun_while_read(run: Run) -> None:
    run.set(AIRFLOW__XCOM_BACKEND__RETRY_DEADLINE="120")  # so long the read waits for the second push
    after_push(run)
    fault = run.hurt("hold", methods=("GET",), path=run.dag_id, times=1)
    run.open("pull")
    until(fault.seen.is_set, PATIENCE, "no pull")
    before = run.named()
    clear(run, "push")
    until(
        lambda: run.named() not in ([], before) and run.states().get("push") == "success",
        PATIENCE,
        "push is not run again",
    )
    fault.go_on.set()


@case("push cleared and run again after the pull: the pull of the second time")
def cleared_and_run_again(run: Run) -> None:
    run.trigger()
    run.wait_until("pull", "success", "failed")
    for task_id in ("push", "pull"):
        clear(run, task_id)
    run.wait_until("push", "queued", "running", "success", seconds=PATIENCE)
    run.wait_until("pull", "success", "failed")


@case("two runs of the same Dag at once")
def two_runs(run: Run) -> None:
    other = Run(run.site, run.backend, f"{run.run_id}-twin")
    run.pushes += 1
    # In the same bucket.
    other.set(**{name: value for name, value in run.environment.items() if name != "FIRE_GATES"})
    try:
        run.trigger()
        other.trigger()
        other.finish()
        run.finish()
        if not other.verdicts() or not all(verdict["right"] for verdict in other.verdicts()):
            raise AssertionError(f"the twin got {other.verdicts()}: {other.reason()}")
    finally:
        other.close()


# --- the machine -----------------------------------------------------------------------------------------------------


@case("the temporary folder is full")
def full_temporary_folder(run: Run) -> None:
    folder = run.site.folder / f"{run.name}-tmp"
    folder.mkdir()
    mounted = os.geteuid() == 0 and mount(folder)
    if mounted:
        with suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        run.set(TMPDIR=str(folder))
    else:
        run.set(TMPDIR=str(folder), RLIMIT_FSIZE="100000")
    try:
        run.trigger()
        run.finish()
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


def mount(folder: Path) -> bool:
    """Mount a disk of 64 KB there, if this machine allows it."""
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode == 0
    )


@case("the store is a folder (file://) on a full disk")
def full_disk_of_the_store(run: Run) -> None:
    folder = run.site.folder / f"{run.name}-disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and mount(folder)
    run.set(AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=f"file://{folder}/xcom")
    if not mounted:
        run.set(RLIMIT_FSIZE="100000")
    try:
        run.trigger()
        run.finish()
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


@case("the worker's clock is an hour ahead", bound=240)
def clock_skew(run: Run) -> None:
    from tools.debian import program

    program("faketime", "faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    run.set(LD_PRELOAD=str(library), FAKETIME="+3600s", FAKETIME_DONT_FAKE_MONOTONIC="1")
    run.trigger()


# --- the mirror ------------------------------------------------------------------------------------------------------


def mirrored(run: Run, **settings: str) -> Proxy:
    """Give the run a second store, behind a proxy of its own."""
    mirror = Proxy(run.proxy.upstream)
    mirror.start()
    (run.root / f"{run.bucket}-mirror").mkdir()
    run.set(
        AIRFLOW__XCOM_BACKEND__MIRROR=f"s3://mirror@{run.bucket}-mirror/xcom",
        AIRFLOW_CONN_MIRROR=run.connection(mirror.port),
        **settings,
    )
    return mirror


@case("primary down at the pull, mirror up", slice=True, only="custom")
def primary_down(run: Run) -> None:
    mirror = mirrored(run)
    try:
        after_push(run)
        run.proxy.stop()
        run.open("pull")
        run.finish()
    finally:
        mirror.close()


@case("mirror down at the pull, primary up", only="custom")
def mirror_down(run: Run) -> None:
    mirror = mirrored(run)
    after_push(run)
    mirror.close()
    run.open("pull")


@case("mirror down at the push, MIRROR_WRITES=all", only="custom")
def mirror_down_at_push(run: Run) -> None:
    mirrored(run).close()
    run.trigger()


@case("primary down at the push, MIRROR_WRITES=best_effort", only="custom")
def primary_down_at_push(run: Run) -> None:
    mirror = mirrored(run, AIRFLOW__XCOM_BACKEND__MIRROR_WRITES="best_effort")
    try:
        run.proxy.stop()
        run.trigger()
        run.finish()
    finally:
        mirror.close()


# --- names -----------------------------------------------------------------------------------------------------------


@case(
    "Dag, tasks and key in Cyrillic, Chinese and with umlauts",
    dag_id=UMLAUTS,
    ids=(f"{UMLAUTS}_push", f"{UMLAUTS}_pull", f"{UMLAUTS} ключ"),
)
def unicode_names(run: Run) -> None:
    run.trigger()


@case(
    "Dag, task, run and key of 250 characters",
    dag_id=f"d{LONG}.long",
    run_id="r" * 240,
    ids=(f"t{LONG}.push", f"t{LONG}.pull", "k" * 250),
)
def long_names(run: Run) -> None:
    run.trigger()


@case("Dag fire.., tasks ..push and ..", dag_id="fire..", ids=("..push", "..", "return_value"))
def names_of_folders(run: Run) -> None:
    run.trigger()


@case("XCom key ../../../../etc/passwd", dag_id="fire_path", ids=("push", "pull", "../../../../etc/passwd"))
def key_of_folders(run: Run) -> None:
    run.trigger()


@case("run ID with spaces, quotes, ?, #, &, %, *, Jinja and umlauts", run_id='it\'s "a b" ?#&%2e%2e*Zürich {{ 1 }}')
def hostile_run_id(run: Run) -> None:
    run.trigger()


@case("XCom key with ? and #", dag_id="fire_url", ids=("push", "pull", "what?#is&this"))
def key_of_urls(run: Run) -> None:
    run.trigger()


@case(
    "XCom key with SQL, Jinja, backslash and a line break",
    dag_id="fire_sql",
    ids=("push", "pull", "'; DROP TABLE xcom; -- {{ 1 }} %s \\ \n"),
)
def hostile_key(run: Run) -> None:
    run.trigger()


# --- in parts --------------------------------------------------------------------------------------------------------

IN_PARTS = {"chunks": "Chunks", "file": "a file"}
DONE_TO_PARTS = (
    "busy_at_push store_stopped_at_push errors_at_pull store_stopped_at_pull cut_twice cut_for_good half_object drip "
    "object_deleted object_truncated bit_flipped"
)
for _kind, _words in IN_PARTS.items():
    for _name in DONE_TO_PARTS.split():
        _case = CASES[_name]
        _changes: dict[str, Any] = {"name": f"{_kind}_{_name}", "title": f"{_words}: {_case.title}", "slice": False}
        CASES[f"{_kind}_{_name}"] = replace(_case, dag_id=f"fire_{_kind}", only="custom", **_changes)


# Last and alone: it hurts all that runs.
def restart_airflow(site: Site, backends: list[str]) -> dict[str, Outcome]:
    """Kill scheduler and API server while pushes run, start them again, and tell what became of the runs."""
    runs = {backend: Run(site, backend, "airflow_killed") for backend in backends}
    started = time.monotonic()
    try:
        for run in runs.values():
            run.gates("push", "pull")
            run.trigger()
        for run in runs.values():
            run.wait_for_gate("push")
        site.kill("scheduler")
        site.kill("api-server")
        for run in runs.values():
            run.open("push")
        time.sleep(3)
        site.start_api_server()
        site.start_scheduler()
        for run in runs.values():
            run.open("pull")
        return {backend: judge(run, run.finish(), time.monotonic() - started, False) for backend, run in runs.items()}
    finally:
        for run in runs.values():
            run.close()


CASES["airflow_killed"] = Case(
    "airflow_killed",
    "scheduler and API server killed (-9) while the push runs, and started again",
    nothing,
    either=True,
)
