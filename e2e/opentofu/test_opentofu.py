"""OpenTofu itself on every infra/: its formatter; and apply, plan, import, destroy on moto by the provider for AWS.

What it makes on moto is then what the proof of least privilege runs with.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import providers
import pytest
import requests
import yaml
from dotenv import dotenv_values

from tools.background import moto_server
from tools.baking import run
from tools.environments import project_environment
from tools.gotools import go_tool
from tools.pages import least_privilege

ROOT = Path(__file__).parents[2]

TOFU = ("github.com/opentofu/opentofu", "v1.12.6", "cmd/tofu")
ROLE = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
CLUSTER = "arn:aws:eks:eu-central-1:123456789012:cluster/mine"
PODS = {"oidc_provider_arn": ROLE, "service_accounts": ["xcom-agents/xcom-agent"]}


@pytest.fixture(scope="session")
def tofu() -> Path:
    return go_tool(*TOFU)


@pytest.mark.parametrize("name", ["aws", "gcp", "azure", "long", "mirror", "gcp-mirror", "azure-mirror"])
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

    def __call__(self, *arguments: str, **variables: str) -> str:
        """Run a command with such variables as TF_WORKSPACE; it must succeed. Return what it printed."""
        done = self.tried(*arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tried(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        return run(self.program, *arguments, cwd=self.infra, env={**self.environment, **variables}, timeout=1800)

    def choose(self, **variables: Any) -> None:
        """Write choices behind those of terraform.tfvars, as users do: JSON is HCL too."""
        (self.infra / "chosen.auto.tfvars.json").write_text(json.dumps(variables))

    def apply(self) -> None:
        """Apply with what stands in the files, and nothing on the command line."""
        self("apply", "-auto-approve", "-input=false", "-no-color")

    def planned(self) -> dict[str, list[str]]:
        """Return by the address of each resource what would be done to it, if anything."""
        self("plan", "-input=false", "-out=plan.tfplan")
        changes = json.loads(self("show", "-json", "plan.tfplan"))["resource_changes"]
        todo = {one["address"]: one["change"]["actions"] for one in changes if one["mode"] == "managed"}
        return {address: actions for address, actions in todo.items() if actions != ["no-op"]}

    def values(self, type_: str) -> list[dict[str, Any]]:
        """Return what a plan says of the resources of a type."""
        self("plan", "-input=false", "-out=plan.tfplan")
        resources = json.loads(self("show", "-json", "plan.tfplan"))["planned_values"]["root_module"]["resources"]
        return [one["values"] for one in resources if one["type"] == type_]

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name."""
        return {name: one["value"] for name, one in json.loads(self("output", "-json")).items()}

    def env_connection(self) -> dict[str, Any]:
        """Return the connection that the lines for `.env` hold."""
        lines = dotenv_values(stream=io.StringIO(self.outputs()["env_lines"]))
        return dict(json.loads(str(lines["AIRFLOW_CONN_MY_AWS_CONN"])))

    def resource(self, type_: str) -> dict[str, Any]:
        """Return what the state says of the only resource of a type."""
        state = json.loads(self("show", "-json"))["values"]["root_module"]["resources"]
        (found,) = (dict(one["values"]) for one in state if one["type"] == type_)
        return found


@pytest.fixture
def fresh(tofu: Path, projects: dict[str, Path], mirror: Path, moto: str, tmp_path: Path) -> Callable[[str], Tofu]:
    """Return a function that makes an initialized copy of the infra/ of a project, with moto as its AWS."""

    def make(project: str) -> Tofu:
        command = Tofu(tofu, Path(shutil.copytree(projects[project] / "infra", tmp_path / "infra")), mirror, moto)
        command("init", "-input=false", "-no-color")
        return command

    return make


@pytest.fixture
def applied(fresh: Callable[[str], Tofu]) -> Tofu:
    """The infra/ of AWS on moto, with a user and a role."""
    command = fresh("aws")
    command.choose(**PODS)
    command.apply()
    return command


def test_it_applies_infra_on_moto_and_finds_nothing_to_change_then(applied: Tofu) -> None:
    assert json.loads(applied("validate", "-json"))["diagnostics"] == []
    assert applied.planned() == {}

    outputs = applied.outputs()
    assert outputs["object_storage_path"] == "s3://my_aws_conn@my-xcom-bucket/xcom"
    assert json.loads(outputs["connection"]) == {"conn_type": "aws", "extra": {"region_name": "eu-central-1"}}
    role = "arn:aws:iam::123456789012:role/xcom-my-xcom-project"
    assert outputs["role_arn"] == role
    assert yaml.safe_load(outputs["values_yaml"]) == {"annotations": {"eks.amazonaws.com/role-arn": role}, "labels": {}}
    for type_, file in (("aws_iam_policy", "policy.json"), ("aws_s3_bucket_policy", "tls-only.json")):
        assert json.loads(applied.resource(type_)["policy"]) == json.loads((applied.infra / file).read_text())


def test_its_lines_for_the_env_file_are_those_that_the_env_file_has(applied: Tofu, projects: dict[str, Path]) -> None:
    lines = dotenv_values(stream=io.StringIO(applied.outputs()["env_lines"]))
    emitted = dotenv_values(projects["aws"] / ".env")
    assert set(lines) <= set(emitted)
    path = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
    assert lines.pop(path) == emitted[path]
    (connection,) = (json.loads(str(value)) for value in lines.values())
    assert connection["password"] == applied.resource("aws_iam_access_key")["secret"]
    placeholder = json.loads(str(emitted["AIRFLOW_CONN_MY_AWS_CONN"]))
    assert (set(connection), set(connection["extra"])) == (set(placeholder), set(placeholder["extra"]))


USE_THE_STORE = """
import os
from airflow.sdk import ObjectStoragePath
object = ObjectStoragePath(os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"]) / "of-the-test"
object.write_text("whole")
print(object, object.read_text())
object.unlink()
"""


def test_the_lines_pasted_into_the_env_file_reach_the_bucket(
    applied: Tofu, projects: dict[str, Path], moto: str, tmp_path: Path
) -> None:
    """As they are printed, over the same names. Only where moto is says the environment.

    moto takes the bucket's policy, which denies requests without TLS, for one that denies all: it is taken off.
    """
    requests.delete(f"{moto}/my-xcom-bucket?policy", timeout=60).raise_for_status()
    project = Path(shutil.copytree(projects["aws"], tmp_path / "project"))
    lines = applied("output", "-raw", "env_lines").splitlines()
    names = {line.partition("=")[0] for line in lines}
    file = project / ".env"
    kept = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in names]
    file.write_text("\n".join([*kept, *lines]) + "\n")
    (project / ".venv").symlink_to(project_environment("aws", [project / "requirements-dev.txt"]).parents[1])
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": moto}
    done = run("./airflow.sh", "python", "-c", USE_THE_STORE, cwd=project, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "s3://my_aws_conn@my-xcom-bucket/xcom/of-the-test whole"


def test_a_choice_more_changes_only_that_and_the_key_stays(fresh: Callable[[str], Tofu]) -> None:
    """The key of the first apply is in somebody's .env: a second one for pods must not take it away."""
    command = fresh("aws")
    command.apply()
    key = command.env_connection()
    command.choose(**PODS)
    assert command.planned() == {
        "aws_iam_role.xcom[0]": ["create"],
        "aws_iam_role_policy_attachment.xcom[0]": ["create"],
    }
    command.apply()
    command.choose(**PODS, xcom_days=30)
    assert command.planned() == {'aws_s3_bucket_lifecycle_configuration.xcom["primary"]': ["update"]}
    command.apply()
    assert command.planned() == {}
    assert command.env_connection() == key


def test_destroy_leaves_nothing(applied: Tofu, moto: str) -> None:
    assert "my-xcom-bucket" in requests.get(f"{moto}/", timeout=60).text
    applied("destroy", "-auto-approve", "-input=false", "-no-color")
    assert applied("state", "list") == ""
    assert "my-xcom-bucket" not in requests.get(f"{moto}/", timeout=60).text


def test_a_bucket_that_exists_is_taken_over_by_an_import_block(fresh: Callable[[str], Tofu], moto: str) -> None:
    """The block of the README, after the command of the first step of the project's README."""
    command = fresh("aws")
    requests.put(f"{moto}/my-xcom-bucket", timeout=60).raise_for_status()
    block = re.search(r"```hcl\n(import \{.*?)```", (command.infra / "README.md").read_text(), re.DOTALL)
    assert block
    (command.infra / "import.tf").write_text(block[1])
    assert 'aws_s3_bucket.xcom["primary"]' not in command.planned()  # no new one, and nothing to change about it
    command.apply()
    assert command.planned() == {}
    assert command.resource("aws_s3_bucket")["bucket"] == "my-xcom-bucket"


def test_a_mirror_in_the_same_cloud_is_a_second_bucket_for_the_same_role(fresh: Callable[[str], Tofu]) -> None:
    command = fresh("mirror")
    command.choose(**PODS)
    command.apply()
    assert command.planned() == {}
    policy = json.loads(command.resource("aws_iam_policy")["policy"])
    resources = [one["Resource"] for one in policy["Statement"]]
    assert {"arn:aws:s3:::my-xcom-bucket/xcom/*", "arn:aws:s3:::second-bucket/copies/*"} <= set(resources)
    assert len({one["Sid"] for one in policy["Statement"]}) == len(policy["Statement"]) == 4


def objects_of(policy: str) -> list[str]:
    """Return below which ARNs a policy lets its identity read and write."""
    return [one["Resource"] for one in json.loads(policy)["Statement"] if "s3:PutObject" in one["Action"]]


def test_a_second_deployment_shares_the_bucket_with_rights_for_its_prefix_only(fresh: Callable[[str], Tofu]) -> None:
    """With the file that the README shows, and its commands in their order."""
    command = fresh("aws")
    readme = (command.infra / "README.md").read_text()
    block = re.search(r'```hcl title="dev.tfvars"\n(.*?)```', readme, re.DOTALL)
    assert block
    (command.infra / "dev.tfvars").write_text(block[1])
    command.choose(prefix="xcom/prod")
    typed = re.findall(r"^(?:(TF_WORKSPACE)=(\w+) )?tofu (apply.*)$", readme.partition("dev.tfvars")[2], re.MULTILINE)
    assert [arguments for *_, arguments in typed] == ["apply", "apply -var-file=dev.tfvars"]
    for name, workspace, arguments in typed:
        command(*arguments.split(), "-auto-approve", **({name: workspace} if name else {}))

    assert command.planned() == {}, "the second apply undid something of the first"
    assert objects_of(command.resource("aws_iam_policy")["policy"]) == ["arn:aws:s3:::my-xcom-bucket/xcom/prod/*"]
    rules = {rule["id"]: rule for rule in command.resource("aws_s3_bucket_lifecycle_configuration")["rule"]}
    assert rules["forget-xcoms"]["filter"][0]["prefix"] == "xcom/"

    state = json.loads(command("show", "-json", TF_WORKSPACE="dev"))["values"]["root_module"]["resources"]
    (policy,) = (one["values"]["policy"] for one in state if one["type"] == "aws_iam_policy")
    assert objects_of(policy) == ["arn:aws:s3:::my-xcom-bucket/xcom/dev/*"]
    assert "aws_s3_bucket" not in {one["type"] for one in state}
    lines = command("output", "-raw", "env_lines", TF_WORKSPACE="dev")
    assert "@my-xcom-bucket/xcom/dev\n" in lines
    assert command.env_connection()["login"] not in lines

    # The choices of dev in the state of prod would destroy the bucket.
    for arguments, workspace, belongs_to in (
        (["-var-file=dev.tfvars"], "default", "dev"),
        ([], "dev", "default"),
        (["-var-file=dev.tfvars"], "stage", "dev"),
    ):
        done = command.tried("plan", "-input=false", "-no-color", *arguments, TF_WORKSPACE=workspace)
        assert done.returncode == 1
        assert f"begin the command with TF_WORKSPACE={belongs_to}" in " ".join(done.stderr.split())


def test_the_agents_have_rights_for_their_state_and_its_old_versions_go_too(fresh: Callable[[str], Tofu]) -> None:
    command = fresh("agents")
    command.apply()
    assert command.planned() == {}
    paths = [f"arn:aws:s3:::my-xcom-bucket/{folder}/*" for folder in ("xcom", "state")]
    assert objects_of(command.resource("aws_iam_policy")["policy"]) == paths
    rules = {rule["id"]: rule for rule in command.resource("aws_s3_bucket_lifecycle_configuration")["rule"]}
    assert rules["forget-xcoms"]["filter"][0]["prefix"] == "xcom/"
    whole_bucket = rules["forget-leftovers"]
    assert whole_bucket["filter"] == [] or not whole_bucket["filter"][0]["prefix"]
    assert whole_bucket["noncurrent_version_expiration"][0]["noncurrent_days"] == 7


def test_the_state_in_a_bucket_is_locked_encrypted_and_has_workspaces(fresh: Callable[[str], Tofu], moto: str) -> None:
    """The commented blocks of main.tf, switched on as they stand there, but for the bucket's name and the variable."""
    requests.put(f"{moto}/my-company-tofu-state", timeout=60).raise_for_status()
    command = fresh("aws")
    main = command.infra / "main.tf"
    text = main.read_text()
    for name in ("backend", "encryption"):
        block = re.search(rf"^  # {name} .*?^  # \}}\n", text, re.MULTILINE | re.DOTALL)
        assert block
        text = text.replace(block[0], re.sub(r"^  # ", "  ", block[0], flags=re.MULTILINE))
    main.write_text(text)
    (command.infra / "passphrase.tf").write_text('variable "state_passphrase" {\n  sensitive = true\n}\n')
    command.environment["TF_VAR_state_passphrase"] = "x" * 20
    command(
        "init",
        "-input=false",
        "-no-color",
        "-backend-config=use_path_style=true",
        "-backend-config=skip_s3_checksum=true",
    )
    command.apply()
    assert command.planned() == {}
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/s3/aws4_request"}
    address = f"{moto}/my-company-tofu-state/my-xcom-project/xcom.tfstate"
    stored = requests.get(address, headers=signed, timeout=60)
    assert set(stored.json()) >= {"encrypted_data", "encryption_version"}
    assert "my-xcom-bucket" not in stored.text


def test_in_govcloud_each_arn_is_of_its_partition(fresh: Callable[[str], Tofu]) -> None:
    command = fresh("aws")
    command.choose(region="us-gov-west-1")
    texts = [one["policy"] for type_ in ("aws_iam_policy", "aws_s3_bucket_policy") for one in command.values(type_)]
    assert len(texts) == 2
    assert all("arn:aws-us-gov:s3:::my-xcom-bucket" in text and "arn:aws:" not in text for text in texts)


def test_pods_by_eks_pod_identity_and_a_deployment_of_astro_are_trusted_by_name(fresh: Callable[[str], Tofu]) -> None:
    command = fresh("aws")
    astro = "arn:aws:iam::999999999999:role/AirflowS3Logs-deployment"
    command.choose(
        eks_cluster_arn=CLUSTER, service_accounts=["xcom-agents/xcom-agent"], astro_workload_identities=[astro]
    )
    command.apply()
    pods, deployment = json.loads(command.resource("aws_iam_role")["assume_role_policy"])["Statement"]
    assert pods["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert set(pods["Condition"]["StringEquals"].values()) == {CLUSTER, "xcom-agents", "xcom-agent"}
    assert deployment["Principal"] == {"AWS": astro}
    outputs = command.outputs()
    assert "role_arn" not in json.loads(outputs["connection"])["extra"]
    assert json.loads(outputs["connection_assume_role"])["extra"]["role_arn"] == outputs["role_arn"]


def test_a_kms_key_encrypts_by_bucket_key_and_the_identity_may_use_it(fresh: Callable[[str], Tofu]) -> None:
    command = fresh("aws")
    key = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    command.choose(kms_key_arn=key)
    (encryption,) = command.values("aws_s3_bucket_server_side_encryption_configuration")
    assert encryption["rule"][0]["bucket_key_enabled"] is True
    (policy,) = command.values("aws_iam_policy")
    (statement,) = (one for one in json.loads(policy["policy"])["Statement"] if one["Resource"] == key)
    assert statement["Action"] == ["kms:GenerateDataKey", "kms:Decrypt"]


@pytest.mark.parametrize("variable", ["oidc_provider_arn", "eks_cluster_arn"])
def test_a_cluster_without_service_accounts_is_refused(variable: str, fresh: Callable[[str], Tofu]) -> None:
    command = fresh("aws")
    command.choose(**{variable: {"oidc_provider_arn": ROLE, "eks_cluster_arn": CLUSTER}[variable]})
    done = command.tried("plan", "-input=false", "-no-color")
    assert done.returncode == 1
    assert f"{variable} without service_accounts trusts nobody" in " ".join(done.stderr.split())


def test_its_bucket_user_and_policy_are_enough_for_the_project_and_each_right_is_needed(
    applied: Tofu, projects: dict[str, Path], moto: str, tmp_path: Path
) -> None:
    """The proof of docs/reference/least-privilege.md again, with what tofu made: it must show what the page says."""
    made = {
        "endpoint": moto,
        "bucket": applied.resource("aws_s3_bucket")["bucket"],
        "user": applied.resource("aws_iam_user")["name"],
        "policy_arn": applied.resource("aws_iam_policy")["arn"],
        "connection": applied.env_connection(),
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


def test_other_values_of_the_variables_reach_the_policies(fresh: Callable[[str], Tofu]) -> None:
    command = fresh("aws")
    command.choose(region="us-east-1", bucket="second-bucket", prefix="copies", name="second")
    texts = [one["policy"] for type_ in ("aws_iam_policy", "aws_s3_bucket_policy") for one in command.values(type_)]
    assert "arn:aws:s3:::second-bucket/copies/*" in texts[0]
    assert "my-xcom-bucket" not in "".join(texts)
