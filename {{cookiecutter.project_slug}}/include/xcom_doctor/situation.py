"""What the doctor looks at: settings as this process sees them, the project's files, the connection, the store."""

from __future__ import annotations

import configparser
import contextlib
import importlib
import io
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from include.xcom_doctor.clouds import LOCAL, Cloud, cloud_of
from include.xcom_doctor.mask import masker, secrets_in
from include.xcom_doctor.registry import Outcome, finding, with_deadline

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Seconds a network probe may take; the issue promises less than ten.
DEADLINE = 9.0
# For fsspec's S3: without these a store that hangs costs 420 s (botocore's retries times s3fs's own).
S3_TIMEOUTS: dict[str, Any] = dict(connect_timeout=3, read_timeout=5, retries=dict(total_max_attempts=1))  # noqa: C408

BACKEND = "AIRFLOW__CORE__XCOM_BACKEND"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"
MIRROR = "AIRFLOW__XCOM_BACKEND__MIRROR"  # of the custom class
# Variable -> (section, option). The custom class reads the same three of common.io.
SETTINGS = {
    BACKEND: ("core", "xcom_backend"),
    PATH: ("common.io", "xcom_objectstorage_path"),
    THRESHOLD: ("common.io", "xcom_objectstorage_threshold"),
    COMPRESSION: ("common.io", "xcom_objectstorage_compression"),
}
PROVIDER_BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
CUSTOM_BACKEND = "include.xcom_backend.XComBackend"
# `<bucket>`, the template's own PASTE-THE-…, and what people write for "later".
PLACEHOLDER = re.compile(
    r"<[^<>\s][^<>]*>|\bPASTE-\w|\b(?:your|my)[-_](?:access|secret|key|password|account|token)\w*"
    r"|\bchange[-_ ]?me\b|\bX{4,}\b",
    re.I,
)


@dataclass(frozen=True)
class StorePath:
    """`scheme://conn_id@bucket/prefix`, split as Airflow's ObjectStoragePath splits it."""

    text: str
    scheme: str
    conn_id: str
    bucket: str
    prefix: str  # without slashes at either end

    @property
    def plain(self) -> str:
        """The base path as the filesystem wants it: no scheme, no connection."""
        if self.scheme in LOCAL.schemes:
            # file:///data/xcom is a folder of the machine, file://xcom one where Airflow starts, as fsspec has it.
            return os.path.abspath(f"{self.bucket}/{self.prefix}" if self.bucket else f"/{self.prefix}")
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    @property
    def in_rows(self) -> str:
        """The base path as rows hold it, with a slash at its end; a relative folder is absolute there."""
        text = f"{self.scheme}://{self.plain}" if self.scheme in LOCAL.schemes else self.text
        return text.rstrip("/") + "/"


@dataclass(frozen=True)
class ConnectionFacts:
    """A connection, read once, in the main thread."""

    conn_id: str
    conn_type: str
    host: str
    login: str
    password: str = field(repr=False)
    extra: dict[str, Any] = field(repr=False)

    def get(self, name: str) -> str:
        """A field of the extra, also under its old name `extra__<type>__<name>`."""
        value = self.extra.get(name) or self.extra.get(f"extra__{self.conn_type}__{name}")
        return value if isinstance(value, str) else json.dumps(value) if value else ""

    def as_dict(self) -> dict[str, Any]:
        """For masking."""
        return {"login": self.login, "password": self.password, "extra": self.extra, "host": self.host}


@dataclass(frozen=True)
class EnvLine:
    """One line of an env file, as `docker --env-file` reads it (raw) and as compose reads it (value)."""

    number: int
    name: str
    raw: str
    value: str


def load_airflow() -> SimpleNamespace:
    """Import what the doctor needs of Airflow 3 or 2, even when the configured XCom class cannot be imported.

    Airflow imports that class while `airflow.sdk` or `airflow.models.xcom` is imported and dies of a broken one.
    So the first import happens with the stock class in the environment, which is put back at once.
    """
    try:
        conf = importlib.import_module("airflow.sdk.configuration").conf
        three, stock = True, "airflow.sdk.bases.xcom.BaseXCom"
    except ImportError:
        conf = importlib.import_module("airflow.configuration").conf
        three, stock = False, "airflow.models.xcom.BaseXCom"
    names = _NAMES_3 if three else _NAMES_2
    before = os.environ.get(BACKEND)
    os.environ[BACKEND] = stock
    try:
        found = {name: getattr(importlib.import_module(module), name) for name, module in names.items()}
    finally:
        os.environ.pop(BACKEND)
        if before is not None:
            os.environ[BACKEND] = before
    version = importlib.import_module("airflow").__version__
    return SimpleNamespace(conf=conf, three=three, stock=stock, version=version, **found)


_NAMES_3 = {
    "BaseXCom": "airflow.sdk.bases.xcom",
    "BaseHook": "airflow.sdk.bases.hook",
    "get_fs": "airflow.sdk.io",
    "has_fs": "airflow.sdk.io",
    "_register_filesystems": "airflow.sdk.io.fs",
    "XCom": "airflow.sdk.execution_time.xcom",
}
_NAMES_2 = {
    "BaseXCom": "airflow.models.xcom",
    "BaseHook": "airflow.hooks.base",
    "get_fs": "airflow.io",
    "has_fs": "airflow.io",
    "_register_filesystems": "airflow.io",
}


class Situation:
    """Everything a check may ask. Read-only; each answer is worked out once."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        env: Mapping[str, str] | None = None,
        deadline: float = DEADLINE,
        ambient: bool = False,
    ) -> None:
        """Look at a project, an environment, or both.

        :param root: the project's folder; by default the one that holds `include/`
        :param env: the environment to look at; by default this process's
        :param deadline: seconds a network probe may take
        :param ambient: whether an identity of the machine (instance role, workload identity) may be used
        """
        self.root = root or Path(__file__).resolve().parents[2]
        self.env = dict(os.environ if env is None else env)
        self.deadline = deadline
        self.ambient = ambient
        self.airflow = load_airflow()
        self.notes: dict[str, Any] = {}  # what one probe leaves for the next
        # Of this examination alone: a probe that hangs keeps its lock, and must not hold the next examination.
        self.making, self.writing = threading.Lock(), threading.Lock()
        self.explained: dict[str, str] = {}  # variable -> the check that says why it is not what it should be

    # --- settings -------------------------------------------------------------------------------------------

    def setting(self, variable: str) -> str:
        """The value that Airflow works with, whatever source it comes from; empty when unset."""
        section, option = SETTINGS[variable]
        return self.airflow.conf.get(section, option, fallback=None) or ""

    def blame(self, variable: str, check: str) -> None:
        """Remember that `check` reports on `variable`, so that one mistake is one finding."""
        self.explained.setdefault(variable, check)

    @cached_property
    def backend_name(self) -> str:
        """Dotted name of the configured XCom class."""
        return self.setting(BACKEND) or self.airflow.stock

    @property
    def is_default_backend(self) -> bool:
        """Whether Airflow keeps every XCom in the metadata database."""
        return self.backend_name.rpartition(".")[2] == "BaseXCom"

    @cached_property
    def backend(self) -> type:
        """The configured class.

        :raises ImportError, AttributeError: as Python does
        """
        module, _, name = self.backend_name.rpartition(".")
        found: type = getattr(importlib.import_module(module), name)
        return found

    @property
    def writes_like_provider(self) -> bool:
        """Whether values are written by the provider's own code, with its way to compress."""
        try:
            writer: Any = self.backend
            return bool(writer.serialize_value.__module__ == PROVIDER_BACKEND.rpartition(".")[0])
        except (ImportError, AttributeError):
            return False

    @cached_property
    def threshold(self) -> int | None:
        """Bytes from which a value goes to the store; None when it is not a number."""
        try:
            return int(self.setting(THRESHOLD) or -1)
        except ValueError:
            return None

    @cached_property
    def path(self) -> StorePath:
        """The configured base path; all its parts are empty when there is none."""
        text = self.setting(PATH)
        url = urlsplit(text)
        conn_id, _, bucket = url.netloc.rpartition("@")
        return StorePath(text, url.scheme, conn_id, bucket, url.path.strip("/"))

    @cached_property
    def cloud(self) -> Cloud:
        """What is known of the store behind the path's scheme."""
        return cloud_of(self.path.scheme)

    # --- files ----------------------------------------------------------------------------------------------

    @cached_property
    def env_file(self) -> list[EnvLine]:
        """The lines of the project's .env that set something."""
        return read_env_file(self.root / ".env")

    @cached_property
    def config_file(self) -> tuple[Path, configparser.RawConfigParser]:
        """airflow.cfg, read raw."""
        home = Path(self.env.get("AIRFLOW_HOME") or Path.home() / "airflow").expanduser()
        file = Path(self.env.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
        parser = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(configparser.Error, UnicodeDecodeError):  # Airflow itself complains about these
            parser.read(file)
        return file, parser

    def read(self, name: str) -> str:
        """A file of the project; empty when it is not there."""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    # --- connection -----------------------------------------------------------------------------------------

    @property
    def conn_variable(self) -> str:
        """The variable that would define the connection of the path."""
        return f"AIRFLOW_CONN_{self.path.conn_id.upper()}"

    @cached_property
    def connection(self) -> ConnectionFacts | None:
        """The connection in the path, from wherever Airflow keeps it; None when there is no such connection."""
        if not self.path.conn_id:
            return None
        conn_id = self.path.conn_id
        try:
            found = with_deadline(lambda: self.airflow.BaseHook.get_connection(conn_id), self.deadline)
            extra = found.extra_dejson
        except Exception as error:
            self.notes["connection error"] = f"{type(error).__name__}: {error}"
            return None
        return ConnectionFacts(
            conn_id, found.conn_type or "", found.host or "", found.login or "", found.password or "", extra
        )

    @cached_property
    def endpoint(self) -> str:
        """The URL of the store that the connection leads to, without credentials."""
        conn = self.connection
        if conn is None:
            return ""
        find = _ENDPOINTS.get(self.cloud.name)
        return find(conn) if find else ""

    # --- the store ------------------------------------------------------------------------------------------

    def filesystem(self) -> AbstractFileSystem:
        """The filesystem that Airflow itself would use for the path, with short timeouts.

        Never called before the checks of the connection are healthy, or the library would fall back to
        whatever credentials this machine has.
        """
        if self.cloud is not LOCAL and self.connection is None:
            raise PermissionError("no connection: the probe will not use the credentials of this machine")
        options = S3_TIMEOUTS if self.cloud.module == "s3fs" else {}
        store = self.airflow.get_fs(self.path.scheme, self.path.conn_id or None, options)
        if hasattr(store, "retries"):
            store.retries = 1
        if hasattr(store, "dircache"):
            store.dircache.use_listings_cache = False  # a probe asks the store, not what it said a moment ago
        return store

    # --- report ---------------------------------------------------------------------------------------------

    def no_answer(self) -> Outcome:
        """For a probe that ran out of time."""
        where = self.endpoint or self.path.text
        left = self.notes.get("probe object")
        tail = f"; the probe object {left} may have been left behind" if left else ""
        return finding(
            f"{where} gave no answer within {self.deadline:g} s{tail}",
            f"open the network path to {where} (firewall, proxy, VPC endpoint), or correct the connection's endpoint",
        )

    def broken_answer(self, error: Exception) -> Outcome | None:
        """For a probe that the store refused where its check did not expect it; None when the store did not do it."""
        trouble = importlib.import_module("include.xcom_doctor.probe").diagnose(error)
        if trouble.kind == "other":
            return None
        where = self.endpoint or self.path.text
        return finding(
            f"{where} refused: {trouble.text}", f"look at the store behind {where}; then run the doctor again"
        )

    @cached_property
    def mask(self) -> Callable[[str], str]:
        """Hides every secret of the connection, of `.env` and of the environment."""
        secrets: set[str] = set()
        for name, value in (*self.env.items(), *((line.name, line.value) for line in self.env_file)):
            if name.startswith("AIRFLOW_CONN_") or _SECRET_NAME.search(name):
                secrets |= secrets_in(value)
        if self.connection:
            secrets |= secrets_in(self.connection.as_dict())
        return masker(secrets)


_SECRET_NAME = re.compile(
    r"SECRET(?!S__BACKEND$)|PASSWORD|TOKEN|ACCESS_KEY|FERNET|SQL_ALCHEMY|API_?KEY|CREDENTIAL|_SAS", re.I
)


def read_env_file(file: Path) -> list[EnvLine]:
    """Parse an env file twice: raw, as `docker --env-file` does, and by python-dotenv, which reads it like compose."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    parsed = _as_compose(text)
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, raw = line.partition("=")
        name = name.strip().removeprefix("export ").strip()
        if equals and name and not name.startswith("#"):
            lines.append(EnvLine(number, name, raw, parsed.get(name) or ""))
    return lines


def _as_compose(text: str) -> dict[str, str | None]:
    """The values of an env file without quotes and comments.

    The Runtime image may lack python-dotenv: then by its rules as far as one line goes.
    """
    try:
        from dotenv import dotenv_values
    except ImportError:
        pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
        return {name.strip().removeprefix("export ").strip(): _unquoted(value) for name, value in pairs}
    return dotenv_values(stream=io.StringIO(text), interpolate=False)


def _unquoted(value: str) -> str:
    """A value without the quotes around it, or else without the comment behind it."""
    value = value.strip()
    if match := re.match(r"'([^']*)'|\"([^\"]*)\"", value):
        return match[1] or match[2] or ""
    return re.split(r"\s#|^#", value, maxsplit=1)[0].strip()


def connection_field(conn: ConnectionFacts, name: str) -> str:
    """One part of an Azure connection string, such as `BlobEndpoint`."""
    parts = dict(part.split("=", 1) for part in conn.get("connection_string").split(";") if "=" in part)
    return {key.lower(): value for key, value in parts.items()}.get(name.lower(), "")


def _aws_endpoint(conn: ConnectionFacts) -> str:
    service = conn.extra.get("service_config") or {}
    s3 = service.get("s3") or {} if isinstance(service, Mapping) else {}
    own = s3.get("endpoint_url") or conn.get("endpoint_url")
    region = conn.get("region_name")
    return own or (f"https://s3.{region}.amazonaws.com" if region else "https://s3.amazonaws.com")


def _gcp_endpoint(conn: ConnectionFacts) -> str:
    return conn.get("gcs.endpoint") or "https://storage.googleapis.com"


def _azure_endpoint(conn: ConnectionFacts) -> str:
    if conn.get("connection_string"):
        account = connection_field(conn, "AccountName")
        suffix = connection_field(conn, "EndpointSuffix") or "core.windows.net"
        return connection_field(conn, "BlobEndpoint") or f"https://{account}.blob.{suffix}"
    if conn.get("account_host"):
        return f"https://{conn.get('account_host')}"
    if "://" in conn.host:
        return conn.host
    account = conn.get("account_name") or conn.login
    return f"https://{account}.blob.core.windows.net"


_ENDPOINTS: dict[str, Callable[[ConnectionFacts], str]] = {
    "AWS": _aws_endpoint,
    "Google Cloud": _gcp_endpoint,
    "Azure": _azure_endpoint,
}
