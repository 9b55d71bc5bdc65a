"""Checks of the base path: its scheme, what must be installed for it, and whether it is split as you meant it."""

from __future__ import annotations

import importlib
import re

from include.xcom_doctor import database, probe
from include.xcom_doctor.clouds import CLOUDS, LOCAL, SCHEME_ALIASES, UNKNOWN
from include.xcom_doctor.registry import Outcome, bar, check, finding, ok, skip, warning
from include.xcom_doctor.situation import PATH, PLACEHOLDER, Situation


@check(
    "path.set",
    title="There is a base path for objects",
    symptom="`AirflowConfigException: section/key [common.io/xcom_objectstorage_path] not found`, or "
    "objects in a local folder "
    "of the worker and a path string where the value should be",
    why="Without a base path with a scheme Airflow writes to a folder of the machine that the next worker cannot see.",
    mend=f"set in .env: {PATH}=s3://<connection id>@<bucket>/xcom",
    reads=(PATH,),
)
def path_set(situation: Situation) -> Outcome:
    """Unset, relative, or still the template's example."""
    if not situation.path.text:
        if situation.is_default_backend:
            return bar("the default class needs no path")
        return finding(f"{PATH} is not set")
    if not situation.path.scheme:
        return finding(
            f"{situation.path.text!r} has no scheme", f"set in .env: {PATH}=s3://{situation.path.text.lstrip('/')}"
        )
    if PLACEHOLDER.search(situation.path.text):
        return finding(
            f"{situation.path.text!r} still has a placeholder in it", f"put the real names into {PATH} in .env"
        )
    return ok(situation.path.text)


@check(
    "path.scheme",
    title="Airflow has a filesystem for the scheme",
    symptom="`ValueError: Unsupported filesystem` or `No filesystem registered for scheme` at the first big value",
    why="Airflow has its own names for the stores; those of other tools (`azblob`, `wasb`) are unknown to it.",
    mend="use s3://, gs://, abfs:// or file://",
    needs=("path.set",),
)
def path_scheme(situation: Situation) -> Outcome:
    """The scheme is known, and its provider is installed."""
    scheme = situation.path.scheme
    if situation.cloud is UNKNOWN:
        known = [name for cloud in CLOUDS for name in cloud.schemes]
        right = SCHEME_ALIASES.get(scheme.lower()) or ("s3" if scheme.lower() in known and scheme == "S3" else "")
        text = f"{right}{situation.path.text[len(scheme) :]}" if right else "s3://…, gs://… or abfs://…"
        return finding(f"{scheme}:// is not a scheme of Airflow", f"set in .env: {PATH}={text}")
    return ok(f"{scheme}:// is {situation.cloud.name}")


@check(
    "path.packages",
    title="The provider and the fsspec package of the scheme are installed",
    symptom="`ImportError: Install s3fs to access S3`, or `Unsupported filesystem` for a scheme that the docs list",
    why="Airflow 3 images carry no cloud provider, and `s3fs` is an extra that the amazon provider "
    "does not pull in by itself.",
    mend="add the provider with its extra to requirements.txt, and rebuild",
    needs=("path.scheme",),
)
def path_packages(situation: Situation) -> Outcome:
    """Ask Airflow for the scheme, and Python for the package."""
    cloud = situation.cloud
    if not situation.airflow.has_fs(situation.path.scheme):
        return finding(f"{cloud.provider} is not installed", f"add to requirements.txt: {cloud.requirement}")
    try:
        importlib.import_module(cloud.module)  # seconds, for some; here it is outside every deadline
    except ImportError as error:
        return finding(f"{cloud.module} is not installed: {error}", f"add to requirements.txt: {cloud.requirement}")
    return ok(f"{cloud.provider} and {cloud.module}")


@check(
    "path.connection_id",
    title="The path names a connection",
    symptom="Tasks use whatever credentials the machine has, or none: `NoCredentialsError`, anonymous access",
    why="Airflow takes the connection from the user part of the path; without it the connection you "
    "made is never used.",
    mend=f"put the connection ID in front of the bucket: {PATH}=s3://<connection id>@<bucket>/xcom",
    needs=("path.scheme",),
)
def path_connection_id(situation: Situation) -> Outcome:
    """The user part of the URL."""
    path, cloud = situation.path, situation.cloud
    if cloud is LOCAL:
        return ok("a local folder needs no connection")
    if ":" in path.conn_id:
        return finding(
            f"{path.scheme}://***@{path.bucket}: a user and password stand where the connection ID belongs",
            f"set in .env: {PATH}={path.scheme}://<connection id>@{path.bucket}/{path.prefix}; the "
            "password belongs in the connection",
        )
    if not path.conn_id:
        return finding(
            f"{path.text}: nothing before an @",
            f"set in .env: {PATH}={path.scheme}://{_likely_connection(situation)}@{path.bucket}/{path.prefix}",
        )
    return ok(path.conn_id)


@check(
    "path.form",
    title="The path is split as it was meant",
    symptom="`The conn_id … isn't defined` with the name of your container, or a bucket that nobody has made",
    why="Airflow reads `user@host/…` as connection ID, then bucket: Azure's own "
    "`container@account.dfs.core.windows.net` "
    "means something else to it.",
    mend=f"write {PATH}=abfs://<connection id>@<container>/xcom",
    needs=("path.connection_id",),
)
def path_form(situation: Situation) -> Outcome:
    """container@account, account hosts, dots, ports and blanks in the bucket."""
    path, cloud = situation.path, situation.cloud
    if "{" in path.text or any(blank in path.text for blank in " \t"):
        return finding(f"{path.text!r} has blanks or braces in it", f"put a plain path into {PATH} in .env")
    if ".." in path.prefix.split("/"):
        return finding(f"{path.text!r} climbs out of its bucket with ..", f"put a plain path into {PATH} in .env")
    if cloud is LOCAL:
        return _local_form(situation)
    if re.search(r"\.(?:core\.windows\.net|amazonaws\.com|googleapis\.com)", path.bucket):
        return _account_form(situation)
    if "@" in path.conn_id or "@" in path.prefix:
        return finding(
            f"{path.text}: more than one @",
            f"write one connection ID, one @, one {cloud.bucket_word} into {PATH} in .env",
        )
    if not path.bucket:
        return finding(
            f"{path.text} names no {cloud.bucket_word}", f"add the {cloud.bucket_word} after the @ of {PATH}"
        )
    if not re.fullmatch(r"[a-z0-9$][a-z0-9._-]{1,220}", path.bucket):
        return finding(
            f"{path.bucket!r} cannot be the name of a {cloud.bucket_word}", "use lower case letters, digits and hyphens"
        )
    return ok(f"connection {path.conn_id}, {cloud.bucket_word} {path.bucket}, folder {path.prefix or '(none)'}")


@check(
    "path.folder",
    title="The path has a folder of its own in the bucket",
    symptom="XComs and other files lie side by side in the root of the bucket",
    why="Rights, lifecycle and cleanup of the XComs can then only be ruled for the whole bucket.",
    mend=f"end {PATH} with a folder, such as /xcom",
    needs=("path.form",),
)
def path_folder(situation: Situation) -> Outcome:
    """A prefix below the bucket."""
    if not situation.path.prefix and situation.cloud is not LOCAL:
        return warning(
            f"{situation.path.text} is the whole bucket", f"set in .env: {PATH}={situation.path.text.rstrip('/')}/xcom"
        )
    return ok(situation.path.prefix or situation.path.plain)


@check(
    "path.bucket",
    title="The bucket is there",
    symptom="`NoSuchBucket`, or a new bucket with a misspelt name: the provider's class creates what it does not find",
    why="With the right to create buckets even a typo succeeds, and the XComs are in a bucket without your rules.",
    mend="create the bucket, or correct its name in the path",
    network=True,
    needs=("connection.accepted", "path.form"),
)
def path_bucket(situation: Situation) -> Outcome:
    """The answer to the first write, which never creates a bucket."""
    path, cloud = situation.path, situation.cloud
    trouble = probe.first_write(situation)
    if trouble and trouble.kind == "bucket":
        return finding(
            f"there is no {cloud.bucket_word} {path.bucket}: {trouble.text}",
            f"create it: {cloud.create_bucket.format(bucket=path.bucket)}",
        )
    return ok(f"{cloud.bucket_word} {path.bucket or path.plain}")


@check(
    "path.shared",
    title="No other deployment writes below the same path",
    symptom="Objects of Dags you do not have; a cleanup that removes what another deployment still refers to",
    why="Two deployments that share a path cannot tell whose object is whose.",
    mend=f"give each deployment a folder of its own in {PATH}",
    network=True,
    needs=("rights.list", "rights.read"),
)
def path_shared(situation: Situation) -> Outcome:
    """First-level folders whose Dag this metadata database has never heard of."""
    known = database.known_dags(situation)
    if isinstance(known, str):
        return skip(known)
    foreign = sorted(probe.folders(situation) - known)
    if not foreign:
        return ok("every folder below the path belongs to a Dag of this deployment")
    names = ", ".join(foreign[:5]) + (" …" if len(foreign) > 5 else "")
    own = f"{situation.path.text.rstrip('/')}/<name of this deployment>"
    return warning(
        f"{len(foreign)} folders of Dags that this deployment never had: {names}",
        f"set in .env: {PATH}={own}, or delete these folders if no other deployment uses them",
    )


def _likely_connection(situation: Situation) -> str:
    """A connection of the right type in the environment, else a placeholder."""
    for name, value in situation.env.items():
        if name.startswith("AIRFLOW_CONN_") and any(kind in value for kind in situation.cloud.conn_types):
            return name.removeprefix("AIRFLOW_CONN_").lower()
    return "<connection id>"


def _account_form(situation: Situation) -> Outcome:
    path = situation.path
    container = path.conn_id
    likely = _likely_connection(situation)
    return finding(
        f"{path.text}: Airflow takes {container!r} for the connection and {path.bucket!r} for the bucket",
        f"set in .env: {PATH}={path.scheme}://{likely}@{container}/{path.prefix}",
    )


def _local_form(situation: Situation) -> Outcome:
    path = situation.path
    return ok(f"folder {path.plain}" + (", relative to where Airflow starts" if path.bucket else ""))
