"""The emitted .env says the same to all that reads it: python-dotenv, Docker, airflow.sh, the Astro CLI alone."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from tools.baking import Answers, Bake, name_of, product, run
from tools.baking import bake as bake_into
from tools.projects import read_as_docker

BACKEND = "AIRFLOW__CORE__XCOM_BACKEND"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"

# What the defaults become in each cloud: path, connection ID, connection type. Written a second time on purpose.
DEFAULTS = {
    "aws": ("s3://my_aws_conn@my-xcom-bucket/xcom", "my_aws_conn", "aws"),
    "gcp": ("gs://my_gcp_conn@my-xcom-bucket/xcom", "my_gcp_conn", "google_cloud_platform"),
    "azure": ("abfs://my_azure_conn@my-xcom-container/xcom", "my_azure_conn", "wasb"),
    "local": ("file://logs/xcom-store/xcom", None, None),
}
STRANGE_BUT_LEGAL: list[Answers] = [
    {"cloud": "aws", "connection_id": "My_Conn_2", "bucket": "a.b-c.0", "threshold": "0"},
    {"cloud": "aws", "connection_id": "_", "bucket": "a" * 63, "threshold": "-1"},
    {"cloud": "gcp", "connection_id": "UPPER", "bucket": "a_b.c-d", "threshold": "999999999"},
    {"cloud": "gcp", "connection_id": "x" * 200, "bucket": ".".join(["a" * 63] * 3), "compression": "lz4"},
    {"cloud": "azure", "connection_id": "true", "bucket": "000", "compression": "xz"},
    {"cloud": "local", "bucket": "/srv/xcom_store", "threshold": "007"},
    {"cloud": "local", "bucket": "Data.v1/_x-y", "project_name": "# $HOME ${HOME} \"'`"},
]
EVERY = [*product(), *STRANGE_BUT_LEGAL]
every_env_file = pytest.mark.parametrize("answers", EVERY, ids=map(name_of, EVERY))


def read_as_astro_standalone(text: str) -> dict[str, str]:
    """Read a file as `astro dev start --standalone` does (astro-cli, pkg/airflowrt/env.go, LoadEnvFile)."""
    values = {}
    for line in text.split("\n"):
        line = line.strip()
        if not line or line.startswith("#") or "=" not in line:
            continue
        name, _, value = line.partition("=")
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        values[name] = value[1:-1] if quoted else value
    return values


def read_as_dotenv(text: str) -> dict[str, str | None]:
    """Read a file by python-dotenv, with its replacing of `${NAME}`, as the tests of the project do."""
    return dict(dotenv_values(stream=io.StringIO(text)))


def read_by_all(text: str) -> dict[str, str]:
    """Return what the file says, after all readers agreed."""
    values = read_as_docker(text)
    assert read_as_dotenv(text) == values
    assert read_as_astro_standalone(text) == values
    return values


def started_by_airflow_sh(project: Path, **environment: str) -> dict[str, str]:
    """Return the environment of what `./airflow.sh` starts."""
    environment["PATH"] = os.environ["PATH"]
    told = run(project / "airflow.sh", "bash", "-c", "env -0", cwd="/", env=environment).stdout
    return dict(variable.split("=", 1) for variable in told.split("\0") if variable)


def connections(values: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return each connection by the end of its variable's name, as Airflow's Connection.from_json takes it."""
    found = {}
    for name, value in values.items():
        if name.startswith("AIRFLOW_CONN_"):
            connection = json.loads(value)
            assert set(connection) <= {
                "conn_type",
                "description",
                "host",
                "login",
                "password",
                "schema",
                "port",
                "extra",
            }
            assert isinstance(connection["conn_type"], str)
            assert isinstance(connection.get("extra", {}), dict)
            found[name.removeprefix("AIRFLOW_CONN_")] = connection
    return found


@every_env_file
def test_all_readers_agree_about_every_variable(answers: Answers, bake: Bake) -> None:
    text = (bake(**answers) / ".env").read_text(encoding="utf-8")
    values = read_by_all(text)
    assert started_by_airflow_sh(bake(**answers)).items() >= values.items()
    path, connection_id, conn_type = DEFAULTS[answers["cloud"]]
    if "bucket" in answers:
        path = re.sub(r"(?<=[@])[^/]+|(?<=file://).*(?=/xcom$)", answers["bucket"], path)
    if connection_id and "connection_id" in answers:
        path = path.replace(connection_id, answers["connection_id"])
        connection_id = answers["connection_id"]
    compression = answers.get("compression", "none")

    assert values.pop(PATH) == path
    assert values.pop(THRESHOLD) == answers.get("threshold", "1000")
    assert values.pop(COMPRESSION) == ("" if compression == "none" else compression)
    custom = answers.get("xcom_backend") == "custom"
    assert values.pop(BACKEND).endswith(".XComBackend" if custom else ".XComObjectStorageBackend")
    if answers.get("astro_sdk"):
        assert values.pop("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES") == "airflow.* astro.*"
        sqlite = json.loads(values.pop("AIRFLOW_CONN_ASTRO_SDK_SQLITE"))
        assert sqlite == {"conn_type": "sqlite", "host": "/tmp/astro_sdk_xcom.db"}  # noqa: S108
    if answers.get("explorer"):
        assert values.pop("AIRFLOW__XCOM_EXPLORER__READ_VALUES") == str(not answers.get("remote_execution"))
    expected = {connection_id.upper(): conn_type} if connection_id else {}
    if answers.get("mirror"):
        assert values.pop("AIRFLOW__XCOM_BACKEND__MIRROR") == answers["mirror"]
        scheme, _, rest = answers["mirror"].partition("://")
        kinds = {path.partition("://")[0]: kind for path, _, kind in DEFAULTS.values()}
        if kinds[scheme]:
            expected[rest.partition("@")[0].upper()] = kinds[scheme]
    found = connections(values)
    assert {name: connection["conn_type"] for name, connection in found.items()} == expected
    assert [f"AIRFLOW_CONN_{name}" for name in found] == list(values), "variables that no test knows"


@pytest.mark.skipif(os.name == "nt", reason="Airflow does not run on Windows")
def test_airflow_sh_keeps_what_is_set_and_moves_all_to_another_port(bake: Bake) -> None:
    project = bake(cloud="aws")
    found = started_by_airflow_sh(project, AIRFLOW__API__PORT="8081", PYTHONPATH="/mine", **{THRESHOLD: "7 8"})
    assert found[THRESHOLD] == "7 8"
    assert found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://localhost:8081/execution/"
    assert found["AIRFLOW__CORE__DAGS_FOLDER"] == str(project / "dags")
    assert found["AIRFLOW_HOME"] == str(project / ".astro" / "standalone")
    assert found["PYTHONPATH"] == f"{project}:/mine"
    assert found["PATH"].startswith(f"{project}/.venv/bin:")
    mine = started_by_airflow_sh(project, AIRFLOW__CORE__EXECUTION_API_SERVER_URL="http://elsewhere/execution/")
    assert mine["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://elsewhere/execution/"


@every_env_file
def test_the_file_keeps_to_the_form_that_compose_reads_too(answers: Answers, bake: Bake) -> None:
    for line in (bake(**answers) / ".env").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"|#.*|[A-Z][A-Z0-9_]*=([^\s\"'$#][^$#]*[^\s\"'$#]|\S?)", line), line
        assert line.isascii()
        assert " #" not in line


@every_env_file
def test_a_comment_stands_before_every_variable(answers: Answers, bake: Bake) -> None:
    blocks = (bake(**answers) / ".env").read_text(encoding="utf-8").strip().split("\n\n")
    assert all(block.startswith("# ") for block in blocks)
    assert all(len(read_as_docker(block)) <= 1 for block in blocks)


@pytest.mark.parametrize("cloud", [cloud for cloud, (_, connection_id, _) in DEFAULTS.items() if connection_id])
def test_every_secret_is_a_placeholder_that_says_what_to_paste(cloud: str, bake: Bake) -> None:
    (connection,) = connections(read_by_all((bake(cloud=cloud) / ".env").read_text())).values()
    extra = connection.pop("extra")
    del connection["conn_type"]
    for name, value in {**connection, **extra}.items():
        assert re.fullmatch(r"PASTE-[A-Z-]+", value), f"{name} is {value}"


# Made up, in the shape of the real ones: the characters that such secrets have are the point.
PASTED = {
    "aws": {
        "PASTE-THE-ACCESS-KEY-ID": "AKIAEXAMPLE0EXAMPLE0",
        "PASTE-THE-SECRET-ACCESS-KEY": "ex/am+ple/0000000000+/=EXAMPLE/KEY000000",
        "PASTE-THE-REGION-OF-THE-BUCKET": "eu-central-1",
    },
    "gcp": {
        "PASTE-THE-PROJECT-ID": "my-project-1",
        '"PASTE-THE-KEYFILE-JSON-IN-ONE-LINE-WITHOUT-THESE-QUOTES"': json.dumps(
            {
                "type": "service_account",
                "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE/ex+am=\nple==\n-----END PRIVATE KEY-----\n",
                "client_email": "xcom@my-project-1.iam.gserviceaccount.com",
            }
        ),
    },
    "azure": {
        "PASTE-THE-CONNECTION-STRING": "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=ex+am/ple==;"
        "BlobEndpoint=https://x.blob.core.windows.net/;SharedAccessSignature=sv=2024-01-01&sig=a%2Bb%3D&se=2030-01-01T00:00:00Z"
    },
}


@pytest.mark.parametrize("cloud", PASTED)
def test_real_credentials_pasted_over_the_placeholders_reach_every_reader(cloud: str, bake: Bake) -> None:
    text = (bake(cloud=cloud) / ".env").read_text()
    for placeholder, secret in PASTED[cloud].items():
        assert placeholder in text
        text = text.replace(placeholder, secret)
    (connection,) = connections(read_by_all(text)).values()
    assert "PASTE-" not in json.dumps(connection)
    if cloud == "gcp":
        assert connection["extra"]["keyfile_dict"]["private_key"].count("\n") == 4


def test_the_readers_differ_where_they_are_known_to() -> None:
    """Else the tests above would prove nothing."""
    assert read_as_docker('A="1"') == {"A": '"1"'}
    assert read_as_dotenv('A="1"') == read_as_astro_standalone('A="1"') == {"A": "1"}
    assert read_as_docker("A=1 # one") == read_as_astro_standalone("A=1 # one") == {"A": "1 # one"}
    assert read_as_dotenv("A=1 # one") == {"A": "1"}
    for text in ('A="1"', "A=1 # one", "A=${B}", "export A=1", "A = 1"):
        with pytest.raises((AssertionError, ValueError)):
            read_by_all(text)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_only_its_owner_reads_env_and_containers_read_what_they_mount(home: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        project = bake_into(home, tmp_path, {"cloud": "local"})
    finally:
        os.umask(before)
    assert (project / ".env").stat().st_mode & 0o777 == 0o600
    folders = [project / name for name in (".astro", "dags", "include", "plugins", "tests")]
    mounted = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    needed = {True: 0o055, False: 0o044}
    assert [path for path in mounted if path.stat().st_mode & needed[path.is_dir()] != needed[path.is_dir()]] == []
