"""The connection in the path: there, complete, once, with credentials, and accepted by the store."""

from __future__ import annotations

import difflib
import json
import re
import socket
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from include.xcom_doctor import probe
from include.xcom_doctor.checks_path import set_path, variables_of
from include.xcom_doctor.clouds import CLOUDS, LOCAL
from include.xcom_doctor.model import NotAskedError, Outcome, check, finding, ok
from include.xcom_doctor.situation import PLACEHOLDER, Situation

NONE_NEEDED = "a local folder needs no connection"
# The end that is often missing of a connection's JSON, or what is written in place of something else.
_ENDS = ("}", '"}', "}" * 2, '"' + "}" * 2)


@check
def connection_exists(situation: Situation) -> Outcome:
    """Ask Airflow for it; when there is none, say what is wrong with the variable."""
    variable = situation.conn_variable
    if situation.cloud is LOCAL:
        return ok(NONE_NEEDED)
    text = situation.env.get(variable, "")
    if trouble := _unreadable(text):
        return finding(f"{variable} {trouble}", _repair(text, variable) or _write(situation))
    if situation.connection is None:
        return _not_found(situation)
    return ok(f"{situation.path.conn_id}, type {situation.connection.conn_type}")


@check
def connection_type(situation: Situation) -> Outcome:
    """conn_type against the scheme; where its credentials fit their own type, the scheme is wrong."""
    cloud, conn = situation.cloud, situation.connection
    if conn is None or conn.conn_type in cloud.conn_types:
        return ok(conn.conn_type if conn else NONE_NEEDED)
    own = next((one for one in CLOUDS if conn.conn_type in one.conn_types), None)
    fix = f'in {situation.conn_variable}: "conn_type":"{cloud.conn_types[0]}"'
    if own and own.identity(conn, {}) and own is not cloud:
        fix = set_path(f"{own.schemes[0]}{situation.path.text[len(situation.path.scheme) :]}")
    seen = (
        f"{conn.conn_id} has the type {conn.conn_type!r}, and {situation.path.scheme}:// needs {cloud.conn_types[0]!r}"
    )
    return finding(seen, fix)


@check
def connection_placeholders(situation: Situation) -> Outcome:
    """Angle brackets, your-…, changeme."""
    conn = situation.connection
    if conn is None:
        return ok(NONE_NEEDED)
    fields = {"login": conn.login, "password": conn.password, "host": conn.host} | {k: conn.get(k) for k in conn.extra}
    left = ", ".join(sorted(name for name, value in fields.items() if value and PLACEHOLDER.search(value)))
    if left:
        return finding(
            f"placeholders in: {left}", f"put the real values into {situation.conn_variable} in .env: {left}"
        )
    return ok("no placeholders")


@check
def connection_twice(situation: Situation) -> Outcome:
    """In the environment or .env, and in airflow_settings.yaml."""
    name, variable = situation.path.conn_id, situation.conn_variable
    here = variable in situation.env or variable in {line.name for line in situation.env_file}
    entry = rf"^\s*-?\s*conn_id:\s*[\"']?{re.escape(name)}[\"']?\s*$"
    if name and here and re.search(entry, situation.read("airflow_settings.yaml"), re.M):
        seen = f"{name} is in {variable} and in airflow_settings.yaml: the variable wins"
        return finding(seen, f"remove from airflow_settings.yaml: the connection {name}")
    return ok("one definition" if name else NONE_NEEDED)


@check
def connection_credentials(situation: Situation) -> Outcome:
    """What each provider takes for credentials, and whether they say of themselves that they have ended."""
    cloud, conn, variable = situation.cloud, situation.connection, situation.conn_variable
    if conn is None:
        return ok(NONE_NEEDED)
    if ended := cloud.expired(conn):
        return finding(ended, f"make a new token, and put it into {variable} in .env")
    if how := cloud.identity(conn, situation.env):
        return ok(how)
    if situation.ambient:
        return ok("none in the connection: the identity of this machine (--ambient)")
    return finding(f"{conn.conn_id} has no credentials", _write(situation))


@check
def connection_endpoint(situation: Situation) -> Outcome:
    """One plain request: any HTTP answer will do, also a refusal."""
    conn, url, variable = situation.connection, situation.endpoint, situation.conn_variable
    if conn is None:
        return ok("a local folder has no endpoint")
    if misplaced := situation.cloud.misplaced(conn):
        return finding(misplaced[0], f"in {variable}: {misplaced[1]}")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        return finding(f"{url!r} is not a URL", f"write http(s)://host:port for the endpoint in {variable}")
    patience = min(5.0, situation.deadline / 2)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "xcom-doctor"})  # noqa: S310 - checked above
        urllib.request.urlopen(request, timeout=patience).close()  # noqa: S310
    except urllib.error.HTTPError:
        pass  # refused, but answered
    except (OSError, ValueError) as error:
        return _unreachable(url, error, patience, variable)
    except Exception as error:  # http.client's own: something that is not HTTP listens there
        return finding(f"{url} does not speak HTTP: {type(error).__name__}: {error}")
    return ok(url)


@check
def connection_accepted(situation: Situation) -> Outcome:
    """The answer to the first write."""
    trouble, variable = probe.first_write(situation), situation.conn_variable
    if trouble and trouble.kind == "credentials":
        return finding(trouble.text, f"put a valid key into {variable} in .env")
    if trouble and trouble.kind == "unreachable":
        return finding(trouble.text, f"correct the endpoint in {variable}, or open the network path to it")
    return ok("the store knows this identity")


@check
def connection_region(situation: Situation) -> Outcome:
    """The answer to the first write, then what the API tells of the bucket's region."""
    conn, path, variable = situation.connection, situation.path, situation.conn_variable
    if conn is None:
        raise NotAskedError(NONE_NEEDED)
    trouble = probe.first_write(situation)
    if trouble and trouble.kind == "region":
        told = re.search(r"expecting '([\w-]+)'|(?:region|Region)[ :=']+([a-z]{2}-[a-z-]+-\d)", trouble.text)
        right = (told[1] or told[2]) if told else "<region of the bucket>"
        return finding(trouble.text, _region(variable, right))
    actual, configured = situation.cloud.bucket_region(situation.filesystem, path.bucket), conn.get("region_name")
    if actual and configured and actual != configured:
        seen = f"the bucket is in {actual}, the connection says {configured}"
        return finding(seen, _region(variable, actual))
    return ok(actual or configured or "not told")


def _region(variable: str, name: str) -> str:
    return f'in {variable}: "extra":' + '{"region_name":"' + name + '"}'


def _write(situation: Situation) -> str:
    return f"set in .env: {situation.conn_variable}={situation.cloud.example}"


def _unreadable(text: str) -> str:
    """What is wrong with the text of a connection variable; empty when nothing is."""
    if not text.strip():
        return "" if not text else "is blank"
    if not text.lstrip().startswith("{"):
        return "" if "://" in text else "is neither JSON nor a URL"
    try:
        data = json.loads(text)
        if isinstance(data.get("extra"), str) and data["extra"]:
            json.loads(data["extra"])
    except ValueError as error:
        return f"is not valid JSON: {error}"
    return "" if data.get("conn_type") else "has no conn_type"


def _repair(text: str, variable: str) -> str:
    """The smallest change after which the connection can be read, or nothing."""
    changes = {f"append to the value of {variable} in .env: {end}": text + end for end in _ENDS}
    changes[f"in the value of {variable} in .env, write double quotes for single ones"] = text.replace("'", '"')
    changes[f"in the value of {variable} in .env, delete each comma before a brace"] = re.sub(r",\s*}", "}", text)
    is_json = text.lstrip().startswith("{")
    return next((fix for fix, changed in changes.items() if is_json and not _unreadable(changed)), "")


def _not_found(situation: Situation) -> Outcome:
    """There may be a connection of a name like it: then the typo is in the path, or in the variable."""
    path, variable = situation.path, situation.conn_variable
    others = [name for name in variables_of(situation) if name != variable]
    close = difflib.get_close_matches(variable, [name.upper() for name in others], 1, 0.6)
    other = next((name for name in others if name.upper() in close), "")
    if not other:
        return finding(f"there is no connection {path.conn_id}", _write(situation))
    own = other.removeprefix("AIRFLOW_CONN_").lower()
    # Airflow finds no variable in lower case; and a path that is the same in .env.example has no typo.
    right = other != other.upper() or f"://{path.conn_id}@" in situation.read(".env.example")
    fix = f"rename in .env: {other} -> {variable}" if right else set_path(path.text.replace(path.conn_id, own, 1))
    return finding(f"there is no connection {path.conn_id}, but {other}", fix)


def _unreachable(url: str, error: Exception, patience: float, variable: str) -> Outcome:
    reason, host = getattr(error, "reason", error), urlsplit(url).hostname
    if isinstance(reason, socket.gaierror):
        return finding(f"{url}: no such host as {host}", f"correct the endpoint in {variable}")
    if isinstance(reason, ConnectionRefusedError):
        fix = f"start the store, or correct the endpoint in {variable}"
        return finding(f"{url}: connection refused, nothing listens there", fix)
    if isinstance(reason, TimeoutError) or isinstance(error, TimeoutError):
        return finding(
            f"{url}: no answer within {patience:g} s (a firewall swallows the packets, or the store hangs)",
            f"open the network path to {host} (firewall, proxy, VPC endpoint), or correct the endpoint in {variable}",
        )
    if isinstance(reason, ssl.SSLError):
        return finding(f"{url}: TLS failed: {reason}", "use http:// for an emulator; else install the CA of the store")
    return finding(f"{url}: {type(reason).__name__}: {reason}")
