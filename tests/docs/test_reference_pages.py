"""The pages of docs/reference/ say what is so: made anew they are the same, and what they list is all there is."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tools import manifest
from tools.baking import CONFIG as TEMPLATE
from tools.baking import INTERACTING, PROJECT_TEMPLATE, ROOT, Answers, Bake, is_refused, paths_of, product, run
from tools.environments import NoPythonError, project_environment
from tools.pages import address, reference

HOOKS_PAGE = ROOT / "docs" / "reference" / "hooks.md"
# What the provider's empty default means, and the custom class says in a word.
EMPTY = {"xcom_objectstorage_compression": "none"}
PAGES = {path.name: path for path in reference.pages()}
# Every file that any answers give is in one of these: it makes no difference which compression it is.
FEW = [
    answers
    for answers in product()
    if answers["compression"] == "zip" or (answers["compression"] == "none" and len(answers) > len(INTERACTING))
]
ASK_AIRFLOW = """
import json
from airflow.configuration import conf
from airflow.providers.common.io.get_provider_info import get_provider_info
try:
    from airflow.sdk.bases.xcom import BaseXCom
except ImportError:
    from airflow.models.xcom import BaseXCom
options = get_provider_info()["config"]["common.io"]["options"]
hooks = %r
print(json.dumps({
    "provider": {name: option["default"] for name, option in options.items() if name.startswith("xcom_")},
    "classes": conf.get_default_value("core", "allowed_deserialization_classes"),
    "hooks": {name: hasattr(BaseXCom, name) for name in hooks},
}))
"""


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    section = page.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:]]


def test_every_command_that_bakes_has_the_address_of_the_template() -> None:
    pages = address.pages()
    assert {"README.md", "0-local.md", "1-bucket.md"} <= {page.name for page in pages}
    assert [page.name for page, text in pages.items() if page.read_text(encoding="utf-8") != text] == [], "make update"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_anew_is_the_same(name: str) -> None:
    assert PAGES[name].read_text(encoding="utf-8") == reference.pages()[PAGES[name]], "make update"


def test_the_page_of_files_names_every_baked_file_and_no_other(bake: Bake) -> None:
    named = set(re.findall(r"^\| `(\S+)` \|", PAGES["files.md"].read_text(encoding="utf-8"), re.MULTILINE))
    baked = {path for answers in FEW for path in paths_of(bake(**answers))}
    assert named == baked


@pytest.mark.parametrize("answers", [{}, {"xcom_backend": "custom", "cloud": "azure"}, {"airflow": "2"}])
def test_the_page_of_files_says_what_is_always_there(answers: Answers, bake: Bake) -> None:
    assert not any(is_refused(answers, row) for row in TEMPLATE["_refused"])
    always = {file.path for file in manifest.files() if file.when == "always"}
    assert always <= set(paths_of(bake(**answers)))


def test_the_page_of_settings_has_every_setting_that_the_custom_class_knows() -> None:
    (file,) = (PROJECT_TEMPLATE / "include" / "xcom_backend").glob("*settings.py*")
    _, _, fields = file.read_text(encoding="utf-8").partition("class Settings:")
    names = set(re.findall(r"^    (\w+): ", fields.partition("@property")[0], re.MULTILINE))
    found = {setting.name for setting in reference.read_settings() if setting.section == "xcom_backend"}
    assert found == names - {"base", "threshold", "compression"}
    assert {setting.name for setting in reference.read_settings()} == set(reference.EFFECTS)


def test_the_page_of_the_record_has_its_fields_and_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    share_include(monkeypatch)
    page = ROOT / "docs" / "reference" / "reference-record.md"
    record = sample_record()
    types = {int: "number", str: "string", list: "list of strings", dict: "object", type(None): "string or null"}
    assert {name.strip("`"): kind for name, kind, _ in rows(page, "## Its fields")} == {
        name: types[type(value)] for name, value in record.items()
    }


def test_the_example_of_the_record_is_one_and_as_long_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    share_include(monkeypatch)
    text = (ROOT / "docs" / "reference" / "reference-record.md").read_text(encoding="utf-8")
    example = json.loads(text.partition("## An example\n\n```json\n")[2].partition("```")[0])
    module = load_reference()
    told = {"is": module.words(example), "summary": example["summary"]}
    assert module.Reference.from_json(example).to_json() | told == example
    assert f"That is {len(json.dumps(example))} bytes of JSON" in text


def share_include(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the module import what it shares with the rest of include/, and leave no bytecode to be baked."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(PROJECT_TEMPLATE)


def sample_record() -> dict[str, Any]:
    """Return the record of a value, as include/xcom_backend/reference.py writes it before Airflow 3.4."""
    module = load_reference()
    coordinates = module.Coordinates("dag", "run", "task", -1, "key")
    written = module.Reference(("file:///x",), "json", "none", 2, 2, "0" * 64, coordinates, None, {"type": "dict"})
    return dict(written.to_json())


def load_reference() -> Any:
    """Return the module include/xcom_backend/reference.py, which needs no Airflow, without the package around it."""
    (file,) = (PROJECT_TEMPLATE / "include" / "xcom_backend").glob("*reference.py*")
    loader = importlib.machinery.SourceFileLoader("emitted_reference", str(file))
    spec = importlib.util.spec_from_loader("emitted_reference", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["emitted_reference"] = module  # dataclasses look for it
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(("airflow", "column"), [("2", 1), ("3", 2)])
def test_the_pages_of_settings_and_hooks_say_what_this_airflow_has(
    airflow: str, column: int, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = "local-airflow2" if airflow == "2" else "local"
    requirements = bake(cloud="local", **({"airflow": "2"} if airflow == "2" else {})) / "requirements-dev.txt"
    with FileLock(tmp_path_factory.getbasetemp().parent / f"venv-{name}.lock"):
        try:
            python = project_environment(name, [requirements], airflow)
        except NoPythonError as error:
            pytest.skip(str(error))
    hooks = {name.strip("`"): cells for name, *cells in rows(HOOKS_PAGE, "## Which version has what")}
    told = json.loads(run(python, "-W", "ignore", "-c", ASK_AIRFLOW % list(hooks), check=True).stdout.splitlines()[-1])

    page = {setting.name: setting.default for setting in reference.read_settings()}
    provider = {name: default or EMPTY.get(name, "") for name, default in told["provider"].items()}
    assert provider == {name: page[name] for name in provider}
    assert told["classes"] == "airflow.*"
    assert {name: cells[column - 1].startswith("yes") for name, cells in hooks.items()} == told["hooks"]
