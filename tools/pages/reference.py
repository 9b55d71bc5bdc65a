"""Writes pages of docs/reference/ from what they are about, and the measured tables of docs/how-to/.

`make update` runs it. The tests hold that nothing on these pages is out of date.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from tools import manifest, tested_with
from tools.pages import benchmarks, explorer, home
from tools.pages.benchmarks import MB, PAYLOADS, Measured

ROOT = Path(__file__).parents[2]

DOCS = ROOT / "docs"
PROJECT = ROOT / "{{cookiecutter.project_slug}}"
PACKAGE = PROJECT / "include" / "xcom_backend"
MADE = "<!-- made by `make update`: do not edit -->"
MEASURED_PAGES = ("choose", "dataframes", "explorer", "fan-out", "move")
MEASURED = re.compile(r"(<!-- measured, by make update: (\w+) -->\n).*?(<!-- end of measured -->)", re.DOTALL)

CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure", "local": "Local folder"}


def main() -> None:
    """Write all pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8", newline="\n")


def pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    template = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    found = benchmarks.Measured(benchmarks.read()["measured"])
    made = {
        DOCS / "reference" / "questions.md": "".join(questions(template)),
        DOCS / "reference" / "settings.md": "".join(settings_page(read_settings())),
        DOCS / "reference" / "files.md": "".join(files_page(manifest.files())),
        DOCS / "reference" / "versions.md": "".join(versions(template)),
    }
    for page in (ROOT / "README.md", DOCS / "index.md", *(DOCS / "how-to" / f"{name}.md" for name in MEASURED_PAGES)):
        made[page] = with_measured(page.read_text(encoding="utf-8"), found)
    return made


def row(*cells: object) -> str:
    """Return a row of a Markdown table; a bar in a cell would end it."""
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |\n"


def table(*head: str) -> str:
    """Return the first two lines of a Markdown table."""
    return row(*head) + row(*("---" for _ in head))


# The questions.


def questions(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page about the questions, the rules of their answers, and what does not go together."""
    yield f"""# Every question

{MADE}

`cookiecutter` asks seven questions, a local folder six. After a bad answer it tells the rule, and asks again.
No question asks for a secret.

{questions_table(dict(template), asked=True)}
## Not asked

These have answers that suit a first project. Give another one as `name=value` behind the command, in
[`default_context`](https://cookiecutter.readthedocs.io/en/stable/advanced/user_config.html) of a config file, or by
`--replay`:

```bash
uvx cookiecutter {template["_address"]} airflow=2 ci=github
```

{questions_table(dict(template), asked=False)}
With `--no-input` nothing is asked, and all are checked before anything is written. With `--accept-hooks no`, and by
`cruft create` without `--no-input`, all are asked.

## Choices

"""
    for name, choices in template.items():
        labels = template["__prompts__"].get(name)
        if name.startswith("_") or not isinstance(choices, list) or not isinstance(labels, dict):
            continue
        yield f"### {name}\n\n{table('Choice', 'Means')}"
        for choice in choices:
            words = re.sub(rf"^{re.escape(choice)}\s+- ", "", str(labels[choice]))
            yield row(f"`{choice}`", words)
        yield "\n"
    yield f"## Rules\n\n{table('Question', 'Rule', 'A good answer')}"
    for name, rules in template["_rules"].items():
        for _, rule, example in rules:
            yield row(f"`{name}`", rule, f"`{example}`")
    yield "\nThe rules for `bucket` are those of the cloud:\n\n"
    yield table("Cloud", "Rule")
    for cloud, facts in template["_clouds"].items():
        for _, rule in facts["bucket_rules"]:
            yield row(f"`{cloud}`", rule)
    yield f"\n## What does not go together\n\n{table('Answers', 'Why', 'Instead')}"
    for refused in template["_refused"]:
        yield row(" and ".join(map(refused_words, refused["answers"].items())), refused["rule"], refused["example"])


def questions_table(template: dict[str, Any], *, asked: bool) -> str:
    """Return the questions that are asked, or those that are not, with defaults and choices as a Markdown table."""
    rows = ["| Question | Asks for | Default | Choices |", "| --- | --- | --- | --- |"]
    for name, default in template.items():
        if name.startswith("_") or (name in template["__prompts__"]["__not_asked__"]) == asked:
            continue
        label = template["__prompts__"][name]
        question = label["__prompt__"] if isinstance(label, dict) else label
        choices = ", ".join(f"`{choice}`" for choice in default) if isinstance(default, list) else ""
        if isinstance(default, bool):
            choices = "`true`, `false`"
        first = (
            default[0] if isinstance(default, list) else str(default).lower() if isinstance(default, bool) else default
        )
        rows.append(f"| `{name}` | {question} | {default_words(name, str(first), template)} | {choices} |")
    return "\n".join(rows) + "\n"


def default_words(name: str, default: str, template: dict[str, Any]) -> str:
    """Return a question's default, where it depends on the cloud one for each cloud."""
    if "_clouds" in default:
        return "<br>".join(f"`{cloud[name]}` ({key})" for key, cloud in template["_clouds"].items())
    if "slugify" in default:
        return "from the project name"
    return f"`{default}`" if default else "empty"


def refused_words(answer: tuple[str, str]) -> str:
    """Return an answer of the table of refused combinations as people write it: `(?!none$).+` is all but `none`."""
    name, pattern = answer
    if but := re.fullmatch(r"\(\?!(\w+)\$\)\.\+", pattern):
        return f"`{name}` other than `{but[1]}`"
    if schemes := re.fullmatch(r"\(?([\w|]+)\)?://\.\*", pattern):
        return " or ".join(f"`{name}={scheme}://…`" for scheme in schemes[1].split("|"))
    return " or ".join(f"`{name}={choice.lower()}`" for choice in pattern.split("|"))


# The settings.


@dataclass(frozen=True)
class Setting:
    """A setting of an XCom backend: its variable, its default as text, and a good value."""

    section: str
    name: str
    default: str
    good: str

    @property
    def variable(self) -> str:
        """Return the environment variable that sets it."""
        return f"AIRFLOW__{self.section.replace('.', '_')}__{self.name}".upper()


# What each setting does. A setting of settings.py that is not here, and one here that is not there, is an error.
EFFECTS = {
    "xcom_objectstorage_path": (
        "Where objects go: `scheme://connection_id@bucket/folder`. With `file://` a folder: relative to the working "
        "directory, or absolute with a third slash. Give each deployment a folder of its own"
    ),
    "xcom_objectstorage_threshold": (
        "Bytes: -1 keeps every XCom in the metadata database, 0 sends every XCom to the store. Otherwise the provider "
        "sends a value of so many bytes **or more**, the custom class a value of **more** bytes"
    ),
    "xcom_objectstorage_compression": (
        "`gzip`, `zip`, `bz2`, `lzma`, `xz`, `snappy`, `zstd` or `lz4`; the last three need a package, which the "
        "template adds. Empty: none. Objects that were written before keep theirs, and are still read"
    ),
    "mirror": "A second path: each object is written to both stores at once ([how](../how-to/two-stores.md))",
    "mirror_writes": "`all`: a push fails if one copy fails. `best_effort`: it warns, and fails only if both fail",
    "former_paths": "Paths, by comma, to which nothing is written any more. XComs there are still read and purged",
    "purge_failures": (
        "`log`: an object that cannot be deleted is an error in the task log. `raise`: the task fails. "
        "`include/xcom_clear.py` reads it too"
    ),
    "allowed_codecs": "Names, by comma: no other type is pushed or pulled ([how](../how-to/restrict-types.md))",
    "codecs": "Import paths, by comma, of [codecs of your own](../how-to/codecs.md), asked first",
    "summary": "`false` keeps type, shape, columns and first characters of a value out of the metadata database",
    "allow_anonymous": "`true` for a store that really is public. Otherwise missing credentials are an error",
    "retry_deadline": (
        "Seconds for all tries of one request together, and one more for each MiB that it moves. Only errors that may "
        "pass are tried again. `include/xcom_clear.py` reads it too"
    ),
    "max_decoded_bytes": "The most bytes that an object may have, and may become when it is decompressed: 16 GiB",
    "data_format": (
        "How plain data (dict, list, numbers, text) is stored: `json`, which `jq` reads, or `msgpack`, smaller and "
        "faster to write"
    ),
    "strict": (
        "`true` refuses what comes back as the built-in type that it is a subclass of: a `namedtuple`, an `IntEnum`, "
        "a polars `LazyFrame`"
    ),
}
# What an empty default means, where it is not "none".
NO_DEFAULT = {
    "xcom_objectstorage_path": "none: required",
    "allowed_codecs": "all",
    "xcom_objectstorage_compression": "none",
}


def read_settings() -> list[Setting]:
    """Return every setting of the custom class, from the source of its settings.py: to import that takes Airflow."""
    (file,) = PACKAGE.glob("*settings.py*")
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    (settings,) = (node for node in nodes if isinstance(node, ast.ClassDef) and node.name == "Settings")
    found = [read_setting(node) for node in settings.body if isinstance(node, ast.AnnAssign)]
    return sorted(found, key=lambda setting: list(EFFECTS).index(setting.name))


def read_setting(described: ast.AnnAssign) -> Setting:
    """Return the setting of a field: its default, its converter, its rule, a good value, and the provider's name."""
    if not (isinstance(described.value, ast.Call) and isinstance(described.target, ast.Name)):
        raise TypeError(f"{ast.unparse(described)}: every setting is described by _option")
    default, _, _, good, *provider = described.value.args
    name = ast.literal_eval(provider[0]) if provider else described.target.id
    section = "common.io" if provider else "xcom_backend"
    return Setting(section, name, ast.literal_eval(default), ast.literal_eval(good))


def settings_page(settings: list[Setting]) -> Iterator[str]:
    """Yield the page about all settings."""
    yield f"""# Every setting

{MADE}

Settings are environment variables. On your machine they stand in `.env`, on a Deployment among its environment
variables, for Remote Execution Agents in the Helm values. Every process that runs tasks needs the same ones.

Airflow ignores a variable whose name it does not know, without a word. The [doctor](troubleshooting.md) finds such
names, and the custom class refuses those that begin with `AIRFLOW__XCOM_BACKEND__`.

## For every XCom backend
"""
    yield setting_block(
        "AIRFLOW__CORE__XCOM_BACKEND",
        "include.xcom_object_storage.XComObjectStorageBackend",
        "The class that stores XComs: [which there are](#which-class)",
        "Airflow's own class",
    )
    yield setting_block(
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES",
        "airflow.* include.my_types.Interval",
        "Patterns, by space, of classes that Airflow may import to read a value ([how](../how-to/restrict-types.md))",
        "`airflow.*`",
    )
    yield """
### Connections

`AIRFLOW_CONN_<ID>`, with the connection ID in capitals, is a connection as one line of JSON
([how](../tutorial/3-connection.md)). A worker finds it here before it asks for one made in the UI.

## For object storage

The provider's class and the custom class read all three.
"""
    yield from (block_of(setting) for setting in settings if setting.section == "common.io")
    yield """
The provider has three more whose names look alike, `AIRFLOW__COMMON_IO__STATE_STORE_OBJECTSTORAGE_…`. They are about
the state of tasks and assets, not about XComs.

## Only for the custom class
"""
    yield from (block_of(setting) for setting in settings if setting.section == "xcom_backend")
    yield f"""
## Which class

{table("`AIRFLOW__CORE__XCOM_BACKEND`", "When")}"""
    yield row(
        "`include.xcom_object_storage.XComObjectStorageBackend`",
        "`xcom_backend=object_storage`: the provider's, with [the keys that Airflow reads](hooks.md) left in the "
        "database, and [without its losses](../explanation/compression.md)",
    )
    yield row("`include.xcom_clear.XComObjectStorageBackend`", "the same, with `clear_override` on Airflow 2")
    yield row("`include.xcom_backend.XComBackend`", "`xcom_backend=custom`: [the custom class](custom-backend.md)")
    yield f"""
## For emulators

{table("Setting", "Value", "Effect")}"""
    yield row(
        "`GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT`",
        "`false`",
        "Keeps gcsfs from asking an emulator of Google Cloud Storage by gRPC, which takes minutes for each push",
    )


def block_of(setting: Setting) -> str:
    """Return the block of a setting that a class of the project reads."""
    default = NO_DEFAULT.get(setting.name, f"`{setting.default}`" if setting.default else "none")
    return setting_block(setting.variable, setting.good, EFFECTS[setting.name], default)


def setting_block(variable: str, good: str, effect: str, default: str) -> str:
    """Return a setting with a heading that the search finds, a line to copy, its effect and its default."""
    heading = variable.removeprefix("AIRFLOW__").partition("__")[2].lower()
    return f"\n### `{heading}`\n\n```ini\n{variable}={good}\n```\n\n{effect}.\n\nDefault: {default}.\n"


# The emitted files.


FOLDERS = {
    "": "The root",
    ".astro": ".astro",
    ".github": ".github",
    "dags": "dags",
    "include": "include",
    "infra": "infra",
    "plugins": "plugins",
    "remote-execution": "remote-execution",
    "tests": "tests",
}


def files_page(files: Iterable[manifest.EmittedFile]) -> Iterator[str]:
    """Yield the page about all files."""
    yield f"""# Every file of your project

{MADE}

Files that `astro dev init` would write are all here, so every command of the Astro CLI works. A file that is not there
"always" is there with the answers in the last column.
"""
    listed = list(files)
    for folder, title in FOLDERS.items():
        rows = [file for file in listed if file.folder == folder]
        if rows:
            heading = title if not folder else f"`{title}/`"
            yield f"\n## {heading}\n\n{table('File', 'What it is for', 'When')}"
            yield from (row(f"`{file.path}`", file.about, file.when) for file in rows)
    unknown = {file.folder for file in listed} - set(FOLDERS)
    if unknown:
        raise KeyError(f"{unknown}: put these folders into FOLDERS of tools/pages/reference.py")


# What was tested.


def versions(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page about versions: what was tested together, and what a bake pins."""
    yield f"""# Versions: what was tested with what

{MADE}

Each line is a project that was baked, installed, and tested by its own tests on real Airflow.
`make record ONLY=tested-with` runs them. The pins resolve together on each Python of the Runtime images below.

{tested_with.table()}
## The Astro CLI

The real one opened a bake for aws, without Docker: `make e2e ONLY=astro_cli`. What it downloads from Astronomer came
from a stand-in on loopback, and Airflow from the public package index.

{tested_with.cli_table()}
## The Astro CLI with Docker

`make record ONLY=docker` ran each line from the first command of the project's README to the last: `astro dev start`,
`ps`, the test Dag, with its rows looked at in Postgres and its objects in the store, the doctor in `astro dev bash`,
`pytest`, `parse` (and of a broken Dag), `restart` after a change of `.env`, `stop`, `kill`. Afterwards git saw no new
file, and no container, volume or network was left.

The stand-ins are Debian with Airflow at the Runtime's version, and the Runtime's labels, user and build steps; they
install `requirements.txt` with uv or plain pip. *Start* is `astro dev start`, with the build of the image. The machine,
of 2 cores, had other work to do: its load is the average over a quarter of an hour.

{tested_with.docker_table()}
{tested_with.not_run_with_docker()}
## What a bake pins

{table("Package", "`airflow=3`", "`airflow=2`")}"""
    three, two = (template["_airflow"][key] for key in ("3", "2"))
    yield row("Airflow", three["version"], two["version"])
    yield row("Runtime image", f"`{three['runtime']}`", f"`{two['runtime']}`")
    yield row("Python of that image", *(", ".join(one["runtime_pythons"]) for one in (three, two)))
    yield row("Python for the tests", three["python_words"], two["python_words"])
    yield row("`apache-airflow-providers-common-io`", three["common_io"], two["common_io"])
    yield f"\n{table('With', 'Also')}"
    for cloud, facts in template["_clouds"].items():
        for requirement in facts["requirements"]:
            yield row(f"`cloud={cloud}`", f"`{requirement}`")
    for compression, requirements in template["_compressions"].items():
        for requirement in requirements:
            yield row(f"`compression={compression}`", f"`{requirement}`")
    for key in ("3", "2"):
        pins = [*template["_backends"]["custom"][key], *(template["_airflow"][key]["requirements"])]
        yield row(f"`xcom_backend=custom`, `airflow={key}`", ", ".join(f"`{pin}`" for pin in pins))
    yield row("`astro_sdk=true`", ", ".join(f"`{pin}`" for pin in template["_astro_sdk"]["requirements_no_deps"]))


# The measured tables.

BACKENDS = {"provider": "provider's", "custom": "custom", "custom+zstd": "custom, `zstd`"}
OLDER = {"csv": "`S3XComBackend`", "custom": "custom"}
COUNTED = {"provider": "Provider's class", "custom": "Custom class"}
# What a line says, the case that was measured, which of its numbers, and the unit that the line is in.
COLD = [
    ("the first pull of 100 bytes that live in the database, ms", "cold/row/s3/{}", "seconds", 1000),
    ("the first push and pull of 1 MB, ms", "cold/object/s3/{}", "seconds", 1000),
    ("the same on Azure, ms", "cold/object/abfs/{}", "seconds", 1000),
    ("the same on Google Cloud Storage, ms", "cold/object/gs/{}", "seconds", 1000),
    ("the same in a folder, ms", "cold/object/file/{}", "seconds", 1000),
]
MANY = [
    ("pushes of 200 KB a second, after 1,800 others", "s3/many/{}", "last", 1),
    ("requests of a push of 1 MB", "s3/requests/{}", "push", 1),
    ("requests of a pull of 1 MB", "s3/requests/{}", "pull", 1),
    ("requests of a purge of 1 MB", "s3/requests/{}", "purge", 1),
]


def with_measured(page: str, found: Measured) -> str:
    """Return a page with its measured tables made anew, each between two comments that name it."""
    tables = {
        "values": lambda: values_table(found, PAYLOADS, BACKENDS),
        "frame": lambda: values_table(found, ["frame"], BACKENDS),
        "csv": lambda: values_table(found, ["frame"], OLDER),
        "cold": lambda: counts_table(found, COLD, {"default": "Airflow's own class", **COUNTED}),
        "README": lambda: numbers_table(found),
        "home": lambda: home_table(found),
        "many": lambda: counts_table(found, MANY, COUNTED),
        "explorer": explorer.table,
    }
    return MEASURED.sub(lambda match: match[1] + "".join(tables[match[2]]()) + match[3], page)


def values_table(found: Measured, payloads: Iterable[str], classes: Mapping[str, str]) -> Iterator[str]:
    """Yield what a push and a pull of these values took on S3."""
    yield table("Value", "Class", "Push, ms", "Pull, ms", "Added memory, MB", "Stored, MB")
    for payload in payloads:
        for name, words in classes.items():
            push, pull = (f"s3/{payload}/{name}/{action}" for action in ("push", "pull"))
            if push not in found.found:
                continue
            if not found.found[push]:
                yield row(PAYLOADS[payload], words, "refuses", "", "", "")
                continue
            times = [f"{found.get(case) * 1000:,.1f}" for case in (push, pull)]
            memory = " / ".join(f"{found.get(case, 'added') / MB:,.0f}" for case in (push, pull))
            yield row(PAYLOADS[payload], words, *times, memory, f"{found.get(push, 'stored') / MB:,.1f}")


def numbers_table(found: Measured) -> Iterator[str]:
    """Yield the three numbers of README.md: wrong values and hangs under faults, and the times of a DataFrame."""
    yield table(f"In {len(home.faults())} runs, each with a fault in store, network or Airflow", *COUNTED.values())
    for words, kind in (("the next task gets a wrong value", "WRONG VALUE"), ("the task hangs", "HANGS")):
        yield row(words, *(home.outcomes(kind)[name] for name in COUNTED))
    times = (
        " / ".join(f"{found.get(f's3/frame/{name}/{action}') * 1000:,.0f}" for action in ("push", "pull"))
        for name in COUNTED
    )
    yield row("Without a fault: push / pull a DataFrame of a million rows, ms", *times)
    yield from age_of_numbers()


def home_table(found: Measured) -> Iterator[str]:
    """Yield the table of docs/index.md."""
    yield table("Compared", "Airflow's own class", *COUNTED.values())
    yield from (row(*cells) for cells in home.rows(found))
    yield from age_of_numbers()


def age_of_numbers() -> Iterator[str]:
    """Yield what the record of the benchmarks says of its age."""
    note = json.loads(benchmarks.RECORD.read_text(encoding="utf-8")).get("note")
    if note:
        yield f"\n{note}\n"


def counts_table(
    found: Measured, wanted: Iterable[tuple[str, str, str, float]], columns: Mapping[str, str]
) -> Iterator[str]:
    """Yield lines of single numbers; a line that the last record does not have is left out."""
    yield table("What", *columns.values())
    for words, case, number, unit in wanted:
        values = [found.get(case.format(name), number) * unit for name in columns]
        if not all(map(isnan, values)):
            yield row(words, *(plain(value) for value in values))


def plain(number: float) -> str:
    """Return a number with two digits that count: 1,670 is 1,700, and 0.0421 is 0.042."""
    return "" if isnan(number) else f"{float(f'{number:.2g}'):,g}"


if __name__ == "__main__":
    main()
