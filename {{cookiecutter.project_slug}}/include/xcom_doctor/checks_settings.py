"""Checks of settings that look right and are ignored, or read otherwise than written."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator

from include.xcom_doctor.registry import Outcome, check, finding, ok, skip, warning
from include.xcom_doctor.situation import BACKEND, COMPRESSION, PATH, SETTINGS, THRESHOLD, EnvLine, Situation

# The shortest forms people write without section and prefix.
_BARE = {"xcom_backend": BACKEND} | {name.rpartition("__")[2].lower(): name for name in (PATH, THRESHOLD, COMPRESSION)}
# Sections that other software owns; Airflow itself never reads them.
_FOREIGN = ("ASTRONOMER", "ASTRO", "XCOM_BACKEND", "XCOM_DOCTOR")


@check(
    "settings.names",
    title="No variable is close to a setting, yet not its name",
    symptom="A setting seems to have no effect: XComs stay in the database, or are not compressed; no error anywhere",
    why="Airflow ignores a variable whose name it does not know, without a word.",
    mend="write the name as Airflow knows it",
)
def settings_names(situation: Situation) -> Outcome:
    """Every variable near one of the four XCom settings, in the environment and in `.env`."""
    names = {*situation.env, *(line.name for line in situation.env_file)}
    wrong = {name: meant for name in sorted(names) if (meant := meant_name(name, situation))}
    if not wrong:
        return ok("every AIRFLOW__ variable has a name that Airflow knows")
    for meant in wrong.values():
        situation.blame(meant, "settings.names")
    seen = "; ".join(f"{name} is ignored: Airflow reads {meant}" for name, meant in wrong.items())
    return finding(seen, "\n".join(f"rename in .env: {name} -> {meant}" for name, meant in wrong.items()))


@check(
    "settings.other_names",
    title="No other Airflow variable is misspelt",
    symptom="Some other AIRFLOW__ variable has no effect",
    why="Airflow ignores a variable whose name it does not know, without a word.",
    mend="write the name as Airflow knows it",
)
def settings_other_names(situation: Situation) -> Outcome:
    """Variables near any other known setting: only a warning, for nothing of XCom depends on them."""
    known = known_variables(situation)
    wrong = {}
    for name in sorted(situation.env):
        if not name.startswith("AIRFLOW__") or name in known or name.split("__")[1] in _FOREIGN:
            continue
        close = difflib.get_close_matches(name, known, 1, 0.9)
        if close and not meant_name(name, situation):
            wrong[name] = close[0]
    if not wrong:
        return ok("nothing looks misspelt")
    seen = "; ".join(f"{name} is ignored: Airflow knows {meant}" for name, meant in wrong.items())
    return warning(seen, "\n".join(f"rename in .env: {name} -> {meant}" for name, meant in wrong.items()))


@check(
    "settings.quotes",
    title="No value carries quotes",
    symptom="`Failed to convert value to int`, a class or path that `does not exist` although it reads right, in "
    "`astro dev pytest` only",
    why="`docker --env-file` (astro dev pytest) keeps quotes as part of the value; compose and astro "
    "dev start strip them.",
    mend="write the value without quotes, on one line",
)
def settings_quotes(situation: Situation) -> Outcome:
    """Quotes at both ends of a value, in the process or in the raw text of `.env`."""
    bad = {name: value for name, value in _relevant(situation.env.items()) if _quoted(value)}
    bad |= {line.name: line.raw for line in situation.env_file if _is_airflow(line.name) and _quoted(line.raw)}
    if not bad:
        return ok("no quotes around values")
    for name in bad:
        situation.blame(name, "settings.quotes")
    shown = ", ".join(f"{name}={_shown(name, value)}" for name, value in bad.items())
    mends = "\n".join(f"set in .env: {name}={_shown(name, value.strip()[1:-1])}" for name, value in bad.items())
    return finding(shown, mends)


@check(
    "settings.comments",
    title="No value carries a comment or blanks at its ends",
    symptom="`Failed to convert value to int: 1000 # bytes`, or a bucket that `does not exist`",
    why="`docker --env-file` keeps everything after the equals sign, comments and blanks included.",
    mend="put the comment on a line of its own",
)
def settings_comments(situation: Situation) -> Outcome:
    """An inline comment or blanks that became part of a value."""
    bad = {name: value for name, value in _relevant(situation.env.items()) if _commented(value)}
    bad |= {line.name: line.raw for line in situation.env_file if _is_airflow(line.name) and _commented(line.raw)}
    if not bad:
        return ok("no comments or blanks in values")
    for name in bad:
        situation.blame(name, "settings.comments")
    shown = ", ".join(f"{name}={_shown(name, value)!r}" for name, value in bad.items())
    return finding(
        shown, "\n".join(f"set in .env: {name}={_shown(name, _uncommented(value))}" for name, value in bad.items())
    )


@check(
    "settings.env_file",
    title="This process sees what .env says",
    symptom="You changed .env, and Airflow works as before",
    why="`.env` is read when the containers start, and only by astro; a plain shell, a deployment and "
    "an agent never see it.",
    mend="restart so that .env is read again: astro dev restart",
)
def settings_env_file(situation: Situation) -> Outcome:
    """Compare `.env` with the environment; values with quotes or comments have their own checks."""
    lines = {line.name: line for line in situation.env_file if _is_airflow(line.name)}
    if not lines:
        return skip("no AIRFLOW variable in a .env here (a deployment or an agent has none)")
    different = [name for name, line in lines.items() if situation.env.get(name) not in (line.value, line.raw)]
    if not different:
        return ok(f"{len(lines)} variables are the same in .env and in this process")
    for name in different:
        situation.blame(name, "settings.env_file")
    unseen = [name for name in different if name not in situation.env]
    if len(unseen) == len(lines):
        return finding(
            f"this process sees none of the {len(lines)} variables in .env",
            "run it where Airflow runs (astro dev bash), or: python -m include.xcom_doctor --env-file .env",
        )
    return finding("; ".join(_difference(name, lines[name], situation) for name in different))


@check(
    "settings.sources",
    title="Each setting comes from one place",
    symptom="You change a setting in one file, and another one wins",
    why="Airflow takes the environment first, then airflow.cfg; in a container .env goes over the "
    "Dockerfile's ENV, and "
    "astro's standalone mode ignores the Dockerfile's ENV altogether.",
    mend="keep the value in .env and delete the other one",
)
def settings_sources(situation: Situation) -> Outcome:
    """The four settings in the environment, .env, the Dockerfile, airflow.cfg, and the forms that are ignored."""
    troubles: list[tuple[str, str]] = []
    for variable in SETTINGS:
        troubles.extend(_competing(variable, situation))
        troubles.extend(_never_read(variable, situation))
    troubles.extend(_repeated(situation.env_file))
    if not troubles:
        return ok("; ".join(_origin(name, situation) for name in SETTINGS))
    return finding("; ".join(seen for seen, _ in troubles), "\n".join(mend for _, mend in troubles))


def meant_name(name: str, situation: Situation) -> str:
    """The XCom setting that `name` was meant to be; empty when it is exact, or nothing of the kind."""
    if name in known_variables(situation) or name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_")):
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


def known_variables(situation: Situation) -> frozenset[str]:
    """Every variable that this Airflow reads, deprecated ones included."""
    known = situation.notes.get("known variables")
    if known is None:
        conf = situation.airflow.conf
        pairs = {(s, o) for s, section in conf.configuration_description.items() for o in section.get("options", {})}
        pairs |= {(old[0], old[1]) for old in conf.deprecated_options.values()}
        known = frozenset(_variable(*pair) for pair in pairs) | frozenset(SETTINGS)
        known |= {f"{_variable(*pair)}{end}" for pair in conf.sensitive_config_values for end in ("_CMD", "_SECRET")}
        situation.notes["known variables"] = known
    return known


def _variable(section: str, option: str) -> str:
    return f"AIRFLOW__{section.upper().replace('.', '_')}__{option.upper()}"


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


def _relevant(items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in items if name in SETTINGS or name.startswith("AIRFLOW_CONN_"))


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


# Of common-io 1.11.0: Airflow 2.11 does not tell a provider's defaults. All other options have none.
_PROVIDER_DEFAULTS = {"xcom_objectstorage_threshold": "-1"}


def _competing(variable: str, situation: Situation) -> Iterator[tuple[str, str]]:
    """Other places that set `variable` to something else than the value that wins."""
    value = situation.setting(variable)
    section, option = SETTINGS[variable]
    file, config = situation.config_file
    own = config.get(section, option, fallback="")
    if variable in situation.env and own and own not in (value, *_defaults(section, option, situation)):
        yield (
            f"{option} is {value!r} by the environment and {own!r} in {file}: the environment wins",
            f"remove from {file}: {option}",
        )
    image = dict(re.findall(r"^\s*ENV\s+(AIRFLOW__\w+)(?:=|\s+)(.*?)\s*$", situation.read("Dockerfile"), re.M))
    set_here = {line.name: line.value for line in situation.env_file}
    if variable in image and variable in set_here and image[variable].strip("\"'") != set_here[variable]:
        yield (
            f"{variable} is {set_here[variable]!r} in .env and {image[variable]!r} in the Dockerfile: .env wins",
            f"remove from Dockerfile: ENV {variable}",
        )


def _defaults(section: str, option: str, situation: Situation) -> tuple[str, str]:
    """What Airflow takes without a setting: Airflow 2 writes it into a new airflow.cfg, where nobody chose it."""
    default = str(situation.airflow.conf.get_default_value(section, option, fallback="") or "")
    return default, _PROVIDER_DEFAULTS.get(option, "")


def _never_read(variable: str, situation: Situation) -> Iterator[tuple[str, str]]:
    """`_CMD` and `_SECRET` work for Airflow's sensitive options alone; these four are not."""
    for name in (f"{variable}_CMD", f"{variable}_SECRET"):
        if name in situation.env and name not in known_variables(situation):
            if variable not in situation.env:
                situation.blame(variable, "settings.sources")
            yield (
                f"{name} is never read: this option takes no {name.rpartition('_')[2]}",
                f"set in .env: {variable}=<the value itself>",
            )


def _origin(variable: str, situation: Situation) -> str:
    """Which source wins for a setting."""
    section, option = SETTINGS[variable]
    file, config = situation.config_file
    if variable in situation.env:
        return f"{option}: environment"
    if config.get(section, option, fallback=""):
        return f"{option}: {file}"
    return f"{option}: Airflow's default"


def _repeated(lines: list[EnvLine]) -> Iterator[tuple[str, str]]:
    first: dict[str, EnvLine] = {}
    for line in lines:
        before = first.setdefault(line.name, line)
        if before is not line and before.raw != line.raw and _is_airflow(line.name):
            yield (
                f"{line.name} stands twice in .env (lines {before.number} and {line.number}): the last one wins",
                f"remove from .env: line {before.number}",
            )
