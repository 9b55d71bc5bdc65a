"""The steps of the jobs that deploy, one after the other as GitHub runs them.

Real are bash, the checksums of the release, and for AWS the `aws` command, which asks a moto server for the password of
the registry. `astro`, `docker` and `az` write down how they were called; a server on this machine gives the OpenID
Connect token that GitHub would.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.background import moto_server
from tools.baking import bake, run
from tools.environments import project_environment
from tools.readers_tools import write_command, write_script

REGISTRIES = {
    "aws": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/agents",
    "gcp": "europe-west3-docker.pkg.dev/my-project/agents/client",
    "azure": "mycompany.azurecr.io/agents",
}
TOKEN = "the-token-of-astro"  # noqa: S105


class Runner:
    """A machine of GitHub's with a project checked out: variables, secrets, a PATH that steps can make longer."""

    def __init__(self, project: Path, home: Path, variables: dict[str, str]) -> None:
        """Prepare the commands and the release of the Astro CLI."""
        self.project, self.home, self.variables = project, home, variables
        self.bin, self.calls = home / "bin", home / "calls"
        self.bin.mkdir()
        self.calls.touch()
        for name in ("docker", "az"):
            write_script(self.bin / name, self.recording(name))
        ask = "import json, sys; print(json.load(sys.stdin)[sys.argv[-1].strip('.')])"
        write_script(self.bin / "jq", f'exec {sys.executable} -c "{ask}" "$@"')
        release = home / "v1.45.0"
        release.mkdir()
        write_script(release / "astro", self.recording("astro"))
        archive = "astro_1.45.0_linux_amd64.tar.gz"
        run("tar", "-czf", archive, "astro", cwd=release, check=True)
        (release / "astro_1.45.0_checksums.txt").write_text(run("sha256sum", archive, cwd=release, check=True).stdout)

    def recording(self, name: str) -> str:
        """Return a script that writes down its arguments, what it is given to read, and whether it sees the token."""
        read = 'case "$*" in *stdin*) said=$(cat) ;; *) said= ;; esac'
        return f'{read}\necho "{name} $*|$said|$ASTRO_API_TOKEN" >> {self.calls}'

    def run(self, job: dict[str, Any]) -> list[str]:
        """Run each step of a job that is a script, and return the calls that were written down."""
        path = self.home / "github-path"
        path.touch()
        for step in job["steps"]:
            if "run" not in step:
                continue
            script = re.sub(r"https://\S+/releases/download", f"file://{self.home}", step["run"])
            given = {name: self.filled(text) for name, text in step.get("env", {}).items()}
            added = [str(self.bin), *path.read_text().split(), os.environ["PATH"]]
            known = {"PATH": os.pathsep.join(added), "HOME": str(self.home), "GITHUB_PATH": str(path), **self.variables}
            done = run("bash", "-e", "-c", script, cwd=self.project, env={**known, **given}, timeout=300)
            assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
        return self.calls.read_text().splitlines()

    def filled(self, text: str) -> str:
        """Return what GitHub puts in place of an expression."""
        values = {
            "vars.ASTRO_DEPLOYMENT_ID": "my-deployment",
            "secrets.ASTRO_API_TOKEN": TOKEN,
            "vars.CLIENT_REGISTRY": self.variables.get("registry", ""),
            "vars.CLIENT_REGISTRY_CLIENT_ID": "my-app",
            "vars.CLIENT_REGISTRY_TENANT_ID": "my-tenant",
            "steps.google.outputs.access_token": "token-of-google",
        }
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], text)


@pytest.fixture
def github() -> Iterator[str]:
    """The address that gives a job its OpenID Connect token, to whoever has the right header and asks for Azure."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Authorization"] == "Bearer request-token" and "audience=api://AzureAD" in self.path
            self.send_response(200 if asked else 403)
            self.end_headers()
            self.wfile.write(json.dumps({"value": "token-of-github"}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token?of=job"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("cloud", REGISTRIES)
def test_the_image_goes_to_astro_and_the_agents_image_to_the_registry(cloud: str, tmp_path: Path, github: str) -> None:
    project = bake(tmp_path, tmp_path / "output", {"cloud": cloud, "ci": "github", "remote_execution": True})
    jobs = yaml.safe_load((project / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    registry = REGISTRIES[cloud]
    request = {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token", "ACTIONS_ID_TOKEN_REQUEST_URL": github}
    runner = Runner(project, tmp_path, {"registry": registry, **request})
    assert runner.run(jobs["deploy"]) == [f"astro deploy my-deployment||{TOKEN}"]

    runner.calls.write_text("")
    if cloud == "aws":  # actions/configure-aws-credentials has set these
        python = project_environment("aws", [project / "requirements-dev.txt"])
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
        with moto_server(python.parent, tmp_path) as moto:
            write_command(runner.bin, "aws", AWS_ENDPOINT_URL=moto, AWS_PAGER="", **keys)
            *sign_in, config, deploy = runner.run(jobs["agents"])
    else:
        *sign_in, config, deploy = runner.run(jobs["agents"])
    host = registry.partition("/")[0]
    assert (
        sign_in
        == {
            "aws": [f"docker login --username AWS --password-stdin {host}|123456789012-auth-token|"],
            "gcp": [f"docker login --username oauth2accesstoken --password-stdin {host}|token-of-google|"],
            "azure": [
                "az login --service-principal --username my-app --tenant my-tenant --federated-token token-of-github||",
                "az acr login --name mycompany||",
            ],
        }[cloud]
    )
    assert config == f"astro config set remote.client_registry {registry}||{TOKEN}"
    assert deploy == f"astro remote deploy --platform linux/amd64 --deployment-id my-deployment||{TOKEN}"


def test_an_environment_without_a_deployment_deploys_nothing(tmp_path: Path) -> None:
    project = bake(tmp_path, tmp_path / "output", {"ci": "github"})
    deploy = yaml.safe_load((project / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["deploy"]
    runner = Runner(project, tmp_path, {})
    last = deploy["steps"][-1]
    last["env"]["ASTRO_DEPLOYMENT_ID"] = ""
    with pytest.raises(AssertionError, match="ASTRO_DEPLOYMENT_ID: is no variable of this environment"):
        runner.run(deploy)
    assert runner.calls.read_text() == ""
