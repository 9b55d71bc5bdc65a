"""Checks of the connection in the path: there, complete, once, with credentials, and accepted by the store."""

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
from include.xcom_doctor.clouds import AWS, AZURE, GCP, LOCAL
from include.xcom_doctor.registry import Outcome, bar, check, finding, ok, skip
from include.xcom_doctor.situation import PLACEHOLDER, ConnectionFacts, Situation, connection_field


@check(
    "connection.exists",
    title="The connection in the path exists and can be read",
    symptom="A warning `Unable to find AWS Connection ID …, switching to empty`, then "
    "`NoCredentialsError`, or work with "
    "the credentials of the machine",
    why="Airflow goes on without the connection, with whatever identity the machine has.",
    mend="define the connection in .env: AIRFLOW_CONN_<ID>=<one line of JSON>",
    needs=("path.packages", "path.form"),
)
def connection_exists(situation: Situation) -> Outcome:
    """Ask Airflow for it; when there is none, say what is wrong with the variable."""
    path, cloud = situation.path, situation.cloud
    if cloud is LOCAL:
        return ok("a local folder needs no connection")
    variable = situation.conn_variable
    if variable in situation.explained:
        return bar(f"not asked: first mend {situation.explained[variable]}")
    trouble = _unreadable(situation.env.get(variable, ""))
    if trouble:
        return finding(f"{variable} {trouble}", f"set in .env: {variable}={cloud.example}")
    if situation.connection is None:
        return _not_found(situation)
    return ok(f"{path.conn_id}, type {situation.connection.conn_type}")


@check(
    "connection.type",
    title="The connection has the type of the store",
    symptom="`Expecting conn_type='aws'`, or credentials that are ignored",
    why="Each filesystem reads the fields of its own connection type; with another type they mean nothing.",
    mend="correct conn_type in the connection",
    needs=("connection.exists",),
)
def connection_type(situation: Situation) -> Outcome:
    """conn_type against the scheme."""
    cloud, conn = situation.cloud, situation.connection
    if conn is None:
        return ok("a local folder needs no connection")
    if conn.conn_type not in cloud.conn_types:
        return finding(
            f"{conn.conn_id} has the type {conn.conn_type!r}, and {cloud.name} needs {cloud.conn_types[0]!r}",
            f'in {situation.conn_variable}: "conn_type":"{cloud.conn_types[0]}"',
        )
    return ok(conn.conn_type)


@check(
    "connection.placeholders",
    title="No placeholder is left in the connection",
    symptom="`InvalidAccessKeyId`, `Could not deserialize key data`, although the connection is there",
    why="The template writes placeholders where only you know the value.",
    mend="put the real values into the connection",
    needs=("connection.exists",),
)
def connection_placeholders(situation: Situation) -> Outcome:
    """Angle brackets, your-…, changeme."""
    conn = situation.connection
    if conn is None:
        return ok("a local folder needs no connection")
    fields = {"login": conn.login, "password": conn.password, "host": conn.host} | {k: conn.get(k) for k in conn.extra}
    left = sorted(name for name, value in fields.items() if value and PLACEHOLDER.search(value))
    if left:
        return finding(
            f"placeholders in: {', '.join(left)}",
            f"put the real values into {situation.conn_variable} in .env: {', '.join(left)}",
        )
    return ok("no placeholders")


@check(
    "connection.twice",
    title="The connection is defined once",
    symptom="You change the connection, and the old one stays in use",
    why="A variable AIRFLOW_CONN_… wins over airflow_settings.yaml and the UI, which then only seem to count.",
    mend="keep the one in .env, and delete the other",
    needs=("path.connection_id",),
)
def connection_twice(situation: Situation) -> Outcome:
    """In the environment or .env, and in airflow_settings.yaml."""
    path = situation.path
    if not path.conn_id:
        return ok("a local folder needs no connection")
    here = situation.conn_variable in situation.env or any(
        line.name == situation.conn_variable for line in situation.env_file
    )
    there = re.search(
        rf"^\s*-?\s*conn_id:\s*[\"']?{re.escape(path.conn_id)}[\"']?\s*$", situation.read("airflow_settings.yaml"), re.M
    )
    if here and there:
        return finding(
            f"{path.conn_id} is in {situation.conn_variable} and in airflow_settings.yaml: the variable wins",
            f"remove from airflow_settings.yaml: the connection {path.conn_id}",
        )
    return ok("one definition")


@check(
    "connection.credentials",
    title="The connection carries credentials",
    symptom="`AccessDenied`, or `No credentials found, using anonymous access` in the log",
    why="Without credentials the libraries use any identity they find on the machine, and at last go in anonymously.",
    mend="put the credentials into the connection, or allow the machine's identity with: --ambient",
    needs=("connection.type", "connection.placeholders"),
)
def connection_credentials(situation: Situation) -> Outcome:
    """What each provider takes for credentials."""
    cloud, conn = situation.cloud, situation.connection
    if conn is None:
        return ok("a local folder needs no connection")
    how = {AWS.name: _aws_identity, GCP.name: _gcp_identity, AZURE.name: _azure_identity}[cloud.name](conn, situation)
    if how:
        return ok(how)
    if situation.ambient:
        return ok("none in the connection: the identity of this machine (--ambient)")
    return finding(f"{conn.conn_id} has no credentials", f"set in .env: {situation.conn_variable}={cloud.example}")


@check(
    "connection.endpoint",
    title="The endpoint answers",
    symptom="Pushing hangs for minutes (420 s on a silent S3), then `EndpointConnectionError` or `ConnectTimeoutError`",
    why="The libraries try again and again before they give up; the task looks as if it worked.",
    mend="correct the endpoint in the connection, or open the network path to it",
    network=True,
    needs=("connection.credentials",),
    unless=("versions.gcsfs",),
)
def connection_endpoint(situation: Situation) -> Outcome:
    """One plain request: any HTTP answer will do, also a refusal."""
    if situation.cloud is LOCAL:
        return ok("a local folder has no endpoint")
    url = situation.endpoint
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        return finding(
            f"{url!r} is not a URL", f"write http(s)://host:port for the endpoint in {situation.conn_variable}"
        )
    patience = min(5.0, situation.deadline / 2)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "xcom-doctor"})  # noqa: S310 - checked above
        urllib.request.urlopen(request, timeout=patience).close()  # noqa: S310
    except urllib.error.HTTPError:
        pass  # refused, but answered
    except (OSError, ValueError) as error:
        return _unreachable(url, error, patience, situation)
    except Exception as error:  # http.client's own: something that is not HTTP listens there
        return finding(f"{url} does not speak HTTP: {type(error).__name__}: {error}")
    return ok(url)


@check(
    "connection.accepted",
    title="The store accepts the credentials",
    symptom="`PermissionError: Forbidden`, `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `AuthenticationFailed`",
    why="The key is wrong, expired or from another account; no right you grant will help.",
    mend="put a valid key into the connection",
    network=True,
    needs=("connection.endpoint",),
)
def connection_accepted(situation: Situation) -> Outcome:
    """The answer to the first write."""
    trouble = probe.first_write(situation)
    if trouble and trouble.kind == "credentials":
        return finding(trouble.text, f"put a valid key into {situation.conn_variable} in .env")
    if trouble and trouble.kind == "unreachable":
        return finding(
            trouble.text, f"correct the endpoint in {situation.conn_variable}, or open the network path to it"
        )
    return ok("the store knows this identity")


@check(
    "connection.region",
    title="The region is that of the bucket",
    symptom="`PermanentRedirect`, `AuthorizationHeaderMalformed`, `301 Moved Permanently`",
    why="S3 serves a bucket only from its own region.",
    mend="correct region_name in the connection",
    network=True,
    needs=("path.bucket",),
)
def connection_region(situation: Situation) -> Outcome:
    """The answer to the first write, then what the API tells of the bucket's region."""
    if situation.cloud is not AWS:
        return skip("only S3 ties a request to a region")
    conn = situation.connection
    trouble = probe.first_write(situation)
    if trouble and trouble.kind == "region":
        right = probe.region_in(trouble.text) or "<region of the bucket>"
        return finding(trouble.text, f'in {situation.conn_variable}: "region_name":"{right}"')
    actual, configured = probe.bucket_region(situation), conn.get("region_name") if conn else ""
    if actual and configured and actual != configured:
        return finding(
            f"the bucket is in {actual}, the connection says {configured}",
            f'in {situation.conn_variable}: "region_name":"{actual}"',
        )
    return ok(actual or configured or "not told")


def _unreadable(text: str) -> str:
    """What is wrong with the text of a connection variable; empty when nothing is."""
    if not text.strip():
        return "" if not text else "is blank"
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
            extra = data.get("extra")
            if isinstance(extra, str) and extra:
                json.loads(extra)
        except ValueError as error:
            return f"is not valid JSON: {re.sub(r': .*', '', str(error))}"
        return "" if data.get("conn_type") else "has no conn_type"
    return "" if "://" in text else "is neither JSON nor a URL"


def _not_found(situation: Situation) -> Outcome:
    path, cloud = situation.path, situation.cloud
    values = {line.name: line.value for line in situation.env_file} | situation.env
    others = [
        name
        for name, value in values.items()
        if name.upper().startswith("AIRFLOW_CONN")
        and name != situation.conn_variable
        and (_type_of(value) or cloud.conn_types[0]) in cloud.conn_types  # my_aws_conn is near my_gcp_conn
    ]
    close = difflib.get_close_matches(situation.conn_variable, others, 1, 0.6) or [
        n for n in others if n.upper() == situation.conn_variable
    ]
    if close:
        return finding(
            f"there is no connection {path.conn_id}, but {close[0]}",
            f"rename in .env: {close[0]} -> {situation.conn_variable}",
        )
    return finding(f"there is no connection {path.conn_id}", f"set in .env: {situation.conn_variable}={cloud.example}")


def _type_of(value: str) -> str:
    """The connection type that a variable tells, in JSON or as a URL; empty when it tells none."""
    match = re.search(r'"conn_type"\s*:\s*"([\w-]+)"|^([\w-]+)://', value)
    return (match[1] or match[2]).replace("-", "_") if match else ""


def _aws_identity(conn: ConnectionFacts, situation: Situation) -> str:
    if conn.login and conn.password:
        return "an access key in the connection"
    if conn.get("aws_access_key_id") and conn.get("aws_secret_access_key"):
        return "an access key in the connection's extra"
    for name in ("role_arn", "profile_name"):
        if conn.get(name):
            return f"{name} in the connection"
    # A Pod of Remote Execution: the identity is given to it by name, not found by chance.
    if situation.env.get("AWS_WEB_IDENTITY_TOKEN_FILE") and situation.env.get("AWS_ROLE_ARN"):
        return "the workload identity of this Pod"
    return ""


def _gcp_identity(conn: ConnectionFacts, situation: Situation) -> str:
    for name in ("keyfile_dict", "key_path", "key_secret_name", "credential_config_file", "impersonation_chain"):
        if conn.get(name):
            return f"{name} in the connection"
    # Anonymous access is how an emulator is used, and nothing that Google itself would let write.
    if conn.get("is_anonymous") and conn.get("gcs.endpoint"):
        return "anonymous, at an endpoint of your own"
    return ""


def _azure_identity(conn: ConnectionFacts, situation: Situation) -> str:
    if connection_field(conn, "AccountKey") or connection_field(conn, "SharedAccessSignature"):
        return "a connection string"
    for name in ("account_key", "sas_token", "managed_identity_client_id", "workload_identity_client_id"):
        if conn.get(name):
            return f"{name} in the connection"
    if conn.password:
        return "a password in the connection"
    if situation.env.get("AZURE_FEDERATED_TOKEN_FILE"):
        return "the workload identity of this Pod"
    return ""


def _unreachable(url: str, error: Exception, patience: float, situation: Situation) -> Outcome:
    reason = getattr(error, "reason", error)
    host = urlsplit(url).hostname
    if isinstance(reason, socket.gaierror):
        return finding(f"{url}: no such host as {host}", f"correct the endpoint in {situation.conn_variable}")
    if isinstance(reason, ConnectionRefusedError):
        return finding(
            f"{url}: connection refused, nothing listens there",
            f"start the store, or correct the endpoint in {situation.conn_variable}",
        )
    if isinstance(reason, TimeoutError) or isinstance(error, TimeoutError):
        return finding(
            f"{url}: no answer within {patience:g} s (a firewall swallows the packets, or the store hangs)",
            f"open the network path to {host} (firewall, proxy, VPC endpoint), or correct the endpoint "
            f"in {situation.conn_variable}",
        )
    if isinstance(reason, ssl.SSLError):
        return finding(f"{url}: TLS failed: {reason}", "use http:// for an emulator; else install the CA of the store")
    return finding(f"{url}: {type(reason).__name__}: {reason}")
