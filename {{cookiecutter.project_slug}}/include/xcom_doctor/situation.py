"""What the doctor looks at: settings as this process sees them, the project's files, the connection."""

from __future__ import annotations

import configparser
import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from include.xcom_doctor.clouds import Cloud, ConnectionFacts, Local, cloud_of
from include.xcom_doctor.deadline import with_deadline
from include.xcom_doctor.mask import masker, secrets_in
from include.xcom_doctor.model import NotAskedError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DEADLINE = 9.0  # seconds that a check may wait for the store

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
THIN_BACKEND = "include.xcom_object_storage.XComObjectStorageBackend"
# `<bucket>`, the template's own PASTE-THE-…, and what people write for "later".
PLACEHOLDER = re.compile(
    r"<[^<>\s][^<>]*>|\bPASTE-\w|\b(?:your|my)[-_](?:access|secret|key|password|account|token)\w*"
    r"|\bchange[-_ ]?me\b|\bX{4,}\b",
    re.I,
)
_SECRET_NAME = re.compile(
    r"SECRET(?!S__BACKEND$)|PASSWORD|TOKEN|ACCESS_KEY|FERNET|SQL_ALCHEMY|API_?KEY|CREDENTIAL|_SAS", re.I
)
# Airflow 3's module of each name; where it differs, Airflow 2's.
_NAMES = {
    "BaseXCom": ("airflow.sdk.bases.xcom", "airflow.models.xcom"),
    "BaseHook": ("airflow.sdk.bases.hook", "airflow.hooks.base"),
    "get_fs": ("airflow.sdk.io", "airflow.io"),
    "has_fs": ("airflow.sdk.io", "airflow.io"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
}


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
        if self.scheme in Local.schemes:
            # file:///data/xcom is a folder of the machine, file://xcom one where Airflow starts, as fsspec has it.
            return os.path.abspath(f"{self.bucket}/{self.prefix}" if self.bucket else f"/{self.prefix}")
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    @property
    def in_rows(self) -> str:
        """The base path as rows hold it, with a slash at its end; a relative folder is absolute there."""
        text = f"{self.scheme}://{self.plain}" if self.scheme in Local.schemes else self.text
        return text.rstrip("/") + "/"


@dataclass(frozen=True)
class EnvLine:
    """One line of an env file, as `docker --env-file` reads it (raw) and as compose reads it (value)."""

    number: int
    name: str
    raw: str
    value: str


@dataclass(frozen=True)
class Trouble:
    """One refusal of the store."""

    kind: str  # credentials, bucket, region, permission, missing, unreachable or other
    text: str


@dataclass
class Traces:
    """What the doctor has written into a store."""

    key: str = ""  # of the probe object
    left: str = ""  # the same, until it is deleted
    trouble: Trouble | None = None  # what the store said to the first write
    runs: list[str] = field(default_factory=list)  # run IDs of values that went through the class
    lock: Any = field(default_factory=Lock)


def load_airflow() -> SimpleNamespace:
    """Import what the doctor needs of Airflow 3 or 2, even when the configured XCom class cannot be imported.

    Airflow imports that class while `airflow.sdk` or `airflow.models.xcom` is imported and dies of a broken one.
    So the first import happens with the stock class in the environment, which is put back at once.
    """
    try:
        conf, three = import_module("airflow.sdk.configuration").conf, True
    except ImportError:
        conf, three = import_module("airflow.configuration").conf, False
    names = {name: modules[0 if three else 1] for name, modules in _NAMES.items()}
    stock = f"{names['BaseXCom']}.BaseXCom"
    before = os.environ.get(BACKEND)
    os.environ[BACKEND] = stock
    try:
        found = {name: getattr(import_module(module), name) for name, module in names.items()}
    finally:
        os.environ.pop(BACKEND)
        if before is not None:
            os.environ[BACKEND] = before
    version = import_module("airflow").__version__
    return SimpleNamespace(conf=conf, three=three, stock=stock, version=version, **found)


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
        :param deadline: seconds that a check may wait for the store
        :param ambient: whether an identity of the machine (instance role, workload identity) may be used
        """
        self.root = root or Path(__file__).resolve().parents[2]
        self.env = dict(os.environ if env is None else env)
        self.deadline = deadline
        self.ambient = ambient
        self.airflow = load_airflow()
        self.traces = Traces()

    # --- settings ---

    def setting(self, variable: str) -> str:
        """The value that Airflow works with, whatever source it comes from; empty when unset."""
        return self.airflow.conf.get(*SETTINGS[variable], fallback=None) or ""

    @cached_property
    def known_variables(self) -> frozenset[str]:
        """Every variable that this Airflow reads, deprecated ones included."""
        conf = self.airflow.conf
        pairs = {(s, o) for s, section in conf.configuration_description.items() for o in section.get("options", {})}
        pairs |= {(old[0], old[1]) for old in conf.deprecated_options.values()}
        known = {_variable(*pair) for pair in pairs} | set(SETTINGS)
        secret = {_variable(*pair) + end for pair in conf.sensitive_config_values for end in ("_CMD", "_SECRET")}
        return frozenset(known | secret)

    @cached_property
    def backend_name(self) -> str:
        """Dotted name of the configured XCom class."""
        return self.setting(BACKEND) or self.airflow.stock

    @property
    def is_default_backend(self) -> bool:
        """Whether Airflow keeps every XCom in the metadata database."""
        return self.backend_name.rpartition(".")[2] == "BaseXCom"

    @property
    def is_custom_backend(self) -> bool:
        """Whether the class is that of `include/xcom_backend`."""
        return self.backend_name.startswith("include.xcom_backend.")

    @cached_property
    def backend(self) -> Any:
        """The configured class.

        :raises ImportError, AttributeError: as Python does
        """
        module, _, name = self.backend_name.rpartition(".")
        return getattr(import_module(module), name)

    @property
    def writes_like_provider(self) -> bool:
        """Whether values are written by the provider's own code, with its way to compress."""
        try:
            return bool(self.backend.serialize_value.__module__ == PROVIDER_BACKEND.rpartition(".")[0])
        except (ImportError, AttributeError):
            return False

    @cached_property
    def threshold(self) -> int | None:
        """Bytes from which a value goes to the store; None when it is not a number."""
        text = self.airflow.conf.get(*SETTINGS[THRESHOLD], fallback=None)
        try:
            return -1 if text is None else int(text)
        except ValueError:
            return None

    @cached_property
    def path(self) -> StorePath:
        """The configured base path; all its parts are empty when there is none.

        :raises NotAskedError: when there is none, and the default class needs none
        """
        text = self._base_path()
        if not text and self.is_default_backend:
            raise NotAskedError("the default class needs no path")
        url = urlsplit(text)
        conn_id, _, bucket = url.netloc.rpartition("@")
        return StorePath(text, url.scheme, conn_id, bucket, url.path.strip("/"))

    def _base_path(self) -> str:
        return self.setting(PATH)

    @cached_property
    def cloud(self) -> Cloud:
        """What is known of the store behind the path's scheme."""
        return cloud_of(self.path.scheme)

    @cached_property
    def mirror(self) -> Mirror | None:
        """The same project with the custom class's mirror for a base path, if there is one."""
        if not self.is_custom_backend:
            return None
        mirror = Mirror(self.root, env=self.env, deadline=self.deadline, ambient=self.ambient)
        return mirror if mirror.path.text else None

    # --- files ---

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

    # --- connection and store ---

    @property
    def conn_variable(self) -> str:
        """The variable that would define the connection of the path."""
        return f"AIRFLOW_CONN_{self.path.conn_id.upper()}"

    @cached_property
    def connection(self) -> ConnectionFacts | None:
        """The connection in the path, from wherever Airflow keeps it; None when there is no such connection."""
        conn_id = self.path.conn_id
        if not conn_id:
            return None
        try:
            found = with_deadline(lambda: self.airflow.BaseHook.get_connection(conn_id), self.deadline)
            names = ("conn_type", "host", "login", "password")
            return ConnectionFacts(conn_id, extra=found.extra_dejson, **{n: getattr(found, n) or "" for n in names})
        except Exception:
            return None

    @property
    def endpoint(self) -> str:
        """The URL of the store that the connection leads to, without credentials; empty for a folder."""
        return self.cloud.endpoint(self.connection) if self.connection else ""

    @cached_property
    def filesystem(self) -> AbstractFileSystem:
        """The filesystem that Airflow itself would use for the path, with short timeouts.

        Never asked for before the checks of the connection are healthy, or the library would fall back to
        whatever credentials this machine has.
        """
        if self.cloud.conn_types and self.connection is None:
            raise PermissionError("no connection: the probe will not use the credentials of this machine")
        store = self.airflow.get_fs(self.path.scheme, self.path.conn_id or None, self.cloud.options)
        if hasattr(store, "retries"):
            store.retries = 1
        if hasattr(store, "dircache"):
            store.dircache.use_listings_cache = False  # a probe asks the store, not what it said a moment ago
        return store

    # --- report ---

    @cached_property
    def mask(self) -> Callable[[str], str]:
        """Hides every secret of the connections, of `.env` and of the environment."""
        secrets: set[str] = set()
        for name, value in (*self.env.items(), *((line.name, line.value) for line in self.env_file)):
            if name.startswith("AIRFLOW_CONN_") or _SECRET_NAME.search(name):
                secrets |= secrets_in(value)
        for one in (self, self.mirror):
            with contextlib.suppress(NotAskedError):
                if one and one.connection:
                    secrets |= secrets_in(one.connection.as_dict())
        return masker(secrets)


class Mirror(Situation):
    """The same project, with the mirror for a base path."""

    mirror = None

    def _base_path(self) -> str:
        return self.airflow.conf.get("xcom_backend", "mirror", fallback=None) or ""


def _variable(section: str, option: str) -> str:
    return f"AIRFLOW__{section.upper().replace('.', '_')}__{option.upper()}"


def read_env_file(file: Path) -> list[EnvLine]:
    """The lines of an env file that set something; none if there is no such file."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, raw = line.partition("=")
        name = name.strip().removeprefix("export ").strip()
        if equals and name and not name.startswith("#"):
            lines.append(EnvLine(number, name, raw, _unquoted(raw)))
    return lines


def _unquoted(value: str) -> str:
    """A value without the quotes around it, or else without the comment behind it."""
    value = value.strip()
    if match := re.match(r"'([^']*)'|\"([^\"]*)\"", value):
        return match[1] or match[2] or ""
    return re.split(r"\s#|^#", value, maxsplit=1)[0].strip()
