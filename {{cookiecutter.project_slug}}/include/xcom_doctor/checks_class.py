"""The configured class: is it there, is it an XCom backend, is it the one that the settings expect?"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from importlib.util import find_spec

from include.xcom_doctor.model import Outcome, check, finding, ok, warning
from include.xcom_doctor.situation import (
    BACKEND,
    COMPRESSION,
    CUSTOM_BACKEND,
    PATH,
    PROVIDER_BACKEND,
    SETTINGS,
    THIN_BACKEND,
    THRESHOLD,
    Situation,
)

# Import name -> what pip installs, where the two differ and the doctor is likely to meet it.
PACKAGES = {
    "airflow.providers.common.io": "apache-airflow-providers-common-io",
    "airflow.providers.common": "apache-airflow-providers-common-io",
    "airflow.providers.amazon": "apache-airflow-providers-amazon[s3fs]",
    "airflow.providers.google": "apache-airflow-providers-google",
    "airflow.providers.microsoft": "apache-airflow-providers-microsoft-azure",
    "s3fs": "apache-airflow-providers-amazon[s3fs]",
    "gcsfs": "apache-airflow-providers-google",
    "adlfs": "apache-airflow-providers-microsoft-azure",
}


@check
def class_found(situation: Situation) -> Outcome:
    """Import the class ourselves: Airflow's own loader ends the process."""
    name = situation.backend_name
    if "." not in name:
        return finding(f"{name!r} is not a dotted path to a class", set_class(_closest(name)))
    try:
        found = situation.backend
    except ModuleNotFoundError as error:
        return _missing_module(name, error.name or "")
    except AttributeError:
        return finding(f"{name}: the module has no such class", set_class(_closest(name)))
    except Exception as error:  # whatever the module does at import
        command = f'python -c "import {name.rpartition(".")[0]}"'
        seen = f"importing {name} raised {type(error).__name__}: {error}"
        return finding(seen, f"see the whole error with: {command}, and correct that module")
    return ok(f"{found.__module__}.{found.__qualname__}")


@check
def class_base(situation: Situation) -> Outcome:
    """Test what Airflow tests, without letting it die of the answer."""
    base, found = situation.airflow.BaseXCom, situation.backend
    where = f"{base.__module__}.{base.__name__}"
    if inspect.isclass(found) and issubclass(found, base):
        return ok(f"subclass of {where}")
    fix = f"derive the class from {where}, or set in .env: {BACKEND}={PROVIDER_BACKEND}"
    return finding(f"{situation.backend_name} is not a subclass of {where}", fix)


@check
def class_default(situation: Situation) -> Outcome:
    """The default class beside settings that only another class reads."""
    if not situation.is_default_backend:
        return ok(situation.backend_name)
    conf = situation.airflow.conf
    present = [name for name in (PATH, THRESHOLD, COMPRESSION) if conf.get(*SETTINGS[name], fallback=None)]
    present = [name for name in present if name != THRESHOLD or situation.threshold != -1]
    # The class that the project's own .env asks for, else one that the project has, else the provider's.
    known = [line.value for line in situation.env_file if line.name == BACKEND and not line.value.endswith("BaseXCom")]
    fix = set_class([*known, *own_classes(), PROVIDER_BACKEND][0])
    if not present:
        return warning("the default class, and nothing that asks for object storage: all goes to the database", fix)
    return finding(f"the default class {situation.backend_name}, although these are set: {', '.join(present)}", fix)


@check
def class_custom(situation: Situation) -> Outcome:
    """Settings of the custom class while another class is in use."""
    own = sorted(name for name in situation.env if name.startswith("AIRFLOW__XCOM_BACKEND__"))
    if not own or situation.is_custom_backend:
        return ok(f"settings of the custom class: {', '.join(own) or 'none'}")
    fixes = [f"remove from .env: {name}" for name in own]
    if CUSTOM_BACKEND in own_classes():
        fixes = [set_class(CUSTOM_BACKEND)]
    return finding(f"{', '.join(own)} set, but the class is {situation.backend_name}", "\n".join(fixes))


@check
def custom_settings(situation: Situation) -> Outcome:
    """Let the class itself read its settings."""
    if not situation.is_custom_backend:
        return ok("the custom class is not in use")
    module = importlib.import_module("include.xcom_backend.settings")
    try:
        module.settings.__wrapped__()
    except module.XComSettingsError as error:
        told = re.match(r"(\w+)\W.*A good (name|value): (\S+)$", str(error), re.DOTALL)
        fixes = {"name": "rename in .env: {0} -> {2}", "value": "set in .env: {0}={2}"}
        return finding(str(error), fixes[told[2]].format(*told.groups()) if told else "")
    return ok("the custom class has read all its settings")


def own_classes() -> list[str]:
    """The classes of this project that write durably and compress by themselves."""
    names = {name: name.rpartition(".")[0] for name in (THIN_BACKEND, CUSTOM_BACKEND)}
    specs = {name: find_spec(module) for name, module in names.items()}
    return [name for name, spec in specs.items() if spec and spec.origin]  # an empty folder of this name has none


def set_class(name: str) -> str:
    """The fix that configures another class."""
    return f"set in .env: {BACKEND}={name}"


def _closest(name: str) -> str:
    """The known class that `name` was meant to be: by module first, then by likeness."""
    module, _, cls = name.rpartition(".")
    if re.fullmatch(r"XComObjectStor\w*Backend", cls) and not module.startswith("include"):
        return PROVIDER_BACKEND
    known = [PROVIDER_BACKEND, CUSTOM_BACKEND, THIN_BACKEND]
    return (difflib.get_close_matches(name, known, n=1, cutoff=0.4) or [PROVIDER_BACKEND])[0]


def _missing_module(name: str, missing: str) -> Outcome:
    """Tell a misspelt module from a package that is not installed."""
    root = next((prefix for prefix in PACKAGES if f"{missing}.".startswith(f"{prefix}.")), missing)
    if root in PACKAGES and not _importable(root):
        return finding(f"{name}: {root} is not installed", f"add to requirements.txt: {PACKAGES[root]}")
    if f"{name.rpartition('.')[0]}.".startswith(f"{missing}."):
        return finding(f"{name}: there is no module {missing}", set_class(_closest(name)))
    package = PACKAGES.get(root) or missing.split(".")[0]
    return finding(f"{name} imports {missing}, which is not installed", f"add to requirements.txt: {package}")


def _importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
