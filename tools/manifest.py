"""What a project can hold: every file of the template's folder, with which answers it is there, and what it is for.

It is read from the names in the folder. The tests of bakes and the page of files are made from it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.baking import CLOUDS, CONFIG, PROJECT_TEMPLATE, Answers


@dataclass(frozen=True)
class Condition:
    """When a file is emitted: in words, and as a rule that the tests hold the template's own to."""

    words: str
    holds: Callable[[Answers], bool]


def is_custom(answers: Answers) -> bool:
    """Whether these answers ask for the custom class."""
    return bool(answers.get("xcom_backend") == "custom")


def has_clear(answers: Answers) -> bool:
    """Whether a project has a clear() of its own: only Airflow 2 calls one."""
    return bool(answers.get("clear_override")) and answers.get("airflow") == "2"


def cloud_of(answers: Answers) -> str:
    """Return the cloud, which is the first one if nobody chose."""
    return str(answers.get("cloud", CLOUDS[0]))


# By what stands in the name of a file.
CONDITIONS = {
    "": Condition("always", lambda _: True),
    "__custom": Condition("`xcom_backend=custom`", is_custom),
    "__own_class": Condition("`xcom_backend=object_storage`", lambda answers: not is_custom(answers)),
    "__clear_class": Condition(
        "`xcom_backend=object_storage`, `clear_override=true` and `airflow=2`",
        lambda answers: not is_custom(answers) and has_clear(answers),
    ),
    "__custom_clear": Condition(
        "`xcom_backend=custom` and `clear_override=true` and `airflow=2`",
        lambda answers: is_custom(answers) and has_clear(answers),
    ),
    "__clear_2": Condition("`clear_override=true` and `airflow=2`", has_clear),
    "__examples": Condition(
        "`examples=true` (and `xcom_backend=custom`)",
        lambda answers: is_custom(answers) and bool(answers.get("examples")),
    ),
    "__infra": Condition("`cloud` other than `local`", lambda answers: cloud_of(answers) != "local"),
    "__aws": Condition("`cloud=aws`", lambda answers: cloud_of(answers) == "aws"),
    "__gcp": Condition("`cloud=gcp`", lambda answers: cloud_of(answers) == "gcp"),
    "__azure": Condition("`cloud=azure`", lambda answers: cloud_of(answers) == "azure"),
    "__github": Condition("`ci=github`", lambda answers: answers.get("ci") == "github"),
    "__azurite": Condition(
        "the store or the mirror is on Azure",
        lambda answers: cloud_of(answers) == "azure" or str(answers.get("mirror", "")).startswith("abfs://"),
    ),
    "astro_sdk": Condition("`astro_sdk=true`", lambda answers: bool(answers.get("astro_sdk"))),
    "remote_execution": Condition("`remote_execution=true`", lambda answers: bool(answers.get("remote_execution"))),
    "explorer": Condition("`explorer=true`", lambda answers: bool(answers.get("explorer"))),
}
# One line about each file that has no first line of its own to say it.
ABOUT = {
    ".astro/config.yaml": "the project's name, for the Astro CLI",
    ".astro/dag_integrity_exceptions.txt": "Dag files that the Astro CLI's integrity test leaves out",
    ".astro/test_dag_integrity_default.py": "the Astro CLI's own test: `astro dev parse` runs it",
    ".dockerignore": "what stays out of the image",
    ".env": "the settings and the connection; not committed",
    ".env.example": "the committed twin of `.env`, without secrets",
    ".gitignore": "what Git leaves alone: secrets, caches, the local store",
    "Dockerfile": "Astro Runtime",
    "README.md": "the next five steps for your cloud, bucket and connection",
    "airflow.sh": "runs Airflow without the Astro CLI, with the settings of `.env`",
    "airflow_settings.yaml": "connections, pools and variables for local work only; empty",
    "constraints.txt": "every package that `requirements-dev.txt` brings, pinned: pip need not search",
    "dags/.airflowignore": "files in `dags/` that are no Dags",
    "dags/custom_xcom_backend_test.py": "pushes a small and a big object, pulls both, says where each came from",
    "include/astro_sdk_orders.csv": "what the astro-sdk Dag loads",
    "include/astro_sdk_totals.sql": "what the astro-sdk Dag transforms it with",
    "include/__init__.py": "makes `include` importable",
    "packages.txt": "Debian packages for the image; empty",
    "plugins/.gitkeep": "keeps the folder in Git",
    "include/xcom_doctor/checks.toml": "the texts of the checks: what you see, why, and the fix",
    "plugins/xcom_explorer/.airflowignore": "which of these files Airflow loads as a plugin: one",
    "plugins/xcom_explorer/common.js": "what the scripts of both pages share",
    "plugins/xcom_explorer/explorer.css": "the style of both pages, light and dark",
    "plugins/xcom_explorer/storage.html": 'the page "XCom storage"',
    "plugins/xcom_explorer/storage.js": "its script: a chart, tables, and what the doctor said",
    "plugins/xcom_explorer/values.html": 'the tab "XCom values"',
    "plugins/xcom_explorer/values.js": "its script: the list, and a view for each kind of value",
    "pyproject.toml": "settings of pytest, ruff and mypy",
    "requirements.txt": "what the XCom backend needs, pinned as tested",
    "requirements-dev.txt": "what the tests need, the emulator of your cloud among it",
    "requirements-no-deps.txt": "astro-sdk-python, installed without its dependencies",
    "tests/azurite-lock.json": "the exact Azurite that the tests install",
    # With Terraform and Remote Execution.
    ".github/workflows/ci.yml": "a workflow that tests, and deploys from the main branch",
    ".github/dependabot.yml": "proposes newer versions of the workflow's actions",
    "Dockerfile.client": "the image of the Remote Execution Agents",
    "packages-client.txt": "Debian packages for that image; empty",
    "requirements-client.txt": "what the agents need: the same as `requirements.txt`",
    "remote-execution/README.md": "the steps to agents that pass XComs through your store",
    "remote-execution/values.yaml": "Helm values: identity, XCom backend, settings",
    "infra/.gitignore": "keeps Terraform's state out of Git",
    "infra/README.md": "the store and its identity by Terraform, step by step",
    "infra/identity.tf": "who may use the store, with exactly the rights beside it",
    "infra/main.tf": "the store: private, encrypted, versioned, and it forgets what is old",
    "infra/outputs.tf": "the path and what else `.env` needs",
    "infra/policy.json": "the rights on S3",
    "infra/rights.json": "the rights on Azure",
    "infra/role.json": "the rights on Google Cloud",
    "infra/terraform.tfvars": "your answers and choices: the one place that `tofu apply` reads them from",
    "infra/tls-only.json": "refuses requests without TLS",
    "infra/variables.tf": "what you can change: names, days, who may use it",
}


@dataclass(frozen=True)
class EmittedFile:
    """A file of a baked project: its path, what it is for, and with which answers it is there."""

    path: str
    about: str
    condition: Condition

    @property
    def when(self) -> str:
        """Return its condition in words."""
        return self.condition.words

    @property
    def folder(self) -> str:
        """Return the first folder of the path, empty for the root."""
        return self.path.partition("/")[0] if "/" in self.path else ""


def files() -> list[EmittedFile]:
    """Return every file that a bake can have, by its path.

    :raises KeyError: if CONDITIONS lacks a condition, or neither a file's first line nor ABOUT says what it is for
    """
    return sorted(read_names(), key=lambda file: file.path)


def paths_for(answers: Answers) -> set[str]:
    """Return the paths of the files that a project with these answers has to have, and no other."""
    return {file.path for file in read_names() if file.condition.holds(answers)}


def read_names() -> Iterator[EmittedFile]:
    """Yield what each name in the template's folder says."""
    for file in PROJECT_TEMPLATE.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            for path, condition in rendered_names(file.relative_to(PROJECT_TEMPLATE).as_posix()):
                about = ABOUT[path] if path in ABOUT else docstring(file, path)
                yield EmittedFile(path, about, CONDITIONS[condition])


def rendered_names(name: str) -> Iterator[tuple[str, str]]:
    """Yield the paths that a file of the template can get, each with the condition in its name, if there is one."""
    of_cloud = "{{ cookiecutter.__rights_file }}"
    if of_cloud in name:
        for cloud, facts in CONFIG["_clouds"].items():
            if facts["rights_file"]:
                yield name.replace(of_cloud, facts["rights_file"]), f"__{cloud}"
        return
    conditions = re.findall(r"\{% if cookiecutter\.(\w+) %\}", name)
    path = re.sub(r"\{% (?:if .*?|endif) %\}", "", re.sub(r"\{\{ '(.*?)' \}\}", r"\1", name))
    yield path, conditions[0] if conditions else ""


def docstring(file: Path, path: str) -> str:
    """Return what the first line of a Python file says it is for.

    :raises KeyError: if it says nothing
    """
    if file.name.endswith(("py", "py{% endif %}")):
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        if text:
            return text.partition("\n")[0].strip("# ").rstrip(".").replace("``", "`")
    raise KeyError(f"{path}: say in ABOUT of tools/manifest.py what it is for")
