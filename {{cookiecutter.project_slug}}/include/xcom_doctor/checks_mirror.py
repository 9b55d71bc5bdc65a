"""Checks of the mirror, the second store of the custom class: the same questions as to the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from include.xcom_doctor import checks_connection, checks_path, checks_rights
from include.xcom_doctor.registry import DeadlineError, Outcome, check, finding, ok, with_deadline
from include.xcom_doctor.situation import MIRROR, PATH, Situation

# Each asks about the path of a situation, and that of a mirror is the mirror.
SETTING = (
    checks_path.path_set,
    checks_path.path_scheme,
    checks_path.path_packages,
    checks_path.path_connection_id,
    checks_path.path_form,
    checks_connection.connection_exists,
    checks_connection.connection_type,
    checks_connection.connection_placeholders,
    checks_connection.connection_credentials,
)
STORE = (
    checks_connection.connection_accepted,
    checks_path.path_bucket,
    checks_connection.connection_region,
    checks_rights.rights_write,
    checks_rights.rights_read,
    checks_rights.rights_list,
    checks_rights.rights_overwrite,
    checks_rights.rights_delete,
)


class Mirror(Situation):
    """The same project, with the mirror for a base path."""

    def setting(self, variable: str) -> str:
        """The mirror in place of the base path; all else as it is."""
        if variable != PATH:
            return super().setting(variable)
        return self.airflow.conf.get("xcom_backend", "mirror", fallback=None) or ""


@check(
    "mirror.connection",
    title="The mirror is a path of its own with a connection that can be read",
    symptom="Every push fails although the first store works, or with best_effort no copy is ever made",
    why="The custom class writes each object to both stores, each by its own connection.",
    mend=f"correct {MIRROR} and its connection in .env, or leave it empty",
    needs=("class.found", "class.custom", "path.set"),
)
def mirror_connection(situation: Situation) -> Outcome:
    """What is asked of the base path and of its connection, without the network."""
    mirror = _mirror(situation)
    if mirror is None:
        return ok("no mirror")
    if mirror.path.text.rstrip("/") == situation.path.text.rstrip("/"):
        return finding(f"{mirror.path.text} is the base path itself", f"set in .env: {MIRROR}=")
    situation.notes["mirror"] = mirror
    return _first_finding(SETTING, mirror) or ok(mirror.path.text)


@check(
    "mirror.rights",
    title="The identity may write, read, list, replace and delete in the mirror",
    symptom="A push fails after its object is in the first store, or the copy is missing on the day it is needed",
    why="A mirror that cannot be written stops every push; one that cannot be read is no mirror.",
    mend="grant the same rights as in the first store",
    network=True,
    needs=("mirror.connection",),
)
def mirror_rights(situation: Situation) -> Outcome:
    """Write, read back, list, replace and delete one object there."""
    mirror = situation.notes.get("mirror")
    if mirror is None:
        return ok("no mirror")
    try:
        found = with_deadline(lambda: _first_finding(STORE, mirror), situation.deadline * 0.9)
    except DeadlineError:
        found = _of_the_mirror(mirror.no_answer(), mirror)
    if found is None:
        situation.notes["mirror that works"] = mirror
    return found or ok(f"{mirror.path.text}: written, read, listed, replaced, deleted")


def _mirror(situation: Situation) -> Mirror | None:
    if not situation.backend_name.startswith("include.xcom_backend."):
        return None
    mirror = Mirror(situation.root, env=situation.env, deadline=situation.deadline, ambient=situation.ambient)
    return mirror if mirror.path.text else None


def _first_finding(checks: Iterable[Callable[[Situation], Outcome]], mirror: Mirror) -> Outcome | None:
    """The first of the checks that is not healthy; if it wrote its object, that is deleted whatever comes."""
    for one in checks:
        outcome = one(mirror)
        if outcome.state == "finding":
            if mirror.notes.get("probe object") and one is not checks_rights.rights_delete:
                checks_rights.rights_delete(mirror)
            return _of_the_mirror(outcome, mirror)
    return None


def _of_the_mirror(outcome: Outcome, mirror: Mirror) -> Outcome:
    """Name the mirror's own setting, and hide what its connection holds, which the caller does not know."""
    seen, mend = (mirror.mask(text.replace(PATH, MIRROR)) for text in (outcome.seen, outcome.mend))
    return replace(outcome, seen=f"{mirror.path.text}: {seen}", mend=mend)
