"""The commands of the how-to pages, run as they stand there: those that need an account with AWS, on moto."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dotenv import dotenv_values

from tools.baking import ROOT, Bake, Install, environment_of_a_project, run
from tools.blocks import Block, blocks_of
from tools.environments import python_path
from tools.readers_tools import tool, write_command

HOW_TO = ROOT / "docs" / "how-to"
PROBES = ROOT / "tools" / "probes"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def block_of(page: str, language: str, words: str) -> Block:
    """Return the one block of a page with these words."""
    (found,) = (block for block in blocks_of(HOW_TO / page) if block.language == language and words in block.text)
    assert not found.not_run
    return found


@pytest.fixture
def programs(bake: Bake, install: Install) -> Path:
    """The folder of the programs of a project on AWS with the custom class."""
    return install("aws-custom", bake(cloud="aws", xcom_backend="custom") / "requirements-dev.txt")


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """A project on AWS with the custom class, to write in."""
    return Path(shutil.copytree(bake(cloud="aws", xcom_backend="custom"), tmp_path / "project"))


@contextmanager
def store(project: Path, environment: dict[str, str], programs: Path) -> Iterator[str]:
    """Run moto with the bucket of the pages, and yield a connection to it."""
    path = dotenv_values(project / ".env")["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] or ""
    command = [str(programs / "python"), str(PROBES / "hold_store.py"), path, "my-xcom-bucket"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    variables = {**environment, "PYTHONPATH": python_path(project)}
    with subprocess.Popen(command, env=variables, encoding="utf-8", **pipes) as process:  # type: ignore[call-overload]
        yield process.stdout.readline()
        process.stdin.close()


def test_the_lifecycle_rule_arrives(project: Path, programs: Path, tmp_path: Path) -> None:
    environment = environment_of_a_project(programs, tmp_path)
    rules = block_of("retention.md", "json", '"Expiration"')
    (tmp_path / "lifecycle.json").write_text(rules.text)
    with store(project, environment, programs) as connection:
        endpoint = json.loads(connection)["extra"]["endpoint_url"]
        write_command(tmp_path, "aws", AWS_ENDPOINT_URL=endpoint, AWS_PAGER="", **KEYS)
        environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
        text = block_of("retention.md", "bash", "aws s3api").text
        run("bash", "-c", text, cwd=tmp_path, env=environment, check=True)
        read = "aws s3api get-bucket-lifecycle-configuration --bucket my-xcom-bucket --output json"
        there = json.loads(run("bash", "-c", read, cwd=tmp_path, env=environment, check=True).stdout)
    assert there["Rules"] == json.loads(rules.text)["Rules"]


def test_old_files_of_a_local_folder_go(tmp_path: Path) -> None:
    store = tmp_path / "logs" / "xcom-store"
    store.mkdir(parents=True)
    for name, days in (("old", 92), ("young", 88)):
        (store / name).touch()
        then = time.time() - 86_400 * days
        os.utime(store / name, (then, then))
    run("bash", "-c", block_of("retention.md", "bash", "find").text, cwd=tmp_path, check=True)
    assert [file.name for file in store.iterdir()] == ["young"]


def test_duckdb_opens_what_the_dag_of_the_page_stored(project: Path, programs: Path, tmp_path: Path) -> None:
    dag = next(block for block in blocks_of(HOW_TO / "dataframes.md") if block.title == "dags/daily_sales.py")
    (project / dag.title).write_text(dag.text + "\n", encoding="utf-8")
    environment = environment_of_a_project(programs, tmp_path) | {
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    settings = {name: value or "" for name, value in dotenv_values(project / ".env").items()}
    airflow = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONPATH": str(project)}
    airflow |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags")}
    with store(project, environment, programs) as connection:
        settings["AIRFLOW_CONN_MY_AWS_CONN"] = connection
        run_dag = (programs / "python", PROBES / "run_dag.py", "daily_sales")
        done = run(*run_dag, cwd=project, env={**environment, **settings, **airflow}, check=True)
        assert json.loads(done.stdout.splitlines()[-1])["state"] == "success"
        prepare_duckdb(tmp_path, json.loads(connection)["extra"]["endpoint_url"])
        shell = {"PATH": f"{tool('duckdb').parent}{os.pathsep}{environment['PATH']}", "HOME": str(tmp_path), **KEYS}
        done = run("bash", "-c", block_of("dataframes.md", "bash", "duckdb").text, env=shell)
    assert done.stdout.strip() == block_of("dataframes.md", "text", "city,total").text, done.stderr


def prepare_duckdb(home: Path, endpoint: str) -> None:
    """Give DuckDB its extension for s3://, which it would download, and the address of moto in place of that of AWS."""
    folder = tool("duckdb").parent.parent
    (extension,) = folder.rglob("httpfs.duckdb_extension")
    platform = run(tool("duckdb"), "-noheader", "-list", "-c", "pragma platform", check=True).stdout.strip()
    there = home / ".duckdb" / "extensions" / extension.parent.name / platform
    there.mkdir(parents=True)
    shutil.copy(extension, there)
    address = f"set s3_endpoint='{urlsplit(endpoint).netloc}'; set s3_use_ssl=false; set s3_url_style='path';"
    (home / ".duckdbrc").write_text(address + "\n")
