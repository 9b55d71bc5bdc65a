"""infra/ as its users have it: read by a scanner, a linter of IAM policies, the doctor; its commands run on moto."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import hcl2
import pytest
import requests
import yaml
from filelock import FileLock

from tools.background import moto_server
from tools.baking import CONFIG, ROOT, Answers, Bake, Install, run
from tools.baking import bake as bake_into
from tools.environments import python_path
from tools.projects import read_as_docker
from tools.readers_tools import write_az_that_only_parses, write_command, write_script

CLOUDS = [cloud for cloud in CONFIG["cloud"] if cloud != "local"]
every_cloud = pytest.mark.parametrize("cloud", CLOUDS)
LOCK = ROOT / "requirements" / "infra.txt"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the programs of requirements/infra.txt."""
    environment = ROOT / ".venv-infra"
    stamp = environment / "installed"
    with FileLock(ROOT / ".venv-infra.lock"):
        if not stamp.exists() or stamp.read_text() != LOCK.read_text():
            uv = str(Path(sys.executable).parent / "uv")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
            python = str(environment / "bin" / "python")
            subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", LOCK], check=True)
            stamp.write_text(LOCK.read_text())
    return environment / "bin"


@pytest.fixture
def infra(bake: Bake, tmp_path: Path, cloud: str) -> Path:
    """A copy of the infra/ of a cloud."""
    return Path(shutil.copytree(bake(cloud=cloud) / "infra", tmp_path / "infra"))


def scan(tools: Path, folder: Path) -> dict[str, Any]:
    """Return what checkov says of a folder."""
    options = ["--directory", folder, "--framework", "terraform", "--skip-download", "--output", "json"]
    return dict(json.loads(run(tools / "checkov", *options).stdout)["results"])


@every_cloud
def test_a_scanner_finds_nothing_that_is_not_explained(infra: Path, tools: Path) -> None:
    found = scan(tools, infra)
    assert [check["check_id"] for check in found["failed_checks"]] == []
    assert found["parsing_errors"] == []
    assert found["passed_checks"]
    for check in found["skipped_checks"]:
        assert len(check["check_result"]["suppress_comment"]) > 20, check["check_id"]


@pytest.mark.parametrize("cloud", ["aws"])
def test_the_scanner_would_find_a_public_bucket(infra: Path, tools: Path) -> None:
    main = infra / "main.tf"
    main.write_text(main.read_text().replace("= true", "= false"))
    assert {"CKV_AWS_53", "CKV_AWS_55"} <= {check["check_id"] for check in scan(tools, infra)["failed_checks"]}


needs_zizmor = pytest.mark.skipif(sys.version_info < (3, 11), reason="zizmor needs Python 3.11")


@needs_zizmor
@every_cloud
def test_a_scanner_of_workflows_finds_nothing(cloud: str, bake: Bake, tools: Path) -> None:
    project = bake(cloud=cloud, ci="github", remote_execution=True)
    done = run(tools / "zizmor", "--offline", "--no-progress", "--persona=pedantic", project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


@needs_zizmor
def test_a_scanner_of_workflows_finds_nothing_in_our_own(tools: Path) -> None:
    done = run(tools / "zizmor", "--offline", "--no-progress", "--persona=pedantic", ROOT / ".github")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


@needs_zizmor
def test_the_scanner_of_workflows_would_find_an_action_that_is_pinned_by_its_tag(bake: Bake, tools: Path) -> None:
    text = (bake(ci="github") / ".github" / "workflows" / "ci.yml").read_text()
    moved = re.sub(r"checkout@\w+  # ", "checkout@", text)
    assert moved != text
    done = run(tools / "zizmor", "--offline", "--no-progress", "--format=json", "-", input=moved)
    assert {one["ident"] for one in json.loads(done.stdout)} == {"unpinned-uses"}


LINT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from parliament import analyze_policy_string
print(json.dumps([finding.issue for finding in analyze_policy_string(sys.stdin.read()).findings]))
"""


@pytest.mark.parametrize("cloud", ["aws"])
@pytest.mark.parametrize("name", ["policy.json", "tls-only.json"])
def test_a_linter_of_iam_policies_finds_nothing(name: str, infra: Path, tools: Path) -> None:
    text = (infra / name).read_text()
    assert json.loads(run(tools / "python", "-W", "ignore", "-c", LINT, input=text).stdout) == []
    typo = text.replace('"s3:', '"s3:X', 1)
    assert "UNKNOWN_ACTION" in run(tools / "python", "-W", "ignore", "-c", LINT, input=typo).stdout


# The module needs nothing that is not in Python; the rest of the doctor needs Airflow's libraries.
ASK_THE_DOCTOR = """
import json, sys, types
from pathlib import Path
package = types.ModuleType("include.xcom_doctor")
package.__path__ = ["include/xcom_doctor"]
sys.modules["include.xcom_doctor"] = package
from include.xcom_doctor import clouds
cloud = {"aws": clouds.AWS, "gcp": clouds.GCP, "azure": clouds.AZURE}[sys.argv[1]]
needed = {right for step in clouds.STEPS for right in cloud.asked(step)}
granted, lacking = cloud.granted(Path()), cloud.lacking(Path())
told = {"file": cloud.rights_file, "granted": granted, "needed": needed, "lacking": lacking}
print(json.dumps({name: sorted(one) if isinstance(one, set) else one for name, one in told.items()}))
"""


@every_cloud
def test_the_doctor_reads_the_rights_that_infra_grants(cloud: str, bake: Bake) -> None:
    """And what it names when the store refuses a step is among them; besides only what no step of it shows."""
    told = json.loads(run(sys.executable, "-c", ASK_THE_DOCTOR, cloud, cwd=bake(cloud=cloud), check=True).stdout)
    assert told["file"] == f"infra/{CONFIG['_clouds'][cloud]['rights_file']}"
    besides = {"aws": ["s3:AbortMultipartUpload"], "gcp": ["storage.buckets.get"], "azure": []}
    assert told["granted"]
    assert sorted(set(told["granted"]) - set(told["needed"])) == besides[cloud]
    assert told["lacking"] == []


@every_cloud
def test_no_right_is_named_in_the_code_of_infra(cloud: str, infra: Path) -> None:
    """Terraform takes them from the one file, and the commands of the README too."""
    code = "".join(path.read_text() for path in infra.glob("*.tf"))
    name = CONFIG["_clouds"][cloud]["rights_file"]
    assert f'file("${{path.module}}/{name}")' in code
    assert not re.search(r"s3:[A-Z]\w+|storage\.objects|Storage Blob Data", code)
    assert name in (infra / "README.md").read_text()


@every_cloud
def test_the_committed_choices_are_the_answers(cloud: str, home: Path, tmp_path: Path) -> None:
    answers: Answers = {"cloud": cloud, "bucket": "other-name", "connection_id": "other_conn"}
    project = bake_into(home, tmp_path, answers)
    chosen = choices(project / "infra")
    variables = (project / "infra" / "variables.tf").read_text()
    assert set(chosen) <= set(re.findall(r'^variable "(\w+)"', variables, re.MULTILINE))
    bucket = chosen["container" if cloud == "azure" else "bucket"]
    assert bucket == "other-name"
    path = str(read_as_docker((project / ".env").read_text())["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"])
    template = re.search(r'path\s+= "(\w+://[^"]+)"', (project / "infra" / "outputs.tf").read_text())
    assert template
    filled = re.sub(r"\$\{var\.(?:bucket|container)\}", bucket, template[1])
    assert filled.replace("${var.prefix}", chosen["prefix"]) == path


@every_cloud
def test_git_keeps_the_choices_and_not_the_secrets(cloud: str, infra: Path) -> None:
    run("git", "init", "--quiet", infra, check=True)
    for name in ("terraform.tfvars", "terraform.tfstate", "dev.tfstate", "secret.auto.tfvars"):
        (infra / name).touch()
    ignored = run("git", "status", "--short", "--ignored", cwd=infra, check=True).stdout
    assert {line[3:] for line in ignored.splitlines() if line.startswith("!!")} == {
        "dev.tfstate",
        "secret.auto.tfvars",
        "terraform.tfstate",
    }


@every_cloud
def test_the_service_account_is_the_one_of_the_agents(cloud: str, home: Path, tmp_path: Path) -> None:
    """In each example of infra/, and in the values of the agents: the identity trusts whom the pods are."""
    project = bake_into(home, tmp_path, {"cloud": cloud, "remote_execution": True})
    values = yaml.safe_load((project / "remote-execution" / "values.yaml").read_text())
    subject = f"{values['namespace']}/{values['serviceAccount']['workers']['name']}"
    named = set()
    for file in sorted((project / "infra").iterdir()):
        named |= set(
            re.findall(r"system:serviceaccount:([\w-]+:[\w-]+)|\.svc\.id\.goog\[([\w/-]+)\]", file.read_text())
        )
    chosen = choices(project / "infra").get("service_accounts", [])
    assert {one.replace(":", "/") for pair in named for one in pair if one} | set(chosen) == {subject}


@pytest.fixture
def moto(bake: Bake, install: Install, tmp_path: Path) -> Iterator[str]:
    """The endpoint of a moto server."""
    with moto_server(install("aws", bake(cloud="aws") / "requirements-dev.txt"), tmp_path) as url:
        yield url


@pytest.mark.parametrize("cloud", ["aws"])
def test_the_commands_of_the_readme_run(infra: Path, tools: Path, moto: str) -> None:
    """On moto, as they stand there; and what they make is what the code of infra/ makes."""
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", (infra / "README.md").read_text(), re.DOTALL))
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(infra), "AWS_ENDPOINT_URL": moto, **keys}
    # moto's account is 123456789012, that of the README an example.
    script = "set -eu\n" + commands.replace("111122223333", "123456789012")
    done = run("bash", "-c", script, cwd=infra, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr

    def aws(*arguments: str) -> Any:
        return json.loads(
            run(tools / "aws", *arguments, "--output", "json", env=environment, check=True).stdout or "{}"
        )

    bucket = ("--bucket", "my-xcom-bucket")
    assert aws("s3api", "get-bucket-location", *bucket)["LocationConstraint"] == "eu-central-1"
    assert aws("s3api", "get-bucket-versioning", *bucket)["Status"] == "Enabled"
    xcoms, old = aws("s3api", "get-bucket-lifecycle-configuration", *bucket)["Rules"]
    assert xcoms["Expiration"]["Days"] == default(infra, "xcom_days")
    assert old["NoncurrentVersionExpiration"]["NoncurrentDays"] == default(infra, "old_version_days")
    stored = json.loads(aws("s3api", "get-bucket-policy", *bucket)["Policy"])
    assert stored == json.loads((infra / "tls-only.json").read_text())
    arn = "arn:aws:iam::123456789012:policy/xcom-my-xcom-project"
    version = aws("iam", "get-policy-version", "--policy-arn", arn, "--version-id", "v1")
    assert version["PolicyVersion"]["Document"] == json.loads((infra / "policy.json").read_text())


@every_cloud
def test_each_way_in_the_readme_can_be_gone_alone(cloud: str, infra: Path) -> None:
    """Behind the blocks that are for all, each needs only what they or it have set."""
    blocks = re.findall(r"```bash\n(.*?)```", (infra / "README.md").read_text(), re.DOTALL)
    for_all = 2 if cloud == "aws" else 1
    known = set(re.findall(r"^(\w+)=", "\n".join(blocks[:for_all]), re.MULTILINE))
    assert len(blocks) >= for_all + 2
    for block in blocks[for_all:]:
        own = set(re.findall(r"^(\w+)=", block, re.MULTILINE))
        assert set(re.findall(r"\$\{?([A-Z]\w*)", block)) <= known | own, block


JQ = """
import functools, json, sys
*_, path, file = sys.argv
found = functools.reduce(dict.get, path.strip(".").split("."), json.load(open(file)))
print(found if isinstance(found, str) else json.dumps(found))
"""


@pytest.mark.parametrize("cloud", ["azure"])
def test_az_knows_the_commands_of_the_readme(infra: Path, tmp_path: Path) -> None:
    """There is no emulator of what they ask: but `az` reads all their arguments before it wants its user to sign in."""
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", (infra / "README.md").read_text(), re.DOTALL))
    write_az_that_only_parses(tmp_path)
    write_script(tmp_path / "jq", f"{sys.executable} -c '{JQ}' \"$@\"")
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = run("bash", "-c", f"set -eu\n{commands}", cwd=infra, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == len(re.findall("^az ", commands, re.MULTILINE))


def test_the_role_on_azure_is_for_blobs_alone(bake: Bake) -> None:
    """With an action on containers it could delete them."""
    role = json.loads((bake(cloud="azure") / "infra" / "rights.json").read_text())["role"]
    assert role["Actions"] == []
    blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    assert set(role["DataActions"]) == {f"{blobs}/{action}" for action in ("read", "write", "delete")}


@pytest.mark.parametrize("cloud", ["azure"])
def test_whoever_deletes_the_stored_access_policy_revokes_its_sas(
    infra: Path, bake: Bake, install: Install, tmp_path: Path
) -> None:
    """The README's commands on Azurite, which takes http."""
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", (infra / "README.md").read_text(), re.DOTALL))
    policies = re.findall(r"^az storage container (?:policy|generate-sas).*(?:\n  .*)*", commands, re.MULTILINE)
    create, sign, delete = (one.replace("--https-only ", "") for one in policies)
    create, count = re.subn(
        r"(?<=--expiry )\S+", f"{datetime.now(timezone.utc) + timedelta(days=1):%Y-%m-%dT%H:%MZ}", create
    )
    assert count == 1
    project = bake(cloud="azure")
    python = install("azure", project / "requirements-dev.txt") / "python"
    probe = (python, ROOT / "tools" / "probes" / "hold_store.py", "abfs://my_azure_conn@my-xcom-container/xcom")
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "ACCOUNT": "mycompany"}
    with subprocess.Popen(
        [*probe, "my-xcom-container"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment, "PYTHONPATH": python_path(project)},
        text=True,
    ) as store:
        assert store.stdout is not None
        connection = json.loads(store.stdout.readline())["extra"]["connection_string"]
        write_command(
            tmp_path, "az", AZURE_STORAGE_CONNECTION_STRING=connection, AZURE_CONFIG_DIR=str(tmp_path / "azure")
        )
        write_script(tmp_path / "jq", f"{sys.executable} -c '{JQ}' \"$@\"")

        def typed(command: str) -> str:
            return run("bash", "-euc", command, cwd=infra, env=environment, check=True).stdout.strip()

        endpoint = re.search("BlobEndpoint=([^;]+)", connection)
        assert endpoint
        typed(create)
        address = f"{endpoint[1]}/my-xcom-container?restype=container&comp=list&{typed(sign)}"
        assert requests.get(address, timeout=60).status_code == 200
        typed(delete)
        assert requests.get(address, timeout=60).status_code == 403
        assert store.stdin is not None
        store.stdin.close()


def choices(infra: Path) -> dict[str, Any]:
    """Return the values that terraform.tfvars gives."""
    found = hcl2.loads((infra / "terraform.tfvars").read_text())
    return {name: unquoted(value) for name, value in found.items() if not name.startswith("__")}


def unquoted(value: Any) -> Any:
    """Return a value of parsed HCL without the quotes that the parser leaves around texts."""
    if isinstance(value, list):
        return [unquoted(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def default(infra: Path, name: str) -> Any:
    """Return the default of a variable of infra/."""
    for block in hcl2.loads((infra / "variables.tf").read_text())["variable"]:
        for variable, body in block.items():
            if variable.strip('"') == name:
                return body["default"]
    raise KeyError(name)
