"""Settings that look right and are ignored, or read otherwise than written."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator

from include.xcom_doctor.model import NotAskedError, Outcome, check, finding, ok, plural, warning
from include.xcom_doctor.situation import BACKEND, COMPRESSION, PATH, SETTINGS, THRESHOLD, EnvLine, Situation

# The shortest forms people write without section and prefix.
_BARE = {"xcom_backend": BACKEND} | {name.rpartition("__")[2].lower(): name for name in (PATH, THRESHOLD, COMPRESSION)}
# Sections that other software owns; Airflow itself never reads them.
_FOREIGN = ("ASTRONOMER", "ASTRO", "XCOM_BACKEND", "XCOM_DOCTOR", "XCOM_EXPLORER")
# Of common-io 1.11.0: Airflow 2.11 does not tell a provider's defaults. All other options have none.
_PROVIDER_DEFAULTS = {"xcom_objectstorage_threshold": "-1"}


@check
def settings_names(situation: Situation) -> Outcome:
    """Every variable near one of the four XCom settings, in the environment and in `.env`."""
    names = {*situation.env, *(line.name for line in situation.env_file)}
    wrong = {name: meant for name in sorted(names) if (meant := meant_name(name, situation))}
    if not wrong:
        return ok("every AIRFLOW__ variable has a name that Airflow knows")
    seen = "; ".join(f"{name} is ignored: Airflow reads {meant}" for name, meant in wrong.items())
    return finding(seen, _renamed(wrong), tuple(wrong.values()))


@check
def settings_other_names(situation: Situation) -> Outcome:
    """Variables near any other known setting: only a warning, for nothing of XCom depends on them."""
    known, wrong = situation.known_variables, {}
    for name in sorted(situation.env):
        if not name.startswith("AIRFLOW__") or name in known or name.split("__")[1] in _FOREIGN:
            continue
        close = difflib.get_close_matches(name, known, 1, 0.9)
        if close and not meant_name(name, situation):
            wrong[name] = close[0]
    if not wrong:
        return ok("nothing looks misspelt")
    return warning("; ".join(f"{name} is ignored: Airflow knows {one}" for name, one in wrong.items()), _renamed(wrong))


def _renamed(names: dict[str, str]) -> str:
    return "\n".join(f"rename in .env: {name} -> {meant}" for name, meant in names.items())


@check
def settings_quotes(situation: Situation) -> Outcome:
    """Quotes at both ends of a value, in the process or in the raw text of `.env`."""
    bad = _values(situation, _quoted)
    if not bad:
        return ok("no quotes around values")
    fixes = (_corrected(name, value.strip()[1:-1], "the quotes around the value") for name, value in bad.items())
    return finding(", ".join(f"{name}={_shown(name, bad[name])}" for name in bad), "\n".join(fixes), tuple(bad))


@check
def settings_comments(situation: Situation) -> Outcome:
    """An inline comment or blanks that became part of a value."""
    bad = _values(situation, _commented)
    if not bad:
        return ok("no comments or blanks in values")
    fixes = (
        _corrected(name, _uncommented(value), "the comment or blanks around the value") for name, value in bad.items()
    )
    return finding(", ".join(f"{name}={_shown(name, bad[name])!r}" for name in bad), "\n".join(fixes), tuple(bad))


def _corrected(name: str, value: str, what: str) -> str:
    """The line to write; of a connection, which is never shown, only what to take away."""
    return f"remove in .env: {what} of {name}" if name.startswith("AIRFLOW_CONN_") else f"set in .env: {name}={value}"


@check
def settings_env_file(situation: Situation) -> Outcome:
    """Compare `.env` with the environment; values with quotes or comments have their own checks."""
    lines = {line.name: line for line in situation.env_file if _is_airflow(line.name)}
    if not lines:
        raise NotAskedError(
            "no .env with Airflow's variables here (containers, deployments and agents have none), so nothing can be "
            "compared; after a change of .env on the host, type: astro dev restart"
        )
    different = [name for name, line in lines.items() if situation.env.get(name) not in (line.value, line.raw)]
    if not different:
        return ok(f"{plural(len(lines), 'variable')} of .env, and this process has the same")
    if not any(name in situation.env for name in lines):
        return finding(
            f"this process sees none of the {plural(len(lines), 'variable')} in .env",
            "run it where Airflow runs (astro dev bash), or: python -m include.xcom_doctor --env-file .env",
            tuple(different),
        )
    seen = "; ".join(_difference(name, lines[name], situation) for name in different)
    return finding(seen, explains=tuple(different))


@check
def settings_sources(situation: Situation) -> Outcome:
    """The four settings in the environment, .env, the Dockerfile, airflow.cfg, and the forms that are ignored."""
    troubles = [*_repeated(situation.env_file)]
    never_read: list[str] = []
    for variable in SETTINGS:
        troubles += _competing(variable, situation)
        for ending in ("CMD", "SECRET"):  # these work for Airflow's sensitive options alone; the four are not
            name = f"{variable}_{ending}"
            if name in situation.env and name not in situation.known_variables:
                never_read += [variable] if variable not in situation.env else []
                fix = f"set in .env: {variable}=<the value itself>"
                troubles.append((f"{name} is never read: this option takes no {ending}", fix))
    if not troubles:
        return ok("; ".join(_origin(name, situation) for name in SETTINGS))
    return finding("; ".join(seen for seen, _ in troubles), "\n".join(fix for _, fix in troubles), tuple(never_read))


def meant_name(name: str, situation: Situation) -> str:
    """The XCom setting that `name` was meant to be; empty when it is exact, or nothing of the kind."""
    if name in situation.known_variables or name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_")):
        return ""
    if name.upper().startswith("AIRFLOW__") and name.split("__")[1].upper() in _FOREIGN:
        return ""
    if re.search(r"_(CMD|SECRET)$", name) and name.rpartition("_")[0] in SETTINGS:
        return ""  # settings.sources speaks about these
    bare = name.lower().strip("_")
    if bare in _BARE:
        return _BARE[bare]
    flat = {_flat(variable): variable for variable in SETTINGS}
    close = difflib.get_close_matches(_flat(name), flat, n=1, cutoff=0.88)
    return flat[close[0]] if close else _by_tail(name)


def _flat(name: str) -> str:
    """Letters only, so that dots, case and underscores do not count."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _by_tail(name: str) -> str:
    """A name in a wrong section, such as AIRFLOW__CORE__XCOM_OBJECTSTORAGE_PATH."""
    if "XCOM" not in name.upper() or not name.upper().startswith(("AIRFLOW", "XCOM")):
        return ""
    tails = {_flat(option): variable for option, variable in _BARE.items()}
    close = difflib.get_close_matches(_flat(name.rpartition("__")[2]), tails, n=1, cutoff=0.85)
    return tails[close[0]] if close else ""


def _is_airflow(name: str) -> bool:
    return name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))


def _values(situation: Situation, bad: Callable[[str], bool]) -> dict[str, str]:
    """The values of the process and the raw ones of `.env` that are `bad`."""
    here = {
        name: value for name, value in situation.env.items() if name in SETTINGS or name.startswith("AIRFLOW_CONN_")
    }
    there = {line.name: line.raw for line in situation.env_file if _is_airflow(line.name)}
    return {name: value for values in (here, there) for name, value in values.items() if bad(value)}


def _quoted(value: str) -> bool:
    value = value.strip()
    return len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"


def _commented(value: str) -> bool:
    if _quoted(value):
        return False
    return value != value.strip() or re.search(r"\s#", _without_json(value)) is not None


def _uncommented(value: str) -> str:
    return re.split(r"\s+#", value, maxsplit=1)[0].strip() if _without_json(value) != "" else value.strip()


def _without_json(value: str) -> str:
    """A password may hold ` #`; a whole JSON object has no comment behind it."""
    try:
        return "" if isinstance(json.loads(value), dict) else value
    except ValueError:
        return value


def _shown(name: str, value: str) -> str:
    """A connection is never shown, not even masked: its form is the secret's."""
    return "<its value>" if name.startswith("AIRFLOW_CONN_") else value.strip()


def _difference(name: str, line: EnvLine, situation: Situation) -> str:
    if name not in situation.env:
        return f"{name} is in .env and not in this process"
    if name.startswith("AIRFLOW_CONN_"):
        return f"{name} differs between .env and this process"
    return f"{name} is {situation.env[name]!r} here and {line.value!r} in .env (line {line.number})"


def _competing(variable: str, situation: Situation) -> Iterator[tuple[str, str]]:
    """Other places that set `variable` to something else than the value that wins."""
    value = situation.setting(variable)
    section, option = SETTINGS[variable]
    file, config = situation.config_file
    own = config.get(section, option, fallback="")
    # Airflow 2 writes its default into a new airflow.cfg, where nobody chose it.
    default = str(situation.airflow.conf.get_default_value(section, option, fallback="") or "")
    if variable in situation.env and own and own not in (value, default, _PROVIDER_DEFAULTS.get(option, "")):
        seen = f"{option} is {value!r} by the environment and {own!r} in {file}: the environment wins"
        yield seen, f"remove from {file}: {option}"
    image = dict(re.findall(r"^\s*ENV\s+(AIRFLOW__\w+)(?:=|\s+)(.*?)\s*$", situation.read("Dockerfile"), re.M))
    here = {line.name: line.value for line in situation.env_file}
    if variable in image and variable in here and image[variable].strip("\"'") != here[variable]:
        seen = f"{variable} is {here[variable]!r} in .env and {image[variable]!r} in the Dockerfile: .env wins"
        yield seen, f"remove from Dockerfile: ENV {variable}"


def _origin(variable: str, situation: Situation) -> str:
    """Which source wins for a setting."""
    section, option = SETTINGS[variable]
    file, config = situation.config_file
    if variable in situation.env:
        return f"{option}: environment"
    return f"{option}: {file if config.get(section, option, fallback='') else 'default of Airflow'}"


def _repeated(lines: Iterable[EnvLine]) -> Iterator[tuple[str, str]]:
    first: dict[str, EnvLine] = {}
    for line in lines:
        before = first.setdefault(line.name, line)
        if before is not line and before.raw != line.raw and _is_airflow(line.name):
            seen = f"{line.name} stands twice in .env (lines {before.number} and {line.number}): the last one wins"
            yield seen, f"remove from .env: line {before.number}"
