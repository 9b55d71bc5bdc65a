"""The base path: its scheme, what must be installed for it, and whether it is split as you meant it."""

from __future__ import annotations

import importlib
import re

from include.xcom_doctor.clouds import CLOUDS, LOCAL, UNKNOWN, Cloud
from include.xcom_doctor.model import Outcome, check, finding, ok, warning
from include.xcom_doctor.situation import PATH, PLACEHOLDER, Situation


@check
def path_set(situation: Situation) -> Outcome:
    """Unset, relative, or still the template's example."""
    text = situation.path.text
    if not text:
        return finding(f"{PATH} is not set")
    if not situation.path.scheme:
        return finding(f"{text!r} has no scheme", set_path(f"{_likely_scheme(text, situation)}://{text.lstrip('/')}"))
    if PLACEHOLDER.search(text):
        return finding(f"{text!r} still has a placeholder in it", f"put the real names into {PATH} in .env")
    return ok(text)


@check
def path_scheme(situation: Situation) -> Outcome:
    """The scheme is known."""
    scheme = situation.path.scheme
    if situation.cloud is not UNKNOWN:
        return ok(f"{scheme}:// is {situation.cloud.name}")
    right = next((cloud.schemes[0] for cloud in CLOUDS if scheme.lower() in (*cloud.schemes, *cloud.aliases)), "")
    text = f"{right}{situation.path.text[len(scheme) :]}" if right else "s3://…, gs://… or abfs://…"
    return finding(f"{scheme}:// is not a scheme of Airflow", set_path(text))


@check
def path_packages(situation: Situation) -> Outcome:
    """Ask Airflow for the scheme, and Python for the package."""
    cloud = situation.cloud
    fix = f"add to requirements.txt: {cloud.requirement}"
    if not situation.airflow.has_fs(situation.path.scheme):
        other = cloud_of_connection(situation)  # a scheme of another cloud than the connection's: not a package lacks
        if other is not None and other is not cloud:
            fix = set_path(f"{other.schemes[0]}{situation.path.text[len(situation.path.scheme) :]}")
        return finding(f"{cloud.provider} is not installed", fix)
    try:
        importlib.import_module(cloud.module)  # seconds, for some; here it is outside every deadline
    except ImportError as error:
        return finding(f"{cloud.module} is not installed: {error}", fix)
    return ok(f"{cloud.provider} and {cloud.module}")


@check
def path_connection_id(situation: Situation) -> Outcome:
    """The user part of the URL."""
    path = situation.path
    if situation.cloud is LOCAL:
        return ok("a local folder needs no connection")
    if path.conn_id and ":" not in path.conn_id:
        return ok(path.conn_id)
    fix = set_path(f"{path.scheme}://{_likely_connection(situation)}@{path.bucket}/{path.prefix}")
    if not path.conn_id:
        return finding(f"{path.text}: nothing before an @", fix)
    seen = f"{path.scheme}://***@{path.bucket}: a user and password stand where the connection ID belongs"
    return finding(seen, f"{fix}\nput the user and the password into the connection")


@check
def path_form(situation: Situation) -> Outcome:
    """container@account, account hosts, dots, ports and blanks in the bucket."""
    path, cloud = situation.path, situation.cloud
    if "{" in path.text or any(blank in path.text for blank in " \t"):
        return finding(f"{path.text!r} has blanks or braces in it", f"put a plain path into {PATH} in .env")
    if ".." in path.prefix.split("/"):
        return finding(f"{path.text!r} climbs out of its bucket with ..", f"put a plain path into {PATH} in .env")
    if cloud is LOCAL:
        return ok(f"folder {path.plain}" + (", relative to where Airflow starts" if path.bucket else ""))
    if re.search(r"\.(?:core\.windows\.net|amazonaws\.com|googleapis\.com)", path.bucket):
        return finding(
            f"{path.text}: Airflow takes {path.conn_id!r} for the connection and {path.bucket!r} for the bucket",
            set_path(f"{path.scheme}://{_likely_connection(situation)}@{path.conn_id}/{path.prefix}"),
        )
    word = cloud.bucket_word
    if "@" in path.conn_id or "@" in path.prefix:
        return finding(
            f"{path.text}: more than one @", f"write one connection ID, one @, one {word} into {PATH} in .env"
        )
    if not path.bucket:
        return finding(f"{path.text} names no {word}", f"add the {word} after the @ of {PATH} in .env")
    if not re.fullmatch(r"[a-z0-9$][a-z0-9._-]{1,220}", path.bucket):
        return finding(
            f"{path.bucket!r} cannot be the name of a {word}",
            f"write the {word} in {PATH} in .env with lower case letters, digits and hyphens only",
        )
    return ok(f"connection {path.conn_id}, {word} {path.bucket}, folder {path.prefix or '(none)'}")


@check
def path_folder(situation: Situation) -> Outcome:
    """A prefix below the bucket."""
    path = situation.path
    if not path.prefix and situation.cloud is not LOCAL:
        return warning(
            f"{path.text} is the whole {situation.cloud.bucket_word}", set_path(f"{path.text.rstrip('/')}/xcom")
        )
    return ok(path.prefix or path.plain)


def set_path(text: str) -> str:
    """The fix that writes another base path."""
    return f"set in .env: {PATH}={text}"


def _clouds_by_variable(situation: Situation) -> dict[str, Cloud]:
    """The cloud of each connection in the environment or in `.env`."""
    values = {line.name: line.value for line in situation.env_file} | situation.env
    found = {}
    for name, value in values.items():
        match = re.search(r'"conn_type"\s*:\s*"([\w-]+)"|^([\w-]+)://', value)
        kind = (match[1] or match[2]).replace("-", "_") if match else ""
        cloud = next((cloud for cloud in CLOUDS if kind in cloud.conn_types), None)
        if name.upper().startswith("AIRFLOW_CONN") and cloud:
            found[name] = cloud
    return found


def cloud_of_connection(situation: Situation) -> Cloud | None:
    """The cloud that the connection in the path is for, by its variable."""
    return _clouds_by_variable(situation).get(situation.conn_variable)


def variables_of(situation: Situation) -> list[str]:
    """The variables with connections to the path's cloud."""
    return [name for name, cloud in _clouds_by_variable(situation).items() if cloud is situation.cloud]


def _likely_connection(situation: Situation) -> str:
    """A connection of the right type, else a placeholder."""
    known = [name for name in variables_of(situation) if name.startswith("AIRFLOW_CONN_")]
    return known[0].removeprefix("AIRFLOW_CONN_").lower() if known else "<connection id>"


def _likely_scheme(text: str, situation: Situation) -> str:
    """The scheme of the connection that the path names, else that of the only one there is."""
    found = _clouds_by_variable(situation)
    named = found.get(f"AIRFLOW_CONN_{text.partition('@')[0].lstrip('/').upper()}")
    return (named or next(iter(found.values()), CLOUDS[0])).schemes[0]
