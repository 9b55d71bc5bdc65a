"""OpenTofu itself on every infra/: its formatter; and validate, apply and plan on moto, with the provider for AWS.

What it makes on moto is then what the proof of least privilege runs with.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import providers
import pytest

from tools.background import moto_server
from tools.baking import run
from tools.environments import project_environment
from tools.gotools import go_tool
from tools.pages import least_privilege

ROOT = Path(__file__).parents[2]

TOFU = ("github.com/opentofu/opentofu", "v1.12.6", "cmd/tofu")
ROLE = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
VARIABLES = (
    "-var=region=eu-central-1",
    "-var=access_key=true",
    f"-var=oidc_provider_arn={ROLE}",
    '-var=service_accounts=["airflow/worker"]',
)


@pytest.fixture(scope="session")
def tofu() -> Path:
    return go_tool(*TOFU)


@pytest.mark.parametrize("name", ["aws", "gcp", "azure", "long"])
def test_the_formatter_would_change_nothing(name: str, tofu: Path, projects: dict[str, Path]) -> None:
    done = run(tofu, "fmt", "-check", "-diff", "-recursive", projects[name] / "infra")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which tofu finds the provider for AWS, and nothing else: no registry is asked."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    folder = tmp_path_factory.mktemp("providers")
    place = folder / f"registry.opentofu.org/hashicorp/aws/{providers.VERSION}/{platform.system().lower()}_{machine}"
    place.mkdir(parents=True)
    shutil.copy(providers.aws(), place / f"terraform-provider-aws_v{providers.VERSION}")
    return folder


@pytest.fixture
def moto(projects: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    python = project_environment("aws", [projects["aws"] / "requirements-dev.txt"])
    with moto_server(python.parent, tmp_path) as url:
        yield url


class Tofu:
    """Runs tofu in an infra/, against moto."""

    def __init__(self, program: Path, infra: Path, mirror: Path, moto: str) -> None:
        """Point it at the provider and at moto, by what the environment says: the emitted files stay as they are."""
        config = infra.parent / "tofurc"
        config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        # moto answers on one address, so the bucket's name cannot be part of it.
        (infra / "moto_override.tf").write_text('provider "aws" {\n  s3_use_path_style = true\n}\n')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        # S3 Control puts the account before the host, which is then no name of this machine: moto as a proxy takes it.
        servers = {"AWS_ENDPOINT_URL": moto, "HTTP_PROXY": moto}
        self.environment = {**kept, **keys, **servers, "TF_CLI_CONFIG_FILE": str(config)}
        self.program, self.infra = program, infra

    def __call__(self, *arguments: str) -> str:
        """Run a command, which must succeed, and return what it printed."""
        done = run(self.program, *arguments, cwd=self.infra, env=self.environment, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name."""
        return {name: one["value"] for name, one in json.loads(self("output", "-json")).items()}

    def resource(self, type_: str) -> dict[str, Any]:
        """Return what the state says of the only resource of a type."""
        state = json.loads(self("show", "-json"))["values"]["root_module"]["resources"]
        (found,) = (dict(one["values"]) for one in state if one["type"] == type_)
        return found


@pytest.fixture
def applied(tofu: Path, projects: dict[str, Path], mirror: Path, moto: str, tmp_path: Path) -> Tofu:
    """The infra/ of AWS on moto, with a user and a role."""
    command = Tofu(tofu, Path(shutil.copytree(projects["aws"] / "infra", tmp_path / "infra")), mirror, moto)
    command("init", "-input=false", "-no-color")
    command("apply", "-auto-approve", "-input=false", "-no-color", *VARIABLES)
    return command


def test_it_applies_infra_on_moto_and_finds_nothing_to_change_then(applied: Tofu) -> None:
    assert json.loads(applied("validate", "-json"))["diagnostics"] == []
    # 0: no changes, 2: changes.
    applied("plan", "-detailed-exitcode", "-input=false", "-no-color", *VARIABLES)

    outputs = applied.outputs()
    assert outputs["object_storage_path"] == "s3://my_aws_conn@my-xcom-bucket/xcom"
    assert json.loads(outputs["connection"]) == {"conn_type": "aws", "extra": {"region_name": "eu-central-1"}}
    role = "arn:aws:iam::123456789012:role/xcom-my-xcom-project"
    assert outputs["helm_annotations"] == {"eks.amazonaws.com/role-arn": role}
    for type_, file in (("aws_iam_policy", "policy.json"), ("aws_s3_bucket_policy", "tls-only.json")):
        assert json.loads(applied.resource(type_)["policy"]) == json.loads((applied.infra / file).read_text())


def test_its_bucket_user_and_policy_are_enough_for_the_project_and_each_right_is_needed(
    applied: Tofu, projects: dict[str, Path], moto: str, tmp_path: Path
) -> None:
    """The proof of docs/reference/least-privilege.md again, with what tofu made: it must show what the page says."""
    outputs = applied.outputs()
    keys = {"login": outputs["access_key_id"], "password": outputs["secret_access_key"]}
    made = {
        "endpoint": moto,
        "bucket": applied.resource("aws_s3_bucket")["bucket"],
        "user": applied.resource("aws_iam_user")["name"],
        "policy_arn": applied.resource("aws_iam_policy")["arn"],
        "connection": {**json.loads(outputs["connection"]), **keys},
    }
    file = tmp_path / "made.json"
    file.write_text(json.dumps(made))
    project = Path(shutil.copytree(projects["aws"], tmp_path / "project"))
    for name in (".env", ".env.example"):  # their connection is not the one of moto
        (project / name).unlink()
    python = project_environment("aws", [project / "requirements-dev.txt"])
    result = least_privilege.run(python, "s3", "provider", project, file)

    title = least_privilege.CLOUDS["aws"][1]
    page = least_privilege.PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    with_all = {step: one["said"] for step, one in result["all"].items()}
    assert f"the provider's class {with_all.pop('broken')}" in page
    assert set(with_all.values()) == {"ok", "-"}
    assert len(result["without"]) == 5
    for right, tried in result["without"].items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{right}` |"))
        fails = least_privilege.sentence({step: one["said"] for step, one in tried.items()})
        assert f"**the provider's class**: {fails}" in row
    for what, said in result["elsewhere"].items():
        assert f"| {what} | {'**works**' if said == 'works' else f'refused: `{said}`'} |" in page


def test_other_values_of_the_variables_reach_the_policies(
    tofu: Path, projects: dict[str, Path], mirror: Path, moto: str, tmp_path: Path
) -> None:
    infra = Path(shutil.copytree(projects["aws"] / "infra", tmp_path / "infra"))
    command = Tofu(tofu, infra, mirror, moto)
    command("init", "-input=false", "-no-color")
    chosen = ["-var=region=us-east-1", "-var=bucket=second-bucket", "-var=prefix=copies", "-var=name=second"]
    command("plan", "-input=false", "-out=plan.tfplan", *chosen)
    planned = json.loads(command("show", "-json", "plan.tfplan"))["planned_values"]["root_module"]["resources"]
    texts = {one["type"]: one["values"].get("policy", "") for one in planned}
    assert "arn:aws:s3:::second-bucket/copies/*" in texts["aws_iam_policy"]
    assert "my-xcom-bucket" not in texts["aws_iam_policy"] + texts["aws_s3_bucket_policy"]
