"""What the providers of Terraform know: each resource with its arguments, as npm packages for TypeScript have them.

The providers for Google Cloud and Azure are too big to build here. These packages were generated from their schemas.
Of google 7 only Pulumi's is, which has names of its own. There is none of azurerm 5: of that, the Go module proxy has
the source, and in it the documentation of every resource.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from tools.gotools import TOOLS


@dataclass(frozen=True)
class Package:
    """An npm package with a provider's schema: its name, version and SHA-512, and the version of the provider."""

    name: str
    version: str
    sha512: str
    provider: str


PACKAGES = {
    "aws": Package(
        "@cdktf/provider-aws",
        "21.22.1",
        "BuSHeaQFUL9l33pBzIMRT7cTQ69AM2mLtijjteCPhVQRmvuhuj9Lvfymf7knAMhYqAT6+Lrls9jiGVW/Us3zrQ==",
        "aws 6.25.0",
    ),
    "gcp": Package(
        "@cdktf/provider-google",
        "16.12.1",
        "KqNA/5RiFT07r0PSZ6/07cJ2zESUgbj1JchVj21iBFBZVUbD+578xA/k8eq/r0cbyEgLmg9eYWeVslaYah4DCQ==",
        "google 6.50.0",
    ),
    "azure": Package(
        "@cdktn/provider-azurerm",
        "16.1.0",
        "ArrHLoh/ebmY2yymKIxh2wL4HWqgvrK4EOVDfbOnNW8/qKA6/+EjIMBTacfA9C2tUq5zgBoNzImIZyqOiT/JYg==",
        "azurerm 4.73.0",
    ),
}
# Made from google-beta, which has all of google; of this version says pull request 3982 of pulumi/pulumi-gcp.
PULUMI = Package(
    "@pulumi/gcp",
    "9.36.0",
    "Agk7+VlGtj+coAyJUee9K++h0y2k9jdTqupD59peJ8FjGGnhbPr5a+7dozlE1iM8/z1OJNNIt4Lb5y2LWyfTSw==",
    "google 7.46.0",
)
# The file that declares it there, and the start of its interface of arguments.
PULUMI_PLACES = {
    "google": ("provider", "Provider"),
    "google_kms_crypto_key_iam_member": ("kms/cryptoKeyIAMMember", "CryptoKeyIAMMember"),
    "google_project_iam_custom_role": ("projects/iamcustomRole", "IAMCustomRole"),
    "google_service_account": ("serviceaccount/account", "Account"),
    "google_service_account_iam_member": ("serviceaccount/iammember", "IAMMember"),
    "google_service_account_key": ("serviceaccount/key", "Key"),
    "google_storage_bucket": ("storage/bucket", "Bucket"),
    "google_storage_bucket_iam_member": ("storage/bucketIAMMember", "BucketIAMMember"),
    "google_storage_project_service_account": ("storage/getProjectServiceAccount", "GetProjectServiceAccountOutput"),
}
# The provider's module is in the proxy only by commit: this one is 5.2.0 and a few days.
AZURERM = ("github.com/hashicorp/terraform-provider-azurerm", "v1.44.1-0.20260824201233-fae580791926")
AZURERM_VERSION = "5.2.0"
# What every resource and provider takes, whatever its schema says.
META = {"alias", "count", "depends_on", "for_each", "lifecycle", "provider"}


@dataclass
class Schema:
    """The arguments of a resource, of a provider or of a block in them, and what of a resource can be read."""

    arguments: dict[str, Argument] = field(default_factory=dict)
    readable: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Argument:
    """One argument: whether it must be there, may be there several times, and its schema if it is a block."""

    required: bool
    many: bool
    block: Schema | None


def package(wanted: Package, npm: list[str]) -> Path:
    """Return the file of a package, after npm has brought it into ``.tools/`` if it is not there.

    :param npm: the command that runs npm
    :raises subprocess.CalledProcessError: if npm cannot bring it
    :raises ValueError: if it is not the package that is pinned here
    """
    file = TOOLS / f"{wanted.name.removeprefix('@').replace('/', '-')}-{wanted.version}.tgz"
    TOOLS.mkdir(exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            command = [*npm, "pack", "--silent", f"{wanted.name}@{wanted.version}"]
            subprocess.run(command, cwd=TOOLS, stdout=subprocess.DEVNULL, check=True)
        if base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode() != wanted.sha512:
            file.unlink()
            raise ValueError(f"{wanted.name}@{wanted.version} is not the package whose SHA-512 is pinned; try again")
    return file


def schemas(file: Path, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Schema]:
    """Return the schemas that a package has for pairs such as ``("resource", "aws_s3_bucket")``."""
    folders = {folder: pair for pair in names for folder in folders_of(*pair)}
    texts: dict[str, str] = {}
    with tarfile.open(file) as archive:
        for member in archive:
            _, _, path = member.name.partition("/lib/")
            if path.endswith(".d.ts") and (folder := path.partition("/")[0]) in folders:
                content = archive.extractfile(member)
                texts[folder] = texts.get(folder, "") + (content.read().decode() if content else "")
    return {folders[folder]: found for folder, text in texts.items() if (found := schema(text, *folders[folder]))}


def pulumi_schemas(file: Path, names: Iterable[tuple[str, str]], code: str) -> dict[tuple[str, str], Schema]:
    """Return the schemas that Pulumi's package has, as :func:`schemas` does.

    :param code: the HCL, whose words tell how Terraform calls what is in the plural here
    """
    with tarfile.open(file) as archive:
        texts = {member.name: archive.extractfile(member) for member in archive if member.name.endswith(".d.ts")}

        def text_of(name: str) -> str:
            content = texts[f"package/{name}.d.ts"]
            return content.read().decode() if content else ""

        spaces = dict(re.findall(r"^export declare namespace (\w+) \{\n(.*?)^\}", text_of("types/input"), re.M | re.S))
        words, made = set(re.findall(r"\w+", code)), {}
        for kind, name in names:
            if name in PULUMI_PLACES:
                place, start = PULUMI_PLACES[name]
                text = text_of(place)
                made[kind, name] = pulumi_block(text, f"{start}Args", spaces, words)
                made[kind, name].readable = {"id", *re.findall(r"^    readonly (\w+)", text, re.MULTILINE)}
    return made


def pulumi_block(text: str, name: str, spaces: dict[str, str], words: set[str]) -> Schema:
    """Return the schema of one interface of Pulumi's package."""
    made = Schema()
    members = re.search(rf"^ *(?:export )?interface {name} \{{\n(.*?)^ *\}}\n", text, re.MULTILINE | re.DOTALL)
    for argument, optional, kind in re.findall(
        r"^ +(\w+)(\??): pulumi\.Input<(.*?)>;$", members[1] if members else "", re.M | re.S
    ):
        snake, many = re.sub("(?=[A-Z])", "_", argument).lower(), "[]" in kind
        called = [snake, *([snake.removesuffix("s"), snake.removesuffix("es")] if many else [])]
        block = re.search(r"inputs\.(\w+)\.(\w+)", kind)
        inner = pulumi_block(spaces[block[1]], block[2], spaces, words) if block else None
        made.arguments[next((one for one in called if one in words), snake)] = Argument(not optional, many, inner)
    return made


def documented(source: Path, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Schema]:
    """Return the schemas that the documentation in a provider's source tells, as :func:`schemas` does."""
    pages = {
        (kind, name): source / f"website/docs/{kind[0]}/{name.partition('_')[2]}.html.markdown" for kind, name in names
    }
    return {pair: documented_schema(page.read_text()) for pair, page in pages.items() if page.is_file()}


def documented_schema(page: str) -> Schema:
    """Return the schema that a page tells: arguments up to the first line, then each block by its name."""
    _, _, rest = page.partition("## Arguments Reference\n")
    arguments, _, attributes = rest.partition("\n## Attributes Reference\n")
    texts = re.split(
        r"^(?:An?|The) `(\w+)` block (?:supports|contains|exports|as)[^\n]*\n", arguments, flags=re.MULTILINE
    )
    blocks = dict(zip(texts[1::2], texts[2::2], strict=True))
    made = documented_block(texts[0], blocks)
    made.readable = {camel(name) for name in re.findall(r"^\* `(\w+)`", attributes + texts[0], re.MULTILINE)}
    return made


def documented_block(text: str, blocks: dict[str, str]) -> Schema:
    """Return the schema of the arguments that a text lists, each in a line that says whether it must be there."""
    made = Schema()
    for name, required, words in re.findall(r"^\* `(\w+)` - \((Required|Optional)\)(.*)", text, re.MULTILINE):
        is_block = name in blocks and f"`{name}` block" in words
        inner = documented_block(blocks[name], blocks) if is_block else None
        many = not is_block or "ne or more" in words or name == "rule"
        made.arguments[name] = Argument(required == "Required", many, inner)
    return made


def folders_of(kind: str, name: str) -> list[str]:
    """Return where a package may declare it; ``-a`` stands behind names that another class has already."""
    if kind == "provider":
        return ["provider"]
    folder = name.replace("_", "-") if kind == "data" else name.partition("_")[2].replace("_", "-")
    folder = f"data-{folder}" if kind == "data" else folder
    return [folder, f"{folder}-a"]


def schema(text: str, kind: str, name: str) -> Schema | None:
    """Return the schema that declarations in TypeScript hold, or None if they are not those of this name."""
    classes = dict(re.findall(r"export declare class (\w+)[^{]*\{\n(.*?)\n\}", text, re.DOTALL))
    interfaces = dict(re.findall(r"export interface (\w+)[^{]*\{\n(.*?)\n\}", text, re.DOTALL))
    for of_class, members in classes.items():
        if f'tfResourceType = "{name}";' in members:
            made = block(interfaces, f"{of_class}Config")
            made.readable = set(re.findall(r"^    get (\w+)\(\)", members, re.MULTILINE))
            return made
    return None


def block(interfaces: dict[str, str], name: str) -> Schema:
    """Return the schema of one interface. Terraform's own name of an argument stands in the link to its docs."""
    made = Schema()
    members = r"/\*\*(.*?)\*/\s*readonly \w+(\??): (\{.*?\}|[^;]+);"
    for words, optional, kind in re.findall(members, interfaces[name], re.DOTALL):
        argument = re.search(r"\{@link \S+#(\w+) ", words)
        if not argument:
            raise ValueError(f"{name} has an argument without a link: {words}")
        is_block = re.match(rf"\s*\* {argument[1]} block\n", words)
        inner = block(interfaces, re.findall(r"\w+", kind)[0]) if is_block else None
        made.arguments[argument[1]] = Argument(not optional, "[]" in kind, inner)
    return made


def used(code: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield kind, type, name and body of each resource, data source and provider of parsed HCL."""
    for kind in ("resource", "data"):
        for one in code.get(kind, []):
            for type_, named in one.items():
                for name, body in named.items():
                    yield kind, type_.strip('"'), name.strip('"'), body
    for one in code.get("provider", []):
        for type_, body in one.items():
            yield "provider", type_.strip('"'), "", body


def wrong_arguments(where: str, body: dict[str, Any], known: Schema) -> Iterator[str]:
    """Yield what of a resource or block its schema does not allow, each in one line."""
    given = {name: value for name, value in body.items() if not name.startswith("__") and name not in META}
    for dynamic in given.pop("dynamic", []):
        for name, block in dynamic.items():
            if not name.startswith("__"):
                given[name.strip('"')] = [{"__is_block__": True, **content} for content in block["content"]]
    for name in known.arguments.keys() - given.keys():
        if known.arguments[name].required:
            yield f"{where}: {name} is missing"
    for name, value in given.items():
        argument = known.arguments.get(name)
        blocks = value if isinstance(value, list) and value and is_block(value[0]) else None
        if argument is None:
            yield f"{where}: there is no {name}"
        elif (blocks is None) != (argument.block is None):
            yield f"{where}: {name} is {'an argument' if blocks else 'a block'}"
        elif isinstance(value, list) and not argument.many and (blocks is None or len(blocks) > 1):
            yield f"{where}: {name} takes only one"
        elif blocks and argument.block:
            for inner in blocks:
                yield from wrong_arguments(f"{where}.{name}", inner, argument.block)


def is_block(value: Any) -> bool:
    """Whether parsed HCL is a block, not an object."""
    return isinstance(value, dict) and "__is_block__" in value


def references(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, type and attribute of all that HCL reads of resources and data sources."""
    address = r"(data\.)?\b([a-z]+_\w+)\.\w+"
    for data, type_, attribute in re.findall(address + r"(?:\[[^\]]+\])?\.(\w+)", text):
        yield "data" if data else "resource", type_, attribute
    for variable, data, type_ in re.findall(rf"for (\w+) in {address}\s*:", text):
        for attribute in re.findall(rf"\b{variable}\.(\w+)", text):
            yield "data" if data else "resource", type_, attribute


def camel(name: str) -> str:
    """Return a name as TypeScript has it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
