"""The real provider for AWS, built from the Go module proxy with only the services that infra/ uses.

All of it would be 260 services and hours on 2 cores. What is left out are whole services, and four data sources:
nothing of S3, IAM, STS or of the partition is changed. A provider that is on the machine already is taken instead, if
``TERRAFORM_PROVIDER_AWS`` names its file.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tools import gotools

ROOT = Path(__file__).parents[2]

MODULE = "github.com/hashicorp/terraform-provider-aws"
# The proxy has this module's newer versions only by commit: this one is just after 6.47.
COMMIT, VERSION = "v1.60.1-0.20260602190131-5f2286d6d836", "6.47.1"
SERVICES = ("iam", "meta", "s3", "s3control", "sts")
# The data sources of the service `meta` that need other services: the partition does not.
META_WITHOUT = ("Region", "Regions", "Service", "ServicePrincipal")
LEFT_OUT = ("website", "docs", "examples", "*_test.go", "testdata")


def aws() -> Path:
    """Return the path of the provider, after building it if ``.tools/`` has none.

    :raises requirements.gotools.NoToolError: if the proxy cannot be reached or the build fails
    """
    if "TERRAFORM_PROVIDER_AWS" in os.environ:
        return Path(os.environ["TERRAFORM_PROVIDER_AWS"])
    built = gotools.TOOLS / f"terraform-provider-aws-{VERSION}"
    if not built.exists():
        go = gotools.go_command()
        source = gotools.module_folder(go, MODULE, COMMIT)
        print(f"Building the provider for AWS {VERSION}, services {', '.join(SERVICES)} (minutes, once)", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(source, Path(folder, "source"), ignore=shutil.ignore_patterns(*LEFT_OUT)))
            for path in [copy, *copy.rglob("*")]:  # modules are read-only
                path.chmod(0o755 if path.is_dir() else 0o644)
            keep_only_the_services(copy)
            flags = f"-s -w -X {MODULE}/version.ProviderVersion={VERSION}"
            partial = built.with_suffix(".part")
            gotools.run(go, "build", "-p", "2", "-trimpath", "-ldflags", flags, "-o", str(partial), ".", folder=copy)
            partial.replace(built)
    return built


def keep_only_the_services(source: Path) -> None:
    """Take the other services out of the two generated lists of them, and out of ``meta`` what needs EC2."""
    packages = source / "internal/provider/sdkv2/service_packages_gen.go"
    clients = source / "internal/conns/awsclient_gen.go"
    cut(packages, rf'\t(?:\w+ )?"{MODULE}/internal/service/(\w+)"\n')
    cut(packages, r"\t\t(\w+)\.ServicePackage\(ctx\),\n")
    cut(clients, r'\t(?:\w+ )?"github.com/aws/aws-sdk-go-v2/service/(\w+)"\n')
    cut(clients, r"func \(c \*AWSClient\) \w+\(ctx context\.Context\) \*(\w+)\.Client \{\n.*?\n\}\n")
    meta = source / "internal/service/meta"
    for name in META_WITHOUT:
        (meta / f"{re.sub(r'(?<=[a-z])(?=[A-Z])', '_', name).lower()}_data_source.go").unlink()
        generated = meta / "service_package_gen.go"
        entry = rf"\t\t\{{\n\t\t\tFactory:  new{name}DataSource,\n.*?\n\t\t\}},\n"
        generated.write_text(re.sub(entry, "", generated.read_text(), flags=re.DOTALL))


def cut(file: Path, pattern: str) -> None:
    """Remove what matches and names none of the services."""
    text = file.read_text()
    file.write_text(re.sub(pattern, lambda match: match[0] if match[1] in SERVICES else "", text, flags=re.DOTALL))
