"""Bucket and rights, by doing: write, read back, list, overwrite, delete, prove that it is gone; the mirror too."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from include.xcom_doctor import checks_connection, checks_path, probe
from include.xcom_doctor.checks_path import set_path
from include.xcom_doctor.clouds import LOCAL
from include.xcom_doctor.deadline import DeadlineError, with_deadline
from include.xcom_doctor.model import NotAskedError, Outcome, check, finding, ok, warning
from include.xcom_doctor.situation import MIRROR, PATH, Mirror, Situation, Trouble

SECOND = b"second, longer"
CACHED = "turn off the cache or retention in front of the bucket"


@check
def path_bucket(situation: Situation) -> Outcome:
    """The answer to the first write, which never creates a bucket."""
    path, word = situation.path, situation.cloud.bucket_word
    trouble = probe.first_write(situation)
    if trouble is None or trouble.kind != "bucket":
        return ok(f"{word} {path.bucket or path.plain}")
    seen = f"there is no {word} {path.bucket}: {trouble.text}"
    close = difflib.get_close_matches(path.bucket, probe.buckets(situation), 1, 0.7)
    if close:
        return finding(f"{seen}; but there is {close[0]}", set_path(path.text.replace(path.bucket, close[0], 1)))
    create = situation.cloud.create_bucket.format(bucket=path.bucket)
    return finding(seen, f"correct the {word} in {PATH} in .env; or, if its name is right, create it: {create}")


@check
def rights_write(situation: Situation) -> Outcome:
    """The first write, whatever is left of its trouble."""
    trouble = probe.first_write(situation)
    return _refused("write", trouble, situation) if trouble else ok("wrote one object")


@check
def rights_read(situation: Situation) -> Outcome:
    """Read back and compare."""
    read: list[bytes] = []
    trouble = probe.attempt(lambda: read.append(probe.get(situation, situation.traces.key)))
    if trouble:
        return _refused("read", trouble, situation)
    if read == [probe.FIRST]:
        return ok("read it back, equal")
    return finding(f"wrote {probe.FIRST!r} and read {read[0]!r}", "look for a proxy or gateway that changes objects")


@check
def rights_list(situation: Situation) -> Outcome:
    """List the folder of the probe object."""
    key = situation.traces.key

    def look() -> None:
        if key.rpartition("/")[2] not in probe.names_in(situation, probe.folder(situation)):
            raise FileNotFoundError(f"{key} was written and is not listed")

    trouble = probe.attempt(look)
    return _refused("list", trouble, situation) if trouble else ok("listed it")


@check
def rights_overwrite(situation: Situation) -> Outcome:
    """Write other bytes to the same key, and read them."""
    key = situation.traces.key
    trouble = probe.attempt(lambda: probe.put(situation, key, SECOND))
    if trouble:
        return _refused("overwrite", trouble, situation)
    read: list[bytes] = []
    if probe.attempt(lambda: read.append(probe.get(situation, key))) is None and read != [SECOND]:
        return finding("the object was replaced, and the old bytes came back", CACHED)
    return ok("replaced it")


@check
def rights_delete(situation: Situation) -> Outcome:
    """Delete the probe object and look for it."""
    key = situation.traces.key
    if trouble := probe.remove_object(situation):
        outcome = _refused("delete", trouble, situation)
        return replace(outcome, seen=f"{outcome.seen}; left behind: {key}")
    situation.filesystem.invalidate_cache()
    if probe.attempt(lambda: probe.get(situation, key)) is None:
        return finding(f"deleted {key} and could still read it", CACHED)
    return ok("deleted it, and it is gone")


@check
def rights_file(situation: Situation) -> Outcome:
    """Read the file that grants the rights, if this project has one for this cloud."""
    cloud, file = situation.cloud, situation.cloud.rights_file
    try:
        have, lack = cloud.granted(situation.root), ", ".join(sorted(cloud.lacking(situation.root)))
    except ValueError as error:
        return warning(f"{file} cannot be read: {error}", f"git checkout {file}")
    if have is None:
        raise NotAskedError(f"{file or 'a file of rights'} is not in this project")
    if lack:
        return warning(f"{file} lacks {lack}", f"add to {file}: {lack}; then apply infra/")
    return ok(f"{file} grants {', '.join(sorted(have))}")


@check
def store_public(situation: Situation) -> Outcome:
    """The bucket's own settings, where the API tells."""
    return _tell(situation, situation.cloud.public)


@check
def store_encryption(situation: Situation) -> Outcome:
    """Only S3 has something to ask."""
    return _tell(situation, situation.cloud.encryption)


@check
def store_lifecycle(situation: Situation) -> Outcome:
    """A rule of any kind; its days are your decision."""
    return _tell(situation, situation.cloud.lifecycle)


def _tell(situation: Situation, ask: Callable[..., Outcome]) -> Outcome:
    """Ask the API of the cloud; a refusal is no finding, since nobody needs this right to store XComs."""
    try:
        return ask(situation.filesystem, situation.path.bucket)
    except NotAskedError:
        raise
    except Exception as error:
        raise NotAskedError(f"the store does not tell: {probe.diagnose(error).text}") from error


def _refused(step: str, trouble: Trouble, situation: Situation) -> Outcome:
    """Name the permission that the step needs; other troubles speak for themselves."""
    path, cloud = situation.path, situation.cloud
    if trouble.kind in ("permission", "credentials"):
        names = {"bucket": path.bucket, "folder": f"{path.prefix}/" if path.prefix else ""}
        permission = cloud.permissions[step].format(**names)
        fix = _open_folder(situation) if cloud is LOCAL else cloud.grant.format(permission=permission, **names)
        lacks = f" ({permission})" if cloud is LOCAL else ""
        return finding(f"may not {step}: {trouble.text}{lacks}", f"{fix}{_granted(step, situation)}")
    if trouble.kind == "unreachable":
        where = situation.endpoint or path.text
        fix = f"look at the store behind {where}; then run the doctor again"
        return Outcome("finding", f"{where} stopped answering (to {step}): {trouble.text}", fix, ends=True)
    return finding(f"to {step} failed: {trouble.text}", f"look at the store's own log for the request to {step}")


def _open_folder(situation: Situation) -> str:
    """Commands for the folder; in Docker it is the host's folder, and the user of the containers is another one."""
    plain = situation.path.plain
    with suppress(ValueError):
        plain = str(situation.root.__class__(plain).relative_to(situation.root))
        if situation.env.get("ASTRONOMER_RUNTIME_VERSION"):
            return f"on the host, in the project's folder: mkdir -p {plain} && chmod -R a+rwX {plain}"
        return f"in the project's folder: mkdir -p {plain} && chmod -R a+rwX {plain}"
    return f"mkdir -p {plain} && chmod -R a+rwX {plain}"


def _granted(step: str, situation: Situation) -> str:
    """What the file of rights says of a right that the store refuses; nothing if there is no such file."""
    cloud = situation.cloud
    with suppress(ValueError):
        have = cloud.granted(situation.root)
        if have is not None and cloud.asked(step) <= have:
            return f" ({cloud.rights_file} grants it: is it attached to this identity?)"
    return ""


# --- the mirror: the second store of the custom class. Each check asks about the path of a situation ---

_SETTING = (
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
_STORE = (
    checks_connection.connection_accepted,
    path_bucket,
    checks_connection.connection_region,
    rights_write,
    rights_read,
    rights_list,
    rights_overwrite,
    rights_delete,
)


@check
def mirror_connection(situation: Situation) -> Outcome:
    """What is asked of the base path and of its connection, without the network."""
    mirror = situation.mirror
    if mirror is None:
        return ok("no mirror")
    if mirror.path.text.rstrip("/") == situation.path.text.rstrip("/"):
        return finding(f"{mirror.path.text} is the base path itself", f"set in .env: {MIRROR}=")
    return _first_finding(_SETTING, mirror) or ok(mirror.path.text)


@check
def mirror_rights(situation: Situation) -> Outcome:
    """Write, read back, list, replace and delete one object there."""
    mirror = situation.mirror
    if mirror is None:
        return ok("no mirror")
    try:
        found = with_deadline(lambda: _first_finding(_STORE, mirror), situation.deadline * 0.9)
    except DeadlineError:
        found = _of_the_mirror(probe.no_answer(mirror), mirror)
    return found or ok(f"{mirror.path.text}: written, read, listed, replaced, deleted")


def _first_finding(checks: Iterable[Callable[[Situation], Outcome]], mirror: Mirror) -> Outcome | None:
    """The first of the checks that is not healthy."""
    for one in checks:
        with suppress(NotAskedError):
            outcome = one(mirror)
            if outcome.state == "finding":
                return _of_the_mirror(outcome, mirror)
    return None


def _of_the_mirror(outcome: Outcome, mirror: Mirror) -> Outcome:
    """Name the mirror's own setting."""
    seen, fix = outcome.seen.replace(PATH, MIRROR), outcome.fix.replace(PATH, MIRROR)
    return replace(outcome, seen=f"{mirror.path.text}: {seen}", fix=fix)
