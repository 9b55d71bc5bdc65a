"""The tutorial, followed block by block as a reader would, with an emulator where the reader has an account.

A reader's fingers are replaced in a few places, and only there: `REPLACED` is what the network would give, and the
placeholders of the connection become those of the emulator.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from tools.baking import CONFIG, ROOT, Bake, Install, command, environment_of_a_project, run
from tools.blocks import Block, blocks_of, pattern_of
from tools.environments import python_path
from tools.processes import free_port
from tools.readers_tools import write_az_that_only_parses, write_command
from tools.template import template

TUTORIAL = ROOT / "docs" / "tutorial"
FIRST = [TUTORIAL / "index.md", TUTORIAL / "0-local.md"]
PAGES = [*FIRST, *sorted(TUTORIAL.glob("[1-9]-*.md"))]
LOCAL = "Local folder"
CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure", "local": LOCAL}
# Of the tabs that are no cloud, those that a test can follow.
WAYS = {"Python alone", "Commands"}
REPLACED = {
    f"uvx cookiecutter {CONFIG['_address']}": f"{command('cookiecutter')} {shlex.quote(str(template()))}",
    "python3 -m venv .venv": 'ln -s "$ENVIRONMENT" .venv',
    ".venv/bin/pip install -r requirements-dev.txt": "true",
    " --auth-mode login": "",  # Azurite knows nobody who could sign in
    "jq -r .sas": f"{sys.executable} -c 'import json, sys; print(json.load(open(sys.argv[1]))[\"sas\"])'",
}
SECONDS = 300
every_cloud = pytest.mark.parametrize("cloud", CLOUDS)
every_block = pytest.mark.parametrize("block", [block for page in PAGES for block in blocks_of(page)], ids=str)


def path_of(cloud: str) -> list[Block]:
    """Return the blocks that a reader with this cloud, and no Astro CLI, comes to, in their order."""
    pages = FIRST if cloud == "local" else PAGES[len(FIRST) :]
    chosen = WAYS | {CLOUDS[cloud]}
    return [block for page in pages for block in blocks_of(page) if set(block.tabs) <= chosen]


@every_block
def test_a_block_is_run_or_parsed_or_says_why_not(block: Block) -> None:
    followed = {str(one) for cloud in CLOUDS for one in path_of(cloud)}
    if block.of_the_astro_cli:
        assert not block.title, f"{block}: {TUTORIAL / 'index.md'} says once that these are not run block by block"
    elif block.not_run:
        assert re.search(r": \w.{10,}", block.title), (
            f"{block}: give the reason to readers, as `Not run by our tests: …`"
        )
    elif block.language == "python":
        ast.parse(block.text)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
    else:
        assert block.language in ("bash", "ini", "text"), f"{block}: no test knows this language"
        assert str(block) in followed, f"{block}: no test comes to it, so say in its title why it is not run"


def test_the_first_page_says_how_far_the_astro_cli_was_run() -> None:
    words = " ".join(FIRST[0].read_text(encoding="utf-8").split())
    assert (
        "commands of the Astro CLI that need no account were run too, with Docker and without, but not block by block"
        in words
    )


def test_az_knows_the_commands_that_need_a_subscription(tmp_path: Path) -> None:
    """As far as that can be seen without one: `az` reads all their arguments before it wants its user to sign in."""
    pages = [*PAGES, ROOT / "docs" / "how-to" / "retention.md"]
    blocks = [block for page in pages for block in blocks_of(page) if "az " in block.text and block.language == "bash"]
    scripts = [block.text for block in blocks if block.not_run or "--auth-mode login" in block.text]
    write_az_that_only_parses(tmp_path)
    (tmp_path / "lifecycle.json").write_text("{}")
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = run("bash", "-c", "\n".join(["set -eu", *scripts]), cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == len(re.findall("^az ", "\n".join(scripts), re.MULTILINE)) >= 3


def test_the_dag_of_the_first_page_makes_the_xcom_that_it_speaks_of(
    bake: Bake, install: Install, tmp_path: Path
) -> None:
    (block,) = (block for page in PAGES for block in blocks_of(page) if block.language == "python")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "two_tasks.py").write_text(block.text, encoding="utf-8")
    programs = install("local", bake(cloud="local") / "requirements-dev.txt")
    airflow = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
    }
    environment = environment_of_a_project(programs, tmp_path) | airflow
    probe = ROOT / "tools" / "probes" / "run_dag.py"
    done = run(programs / "python", probe, "two_tasks", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"state": "success", "rows": {"make return_value": {"rows": [1, 2, 3]}}}


def test_each_replacement_is_needed() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [words for words in REPLACED if words not in text] == []


@every_cloud
def test_a_reader_gets_through(cloud: str, bake: Bake, install: Install, tmp_path: Path) -> None:
    programs = install(cloud, bake(cloud=cloud) / "requirements-dev.txt")
    with Reader(cloud, programs, tmp_path).at_work() as reader:
        for block in path_of(cloud):
            reader.follow(block)
    assert reader.followed >= 10


@dataclass
class Reader:
    """Somebody who follows the tutorial in a terminal of their own."""

    cloud: str
    programs: Path
    home: Path
    followed: int = 0
    output: str = ""
    emulator: str | None = None

    @contextmanager
    def at_work(self) -> Iterator[Reader]:
        """Give the reader a terminal, and end everything afterwards."""
        (self.home / "bin").mkdir()
        with ExitStack() as self.stack:
            self.environment = self.make_environment()
            self.terminal = self.open_terminal()
            yield self

    def make_environment(self) -> dict[str, str]:
        """Return an environment in which Airflow listens on loopback only, on ports that nobody else has."""
        variables = environment_of_a_project(self.programs, self.home)
        variables["PATH"] = os.pathsep.join([str(self.home / "bin"), *variables["PATH"].split(os.pathsep)[1:]])
        ports = [free_port() for _ in range(3)]
        return {
            **variables,
            "ENVIRONMENT": str(self.programs.parent),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(ports[0]),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports[1]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports[2]),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",  # seconds: machines are slow at times
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # the emulator needs it, Google does not
            "COLUMNS": "160",
        }

    def open_terminal(self) -> Terminal:
        """Open one more terminal, in the folder that the reader is in."""
        folder = self.project if hasattr(self, "terminal") else self.home
        return self.stack.enter_context(Terminal(folder, self.environment).open())

    @property
    def project(self) -> Path:
        """The folder that the reader is in."""
        return self.terminal.folder()

    def follow(self, block: Block) -> None:
        """Do what a block says, or compare with what it shows."""
        if block.not_run or block.language == "python":
            return
        self.followed += 1
        if block.title == "requirements.txt":
            missing = set(block.text.splitlines()) - set(
                (self.project / block.title).read_text(encoding="utf-8").splitlines()
            )
            assert not missing, f"{block}: requirements.txt has no {missing}"
        elif block.title == ".env":
            self.edit_env(block)
        elif block.language == "text":
            self.compare(block)
        else:
            self.type(block)

    def type(self, block: Block) -> None:
        """Type a block of commands. What keeps a terminal busy gets one of its own."""
        self.typed = text = block.text
        for words, instead in REPLACED.items():
            text = text.replace(words, instead)
        if re.search("^(aws|az) ", text, re.MULTILINE) and self.emulator is None:
            # What makes a container needs a subscription: on Azurite it is there.
            self.start_emulator(bucket="my-xcom-container" if self.cloud == "azure" else "another-bucket")
        if "airflow.sh standalone" in text:
            self.busy = self.open_terminal()
            self.output = self.busy.keep_running(text, "standalone | Airflow is ready", block)
            self.wait_for_dag()
            return
        self.output = self.terminal.run(text, block)
        if "dags trigger" in text or "tasks clear" in text:
            self.wait_for_run(block)

    def compare(self, block: Block) -> None:
        """Compare a block of output with what the last commands printed: each line, in this order."""
        lines = iter(" ".join(line.split()) for line in self.output.splitlines())
        for wanted in filter(None, (" ".join(line.split()) for line in block.text.splitlines())):
            assert any(re.search(pattern_of(wanted), line) for line in lines), (
                f"{block}: no {wanted!r} in\n{self.output}"
            )
        if self.typed.startswith(("aws s3 ls", "az storage blob list", "find")):
            assert not list(lines), f"{block}: more than that is there\n{self.output}"

    def edit_env(self, block: Block) -> None:
        """Find the lines of the block in `.env`. Where they have placeholders, fill in the emulator's connection."""
        file = self.project / ".env"
        shown, there = dotenv_values(stream=StringIO(block.text)), dotenv_values(file)
        assert {name: value_of(there.get(name)) for name in shown} == {
            name: value_of(value) for name, value in shown.items()
        }, f"{block}: .env has {there}"
        if any("PASTE-" in (value or "") for value in shown.values()):
            ((name, _),) = shown.items()
            value = there[name]
            if self.emulator is None:
                url = there["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] or ""
                self.start_emulator(bucket=url.split("@")[1].split("/")[0])
            wanted = json.loads(self.emulator or "")
            pasted = json.loads(value or "")
            if self.cloud == "aws":  # what step 1 printed
                pasted["login"], pasted["password"] = self.access_key
                pasted["extra"] = {**wanted["extra"], "region_name": "eu-central-1"}
            elif self.cloud == "azure":
                endpoint = re.search("BlobEndpoint=[^;]+", wanted["extra"]["connection_string"])
                assert endpoint
                pasted["extra"] = {"connection_string": f"{endpoint[0]};SharedAccessSignature={self.sas}"}
            else:
                assert pasted.keys() == wanted.keys()
                pasted["extra"] = wanted["extra"]
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(f"{name}={value}", f"{name}={json.dumps(pasted)}"), encoding="utf-8")

    @property
    def access_key(self) -> tuple[str, str]:
        """The ID and the secret of the access key that was made in the terminal."""
        told = self.terminal.told
        found = [re.search(rf'"{name}": "([^"]+)"', told) for name in ("AccessKeyId", "SecretAccessKey")]
        assert all(found)
        return found[0][1], found[1][1]  # type: ignore[index]

    @property
    def sas(self) -> str:
        """The SAS of step 1, made again: Azurite takes http, and the date on the page will be in the past."""
        (page,) = {block.text for block in path_of("azure") if "generate-sas" in block.text}
        text = page.replace("--https-only", "")
        for words, instead in REPLACED.items():
            text = text.replace(words, instead)
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        text, count = re.subn(r"(?<=--expiry )\S+", f"{tomorrow:%Y-%m-%dT%H:%MZ}", text)
        assert count == 1
        return self.terminal.run(text).strip().splitlines()[-1]

    def start_emulator(self, bucket: str) -> None:
        """Start the emulator of this cloud, and an `aws` or `az` command that talks to it."""
        path = (dotenv_values(self.project / ".env"))["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] or ""
        probe = ROOT / "tools" / "probes" / "hold_store.py"
        arguments = [str(one) for one in (self.programs / "python", probe, path, bucket)]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **self.environment,
                "PATH": f"{self.programs}{os.pathsep}{self.environment['PATH']}",
                "PYTHONPATH": python_path(self.project),
            },
            encoding="utf-8",
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.stdin.close)  # type: ignore[union-attr]
        self.emulator = process.stdout.readline()  # type: ignore[union-attr]
        if self.cloud == "aws":
            endpoint = json.loads(self.emulator)["extra"]["endpoint_url"]
            keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
            write_command(self.home / "bin", "aws", AWS_ENDPOINT_URL=endpoint, AWS_PAGER="", **keys)
        elif self.cloud == "azure":
            write_command(
                self.home / "bin",
                "az",
                AZURE_STORAGE_CONNECTION_STRING=json.loads(self.emulator)["extra"]["connection_string"],
                AZURE_CONFIG_DIR=str(self.home / "azure"),
                AZURE_CORE_COLLECT_TELEMETRY="false",
            )

    def wait_for_dag(self) -> None:
        """Wait until Airflow has read the Dag, as a reader waits for it in the UI."""
        self.wait("SELECT 1 FROM dag WHERE dag_id = 'custom_xcom_backend_test'", 1, "the Dag is not there")

    def wait_for_run(self, block: Block) -> None:
        """Wait until the run succeeded, as a reader waits for green."""
        self.wait("SELECT state FROM dag_run", "success", f"{block}: no green run")

    def wait(self, query: str, wanted: Any, otherwise: str) -> None:
        """Wait until a query of the metadata database gives this."""
        file = self.project / ".astro" / "standalone" / "airflow.db"
        deadline = time.monotonic() + SECONDS
        row: Any = None
        while time.monotonic() < deadline:
            with suppress(sqlite3.OperationalError), sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
                row = database.execute(query).fetchone()
            if row == (wanted,):
                return
            assert row != ("failed",), f"{otherwise}\n{self.busy.told[-5000:]}"
            time.sleep(1)
        raise AssertionError(f"{otherwise}: {row}\n{self.busy.told[-5000:]}")


class Terminal:
    """A bash that stays open, so that folders, variables and virtual environments stay too."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """Prepare a terminal in this folder."""
        self.start, self.environment, self.told = folder, environment, ""

    @contextmanager
    def open(self) -> Iterator[Terminal]:
        """Start bash, and end it with all that it started."""
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.start,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        try:
            self.run("set -eo pipefail")
            yield self
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.bash.pid, signal.SIGTERM)
            try:
                self.bash.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.bash.pid, signal.SIGKILL)
            self.reader.join(timeout=30)
            with suppress(ProcessLookupError):  # Airflow's own children outlive a parent that was told to end
                os.killpg(self.bash.pid, signal.SIGKILL)

    def read(self) -> None:
        """Keep what is printed."""
        assert self.bash.stdout is not None
        for line in self.bash.stdout:
            self.told += line

    def send(self, text: str) -> int:
        """Type a text, and return where its output will begin."""
        assert self.bash.stdin is not None
        begin = len(self.told)
        self.bash.stdin.write(f"{text}\n")
        self.bash.stdin.flush()
        return begin

    def run(self, text: str, block: Block | None = None) -> str:
        """Run commands to their end and return what they printed. Any that fails ends the test."""
        end = f"end of {time.monotonic_ns()}"
        begin = self.send(f"{{\n{text}\n}} < /dev/null\necho '{end}'")
        self.wait_for(end, begin, block)
        return self.told[begin:].partition(end)[0]

    def keep_running(self, text: str, sign: str, block: Block) -> str:
        """Start what does not end, and return what it printed until the sign of its being ready."""
        begin = self.send(f"{{\n{text}\n}} < /dev/null")
        self.wait_for(sign, begin, block)
        return self.told[begin:]

    def wait_for(self, words: str, begin: int, block: Block | None) -> None:
        """Wait until these words were printed."""
        deadline = time.monotonic() + SECONDS
        while words not in self.told[begin:]:
            ended = self.bash.poll() is not None and not self.reader.is_alive()
            assert not ended, f"{block} failed:\n{self.told[begin:]}"
            assert time.monotonic() < deadline, f"{block} takes more than {SECONDS} s:\n{self.told[begin:][-5000:]}"
            time.sleep(0.1)

    def folder(self) -> Path:
        """Return the folder that bash is in."""
        return Path(os.readlink(f"/proc/{self.bash.pid}/cwd"))


def value_of(text: str | None) -> Any:
    """Return what a line of `.env` means: of JSON its data, in which the order of keys says nothing."""
    return json.loads(text) if text and text.startswith("{") else text
