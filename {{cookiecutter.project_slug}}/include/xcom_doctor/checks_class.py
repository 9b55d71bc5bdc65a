"""Checks of the configured class: is it there, is it an XCom backend, is it the one that the settings expect?"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re

from include.xcom_doctor.registry import Outcome, check, finding, ok, warning
from include.xcom_doctor.situation import (
    BACKEND,
    COMPRESSION,
    CUSTOM_BACKEND,
    PATH,
    PROVIDER_BACKEND,
    SETTINGS,
    THRESHOLD,
    Situation,
)

THIN_BACKEND = "include.xcom_object_storage.XComObjectStorageBackend"
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


@check(
    "class.found",
    title="The configured XCom class can be imported",
    symptom='Every Airflow process dies at start: `Please check "xcom_backend" key in "core" section`; on Airflow 2 '
    "`Table 'xcom' is already defined`",
    why="Airflow imports this class before anything else; `airflow version` and `airflow info` still "
    "answer as if all were well.",
    mend=f"set in .env: {BACKEND}={PROVIDER_BACKEND}",
    reads=(BACKEND,),
)
def class_found(situation: Situation) -> Outcome:
    """Import the class ourselves: Airflow's own loader ends the process."""
    name = situation.backend_name
    if "." not in name:
        return finding(f"{name!r} is not a dotted path to a class", _set_to(_closest(name)))
    try:
        found = situation.backend
    except ModuleNotFoundError as error:
        return _missing_module(name, error.name or "")
    except AttributeError:
        return finding(f"{name}: the module has no such class", _set_to(_closest(name)))
    except Exception as error:  # whatever the module does at import
        return finding(
            f"importing {name} raised {type(error).__name__}: {error}",
            f'see the whole error with: python -c "import {name.rpartition(".")[0]}", and mend that module',
        )
    return ok(f"{found.__module__}.{found.__qualname__}")


@check(
    "class.base",
    title="The class is an XCom backend of this Airflow",
    symptom="`TypeError: Your custom XCom class ... is not a subclass of BaseXCom` in every process",
    why="Airflow accepts only subclasses of its BaseXCom, which lives in `airflow.sdk.bases.xcom` on Airflow 3 and in "
    "`airflow.models.xcom` on Airflow 2.",
    mend="derive the class from the BaseXCom of this Airflow",
    needs=("class.found",),
)
def class_base(situation: Situation) -> Outcome:
    """Test what Airflow tests, without letting it die of the answer."""
    base = situation.airflow.BaseXCom
    found = situation.backend
    if not inspect.isclass(found) or not issubclass(found, base):
        where = f"{base.__module__}.{base.__name__}"
        return finding(
            f"{situation.backend_name} is not a subclass of {where}",
            f"let the class derive from {where}, or set in .env: {BACKEND}={PROVIDER_BACKEND}",
        )
    return ok(f"subclass of {base.__module__}.{base.__name__}")


@check(
    "class.default",
    title="The class in use can reach the bucket",
    symptom="All tasks succeed, the bucket stays empty, and every XCom is in the metadata database",
    why="With the default class Airflow never looks at the object storage settings. A worker that "
    "lacks this one variable "
    "succeeds too, and its readers elsewhere get a path instead of the value.",
    mend=f"set in .env: {BACKEND}={PROVIDER_BACKEND}",
    reads=(BACKEND,),
)
def class_default(situation: Situation) -> Outcome:
    """The default class beside settings that only another class reads."""
    if not situation.is_default_backend:
        return ok(situation.backend_name)
    present = [
        name for name in (PATH, THRESHOLD, COMPRESSION) if situation.airflow.conf.get(*_option(name), fallback=None)
    ]
    present = [name for name in present if name != THRESHOLD or situation.threshold != -1]
    if present:
        return finding(
            f"the default class {situation.backend_name}, although these are set: {', '.join(present)}",
            _mend(situation),
        )
    return warning("the default class, and nothing that asks for object storage: every XCom goes to the database")


@check(
    "class.custom",
    title="The settings of the custom class are read by the class in use",
    symptom="A mirror, a format or another feature of the custom class does nothing",
    why="Only `include.xcom_backend.XComBackend` reads what is under AIRFLOW__XCOM_BACKEND__; the "
    "provider's class ignores it.",
    mend=f"set in .env: {BACKEND}={CUSTOM_BACKEND}, or delete the AIRFLOW__XCOM_BACKEND__ variables",
    reads=(BACKEND,),
)
def class_custom(situation: Situation) -> Outcome:
    """Settings of the custom class while another class is in use."""
    own = sorted(name for name in situation.env if name.startswith("AIRFLOW__XCOM_BACKEND__"))
    if own and not situation.backend_name.startswith("include.xcom_backend."):
        return finding(f"{', '.join(own)} set, but the class is {situation.backend_name}")
    return ok(f"{len(own)} settings of the custom class") if own else ok("no setting of the custom class")


def _option(variable: str) -> tuple[str, str]:
    return SETTINGS[variable]


def _mend(situation: Situation) -> str:
    """The class that the project's own .env asks for, else the provider's."""
    wanted = next((line.value for line in situation.env_file if line.name == BACKEND), PROVIDER_BACKEND)
    return _set_to(wanted if not wanted.endswith("BaseXCom") else PROVIDER_BACKEND)


def _set_to(name: str) -> str:
    return f"set in .env: {BACKEND}={name}"


def _closest(name: str) -> str:
    """The known class that `name` was meant to be: by module first, then by likeness."""
    known = [PROVIDER_BACKEND, CUSTOM_BACKEND, THIN_BACKEND]
    module, _, cls = name.rpartition(".")
    if re.fullmatch(r"XComObjectStor\w*Backend", cls) and not module.startswith("include"):
        return PROVIDER_BACKEND
    return (difflib.get_close_matches(name, known, n=1, cutoff=0.4) or [PROVIDER_BACKEND])[0]


def _missing_module(name: str, missing: str) -> Outcome:
    """Tell a misspelt module from a package that is not installed."""
    module = name.rpartition(".")[0]
    package = next((pip for prefix, pip in PACKAGES.items() if (missing + ".").startswith(prefix + ".")), "")
    if package and not _importable(_package_root(missing)):
        return finding(f"{name}: {_package_root(missing)} is not installed", f"add to requirements.txt: {package}")
    if (module + ".").startswith(missing + ".") or missing == module:
        return finding(f"{name}: there is no module {missing}", _set_to(_closest(name)))
    return finding(
        f"{name} imports {missing}, which is not installed",
        f"add to requirements.txt: {package or missing.split('.')[0]}",
    )


def _package_root(missing: str) -> str:
    return next((prefix for prefix in PACKAGES if (missing + ".").startswith(prefix + ".")), missing)


def _importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
