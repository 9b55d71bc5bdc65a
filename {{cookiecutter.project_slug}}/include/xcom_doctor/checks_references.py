"""Checks of what is already there: rows whose object is missing, objects that nothing refers to."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from include.xcom_doctor import database, probe
from include.xcom_doctor.registry import Outcome, check, finding, ok, skip, warning
from include.xcom_doctor.situation import PATH, Situation


@check(
    "references.missing",
    title="Every row that refers to an object has one",
    symptom="A task gets a string such as s3://… where it expects the value, and nothing fails until it uses it",
    why="The provider's class hands out the path itself when the object is missing, or when the base path has changed.",
    mend="clear the tasks that pushed these values, so that they push again",
    network=True,
    needs=("rights.list", "rights.read"),
)
def references_missing(situation: Situation) -> Outcome:
    """Compare the rows with the listing."""
    found = database.references(situation)
    if isinstance(found, str):
        return skip(found)
    rows, _ = found
    base = situation.path.in_rows
    elsewhere = [row for row in rows if not row.url.startswith(base)]
    if elsewhere:
        old = elsewhere[0].url.partition(f"/{elsewhere[0].dag_id}/")[0]
        return finding(
            f"{len(elsewhere)} rows refer to {old}, and the base path is {situation.path.text}",
            f"set in .env: {PATH}={old}, or clear the tasks that pushed these values",
        )
    there = probe.objects(situation)
    missing = [row for row in rows if row.url.removeprefix(base) not in there]
    if missing:
        tasks = ", ".join(sorted({f"{row.dag_id}.{row.task_id} ({row.run_id})" for row in missing})[:5])
        first = missing[0]
        return finding(
            f"{len(missing)} of {len(rows)} rows refer to objects that are gone: {tasks}",
            f"airflow tasks clear {first.dag_id} --task-regex '^{first.task_id}$' --downstream",
        )
    return ok(f"{len(rows)} rows, and each has its object")


@check(
    "references.orphans",
    title="Every object belongs to a run that exists",
    symptom="The bucket holds the data of runs and Dags that were deleted long ago",
    why="Deleting a run or a Dag and `airflow db clean` remove rows only; what was in them stays, and costs.",
    mend="delete them by the cleanup of the custom class, or by a lifecycle rule",
    network=True,
    needs=("rights.list", "rights.read"),
)
def references_orphans(situation: Situation) -> Outcome:
    """Compare the listing with the runs, and with the rows."""
    found = database.references(situation)
    if isinstance(found, str):
        return skip(found)
    rows, runs = found
    base = situation.path.in_rows
    used = {row.url.removeprefix(base) for row in rows}
    dags = database.known_dags(situation)
    orphans = {
        name: size
        for name, size in probe.objects(situation).items()
        if name not in used and not _has_run(name, runs) and (isinstance(dags, str) or name.partition("/")[0] in dags)
    }
    if orphans:
        folders = sorted({"/".join(name.split("/")[:2]) for name in orphans})
        shown = ", ".join(folders[:3]) + (" …" if len(folders) > 3 else "")
        return warning(f"{len(orphans)} objects, {sum(orphans.values()):,} bytes, of runs that are gone: {shown}")
    return ok("every object belongs to a run")


def _has_run(name: str, runs: set[tuple[str, str]]) -> bool:
    """Keys begin with Dag ID and run ID, in the provider's class as in the custom one, which quotes them."""
    package = find_spec("include.xcom_backend")
    if package and package.origin:  # an empty folder of this name has none
        own = import_module("include.xcom_backend.reference").parse_object_key(name)
        if own:
            return (own.dag_id, own.run_id) in runs
    dag_id, _, rest = name.partition("/")
    return any(rest.startswith(f"{run_id}/") for dag, run_id in runs if dag == dag_id)
