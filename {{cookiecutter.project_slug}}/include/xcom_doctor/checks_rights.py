"""Checks of the rights, by doing: write, read back, list, overwrite, delete, and prove that it is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fsspec.asyn import sync

from include.xcom_doctor import probe, rights
from include.xcom_doctor.clouds import AWS, AZURE, GCP, LOCAL
from include.xcom_doctor.registry import Outcome, check, finding, ok, skip, warning
from include.xcom_doctor.situation import Situation

FIRST, SECOND = b"first", b"second, longer"


@check(
    "rights.write",
    title="The identity may write objects",
    symptom="`AccessDenied` at the first big value; with the provider's compression on S3 no error at "
    "all, and no object",
    why="Without it no value can leave the worker.",
    mend="grant the right to write objects below the path",
    network=True,
    needs=("connection.region", "path.bucket"),
)
def rights_write(situation: Situation) -> Outcome:
    """The first write, whatever is left of its trouble."""
    trouble = probe.first_write(situation)
    return _refused("write", trouble, situation) if trouble else ok("wrote one object")


@check(
    "rights.read",
    title="The identity may read what it wrote",
    symptom="The pushing task succeeds, the pulling one fails with `AccessDenied`",
    why="The reader is often another worker, yet it uses the same connection.",
    mend="grant the right to read objects below the path",
    network=True,
    needs=("rights.write",),
)
def rights_read(situation: Situation) -> Outcome:
    """Read back and compare."""
    key = situation.notes["probe key"]
    read: list[bytes] = []
    trouble = probe.attempt(lambda: read.append(probe.store(situation).cat_file(key)))
    if trouble:
        return _refused("read", trouble, situation)
    return (
        ok("read it back, equal")
        if read == [FIRST]
        else finding(f"wrote {FIRST!r} and read {read[0]!r}", "look for a proxy or gateway that changes objects")
    )


@check(
    "rights.list",
    title="The identity may list objects",
    symptom="`AccessDenied` before anything is written: the provider asks whether the object exists, "
    "and tries to create the bucket",
    why="Without it a missing object looks like a forbidden one, and neither cleanup nor this doctor can count.",
    mend="grant the right to list the bucket",
    network=True,
    needs=("rights.write",),
)
def rights_list(situation: Situation) -> Outcome:
    """List the folder of the probe object."""
    key = situation.notes["probe key"]

    def look() -> None:
        files = probe.store(situation)
        files.invalidate_cache()
        if not any(name.endswith(key.rpartition("/")[2]) for name in files.ls(probe.folder(situation), detail=False)):
            raise FileNotFoundError(f"{key} was written and is not listed")

    trouble = probe.attempt(look)
    return _refused("list", trouble, situation) if trouble else ok("listed it")


@check(
    "rights.overwrite",
    title="The identity may replace an object",
    symptom="The first run works, a retry that writes the same key fails",
    why="Airflow 3.4 writes a retried value to the same key; Cloud Storage asks the right to delete "
    "of whoever replaces.",
    mend="grant the right to replace objects below the path",
    network=True,
    needs=("rights.write",),
    after=("rights.read", "rights.list"),
)
def rights_overwrite(situation: Situation) -> Outcome:
    """Write other bytes to the same key, and read them."""
    key = situation.notes["probe key"]
    trouble = probe.attempt(lambda: probe.store(situation).pipe_file(key, SECOND))
    if trouble:
        return _refused("overwrite", trouble, situation)
    read: list[bytes] = []
    if probe.attempt(lambda: read.append(probe.store(situation).cat_file(key))) is None and read != [SECOND]:
        return finding(
            "the object was replaced, and the old bytes came back",
            "turn off the cache or retention in front of the bucket",
        )
    return ok("replaced it")


@check(
    "rights.delete",
    title="The identity may delete objects, and they are gone",
    symptom="Re-runs leave old objects for ever (S3, in silence), or fail before they start (Cloud Storage, Azure)",
    why="Airflow deletes the XComs of the last try before a task runs again.",
    mend="grant the right to delete objects below the path",
    network=True,
    needs=("rights.write",),
    after=("rights.read", "rights.list", "rights.overwrite"),
)
def rights_delete(situation: Situation) -> Outcome:
    """Delete the probe object and look for it."""
    key = situation.notes["probe key"]
    trouble = probe.attempt(lambda: probe.store(situation).rm_file(key))
    if trouble:
        outcome = _refused("delete", trouble, situation)
        return finding(f"{outcome.seen}; left behind: {key}", outcome.mend)
    situation.notes.pop("probe object", None)
    files = probe.store(situation)
    files.invalidate_cache()
    again = probe.attempt(lambda: files.cat_file(key))
    if again is None:
        return finding(
            f"deleted {key} and could still read it", "turn off the cache or retention in front of the bucket"
        )
    return ok("deleted it, and it is gone")


@check(
    "rights.file",
    title="infra/ grants all that XComs need",
    symptom="A right was taken out of infra/: the next `tofu apply` takes it from the identity too",
    why="The file of rights in infra/ is what Terraform and the commands of infra/README.md give to the identity.",
    mend="put the right back into the file of rights in infra/, and apply it",
    needs=("path.scheme",),
)
def rights_file(situation: Situation) -> Outcome:
    """Read the file that grants the rights, if this project has one for this cloud."""
    cloud = situation.cloud
    try:
        have, lack = rights.granted(situation.root, cloud), rights.lacking(situation.root, cloud)
    except ValueError as error:
        return warning(f"{cloud.rights_file} cannot be read: {error}", "take it from git again")
    if have is None:
        return skip(f"{cloud.rights_file or 'a file of rights'} is not in this project")
    if lack:
        names = ", ".join(sorted(lack))
        return warning(f"{cloud.rights_file} lacks {names}", f"add to {cloud.rights_file}: {names}; then apply infra/")
    return ok(f"{cloud.rights_file} grants {', '.join(sorted(have))}")


@check(
    "store.public",
    title="The bucket is not open to the public",
    symptom="Anyone on the internet can read your XComs",
    why="XComs carry data; a bucket for them has no public readers.",
    mend="block public access to the bucket",
    network=True,
    needs=("rights.write",),
)
def store_public(situation: Situation) -> Outcome:
    """The bucket's own settings, where the API tells."""
    return _ask(situation, {AWS.name: _aws_public, GCP.name: _gcp_public, AZURE.name: _azure_public})


@check(
    "store.encryption",
    title="The bucket encrypts at rest",
    symptom="An audit finds XComs in clear",
    why="Cloud Storage and Blob Storage always encrypt; S3 and what imitates it can tell.",
    mend="turn on default encryption (SSE-S3 or SSE-KMS) for the bucket",
    network=True,
    needs=("rights.write",),
)
def store_encryption(situation: Situation) -> Outcome:
    """Only S3 has something to ask."""
    return _ask(situation, {AWS.name: _aws_encryption})


@check(
    "store.lifecycle",
    title="The bucket forgets old XComs",
    symptom="The bucket grows for ever",
    why="Airflow deletes few of its objects: those of deleted runs and Dags, and of `airflow db clean`, stay.",
    mend="add a lifecycle rule that expires objects below the path (infra/ has one)",
    network=True,
    needs=("rights.write",),
)
def store_lifecycle(situation: Situation) -> Outcome:
    """A rule of any kind; its days are your decision."""
    return _ask(situation, {AWS.name: _aws_lifecycle, GCP.name: _gcp_lifecycle})


def _refused(step: str, trouble: probe.Trouble, situation: Situation) -> Outcome:
    """Name the permission that the step needs; other troubles speak for themselves."""
    path, cloud = situation.path, situation.cloud
    if trouble.kind in ("permission", "credentials"):
        prefix = f"{path.prefix}/" if path.prefix else ""
        permission = cloud.permissions[step].format(bucket=path.bucket, prefix=prefix)
        mend = cloud.grant.format(permission=permission, bucket=path.bucket, prefix=prefix)
        return finding(f"may not {step}: {trouble.text}", f"{mend}{_granted(step, situation)}")
    if trouble.kind == "unreachable":
        where = situation.endpoint or path.text
        return finding(
            f"{where} stopped answering (to {step}): {trouble.text}",
            f"look at the store behind {where}; then run the doctor again",
        )
    return finding(f"to {step} failed: {trouble.text}", f"look at the store's own log for the request to {step}")


def _granted(step: str, situation: Situation) -> str:
    """What the file of rights says of a right that the store refuses; nothing if there is no such file."""
    with suppress(ValueError):
        have = rights.granted(situation.root, situation.cloud)
        if have is not None and rights.asked(situation.cloud, step) <= have:
            return f" ({situation.cloud.rights_file} grants it: is it attached to this identity?)"
    return ""


def _ask(situation: Situation, askers: dict[str, Callable[[Situation], Outcome]]) -> Outcome:
    """Ask the API of the cloud; a refusal is no finding, since nobody needs this right to store XComs."""
    cloud = situation.cloud
    if cloud is LOCAL or cloud.name not in askers:
        return skip(f"{cloud.name} does not tell here")
    try:
        return askers[cloud.name](situation)
    except Exception as error:
        return skip(f"the store does not tell: {probe.diagnose(error).text}")


def _s3(situation: Situation, method: str, none: str) -> dict[str, Any]:
    """Call S3; `none` is the code that means: nothing is configured."""
    try:
        answer: dict[str, Any] = probe.store(situation).call_s3(method, Bucket=situation.path.bucket)
        return answer
    except Exception as error:
        if any(none in str(one) for one in probe.chain(error)):
            return {}
        raise


def _aws_public(situation: Situation) -> Outcome:
    block = _s3(situation, "get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
    blocked = block.get("PublicAccessBlockConfiguration", {})
    if blocked and all(blocked.values()):
        return ok("public access is blocked")
    acl = _s3(situation, "get_bucket_acl", "NoSuchAcl")
    everyone = [
        grant
        for grant in acl.get("Grants", [])
        if "/groups/global/AllUsers" in str(grant.get("Grantee", {}).get("URI"))
    ]
    how = "everyone may read it by its ACL" if everyone else "public access is not blocked"
    return warning(
        how,
        f"aws s3api put-public-access-block --bucket {situation.path.bucket} --public-access-block-configuration "
        "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
    )


def _aws_encryption(situation: Situation) -> Outcome:
    if _s3(situation, "get_bucket_encryption", "ServerSideEncryptionConfigurationNotFound"):
        return ok("default encryption is on")
    return warning("no default encryption")


def _aws_lifecycle(situation: Situation) -> Outcome:
    rules = _s3(situation, "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration").get("Rules", [])
    active = [rule for rule in rules if rule.get("Status") == "Enabled"]
    return ok(f"{len(active)} lifecycle rules") if active else warning("no lifecycle rule")


def _gcs_bucket(situation: Situation) -> dict[str, Any]:
    """The bucket's metadata.

    :raises LookupError: when the store leaves out what Cloud Storage always tells, as emulators do
    """
    bucket: dict[str, Any] = probe.store(situation).call("GET", f"b/{situation.path.bucket}", json_out=True)
    if "publicAccessPrevention" not in bucket.get("iamConfiguration", {}):
        raise LookupError("no publicAccessPrevention in its answer")
    return bucket


def _gcp_public(situation: Situation) -> Outcome:
    prevention = _gcs_bucket(situation)["iamConfiguration"]["publicAccessPrevention"]
    if prevention == "enforced":
        return ok("public access is prevented")
    return warning(
        f"public access prevention: {prevention}",
        f"gcloud storage buckets update gs://{situation.path.bucket} --public-access-prevention",
    )


def _gcp_lifecycle(situation: Situation) -> Outcome:
    rules = _gcs_bucket(situation).get("lifecycle", {}).get("rule", [])
    return ok(f"{len(rules)} lifecycle rules") if rules else warning("no lifecycle rule")


def _azure_public(situation: Situation) -> Outcome:
    files = probe.store(situation)
    container = files.service_client.get_container_client(situation.path.bucket)
    access = sync(files.loop, container.get_container_properties).public_access
    if not access:
        return ok("the container is private")
    return warning(
        f"everyone may read: public access is {access!r}",
        f"az storage container set-permission --name {situation.path.bucket} --public-access off "
        "--account-name YOUR-STORAGE-ACCOUNT",
    )
