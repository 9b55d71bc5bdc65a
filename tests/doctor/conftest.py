"""A project in a temporary folder, a real store, and the doctor that looks at both.

The doctor and the emulators are those of a baked project: `XCOM_PROJECT` is its folder.
tests/projects/test_doctor.py runs this.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import emulators
import object_stores
import pytest

HERE = Path(__file__).parent
if "XCOM_PROJECT" not in os.environ:
    raise pytest.UsageError("XCOM_PROJECT is not set: run tests/projects/test_doctor.py, which bakes a project")
PROJECT = Path(os.environ["XCOM_PROJECT"])

BACKEND = "AIRFLOW__CORE__XCOM_BACKEND"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"
PROVIDER = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"

# Before the first import of Airflow. Nothing here can reach a real cloud.
for _name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
    del os.environ[_name]
_folder = tempfile.TemporaryDirectory(prefix="doctor-", ignore_cleanup_errors=True)
_home = _folder.name
_bundle = {
    "name": "doctor",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {"path": str(HERE / "dags")},
}
os.environ.update(
    {
        "AIRFLOW_HOME": _home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_home}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([_bundle]),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        BACKEND: PROVIDER,
    }
)


@pytest.fixture(scope="session", autouse=True)
def metadata_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with object_stores.s3("my_aws_conn") as store:
        yield str(extra_of(store)["endpoint_url"])


@pytest.fixture(scope="session")
def gcs() -> Iterator[str]:
    with object_stores.gcs("my_gcp_conn") as store:
        yield extra_of(store)["gcs.endpoint"]


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    with object_stores.azure("my_azure_conn") as store:
        yield re.findall(r"BlobEndpoint=([^;]+)", extra_of(store)["connection_string"])[0]


def extra_of(store: Any) -> dict[str, str]:
    """Return the extra of the connection that leads to an emulator."""
    extra: dict[str, str] = json.loads(store.connection)["extra"]
    return extra


def client(endpoint: str, service: str = "s3") -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="emulator-id",
        aws_secret_access_key="emulator-secret",  # noqa: S106
    )


class Patient:
    """A project with settings, and the doctor's word on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Start with no setting of XCom at all."""
        self.root, self.patch = root, monkeypatch
        self.settings: dict[str, str] = {}
        self.secrets: dict[str, str] = {}  # connections as only their owner knows them
        self.restore: Callable[[str], object] = lambda what: self.fail(what)
        self.results: list[Any] = []
        for name in [
            name
            for name in os.environ
            if name.startswith(("AIRFLOW__COMMON_IO", "AIRFLOW__XCOM_BACKEND", "AIRFLOW_CONN_", BACKEND))
        ]:
            monkeypatch.delenv(name)

    def set(self, **settings: str | None) -> Patient:
        """Put settings into .env and into the process, as astro does; None removes one."""
        for name, value in settings.items():
            self.settings.pop(name, None)
            if value is None:
                self.patch.delenv(name, raising=False)
            else:
                self.settings[name] = value
                self.patch.setenv(name, value)
        self.write_env()
        return self

    def owns(self, **connections: str) -> Patient:
        """Set connections, and remember them for the fix that asks for the real values."""
        self.secrets |= connections
        return self.set(**connections)

    def fail(self, what: str) -> None:
        """Refuse to follow a fix."""
        raise AssertionError(f"no test has said how to follow: {what}")

    def write_env(self, raw: dict[str, str] | None = None) -> None:
        """Write .env; `raw` goes into the file only."""
        lines = [f"{name}={value}" for name, value in (self.settings | (raw or {})).items()]
        (self.root / ".env").write_text("\n".join(lines) + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def examine(self, **options: Any) -> list[Any]:
        """Run the doctor in this process; no check may break."""
        from include.xcom_doctor import Situation, examine

        forget()
        run = {name: options.pop(name) for name in ("only", "offline") if name in options}
        self.results = examine(Situation(self.root, **options), **run)
        broken = [result for result in self.results if result.state == "error"]
        assert not broken, broken
        return self.results

    def of(self, state: str) -> dict[str, Any]:
        """Return the results in one state."""
        return {result.check: result for result in self.results if result.state == state}

    def told(self) -> str:
        """Return all that is not healthy, for the message of an assertion."""
        return "; ".join(f"{one.check} {one.state}: {one.seen}" for one in self.results if one.state != "ok")

    def is_healthy(self, **options: Any) -> None:
        """No finding, and exit code 0."""
        from include.xcom_doctor import exit_code

        self.examine(**options)
        assert not self.of("finding"), self.told()
        assert exit_code(self.results) == 0

    def has(self, check: str, seen: str = "", fix: str = "", state: str = "finding", **options: Any) -> Any:
        """Exactly this finding (or warning), with these words; the exit code goes with it."""
        from include.xcom_doctor import exit_code

        self.examine(**options)
        assert set(self.of("finding")) == ({check} if state == "finding" else set()), self.told()
        result = self.of(state)[check]
        assert seen in result.seen, result
        assert fix in result.fix, result
        assert result.why
        assert result.fix
        assert exit_code(self.results) == (1 if state == "finding" else 0)
        return result

    def fix(self, result: Any) -> None:
        """Do what the fix says, to the letter."""
        with Path(os.environ.get("XCOM_FOLLOWED", f"{_home}/followed")).open("a") as file:
            file.write(f"{result.check}\n")
        for line in result.fix.splitlines():
            for pattern, follow in FIXES.items():
                if match := re.search(pattern, line):
                    follow(self, *match.groups())
                    break
            else:
                raise AssertionError(f"a fix that no test can follow: {line}")

    def is_fixed_by_its_word(self, check: str, seen: str = "", fix: str = "", **options: Any) -> None:
        """Exactly this finding; then its fix line is followed, and there is none."""
        self.fix(self.has(check, seen, fix, **options))
        self.is_healthy(**options)


def merge(patient: Patient, name: str, text: str) -> None:
    """Put a field into the JSON of a connection."""
    connection, more = json.loads(patient.settings[name]), json.loads("{" + text + "}")
    more["extra"] = connection.get("extra", {}) | more.get("extra", {})
    patient.set(**{name: json.dumps(connection | more)})


def change(how: Callable[[str], str]) -> Callable[[Patient, str], object]:
    return lambda patient, name: patient.set(**{name: how(patient.settings[name])})


def rewrite(patient: Patient, name: str, how: Callable[[str], str]) -> None:
    patient.write(name, how((patient.root / name).read_text()))


def without_line(text: str, part: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if part not in line)


def rename(patient: Patient, old: str, new: str) -> None:
    value = patient.settings[old]
    patient.set(**{old: None}).set(**{new: value})


def put_right(patient: Patient, file: str, right: str) -> None:
    def add(text: str) -> str:
        policy = json.loads(text)
        policy["Statement"][0]["Action"].append(right)
        return json.dumps(policy)

    rewrite(patient, file, add)


def in_shell(patient: Patient, command: str) -> None:
    subprocess.run(command, shell=True, cwd=patient.root, check=True)  # noqa: S602


def with_aws(patient: Patient, command: str) -> None:
    """Do what `aws` would do: it is not installed here."""
    s3: Any = patient.s3  # type: ignore[attr-defined]
    words = shlex.split(command)
    option = dict(pairwise(words[3:]))
    if words[2] == "mb":
        s3.create_bucket(Bucket=words[3].removeprefix("s3://"))
    elif words[2] == "rm":
        bucket, _, key = words[3].removeprefix("s3://").partition("/")
        s3.delete_object(Bucket=bucket, Key=key)
    elif words[2] == "put-bucket-encryption":
        rules = json.loads(option["--server-side-encryption-configuration"])
        s3.put_bucket_encryption(Bucket=option["--bucket"], ServerSideEncryptionConfiguration=rules)
    else:
        assert words[2] == "put-public-access-block"
        blocks = dict(pair.split("=") for pair in option["--public-access-block-configuration"].split(","))
        s3.put_public_access_block(
            Bucket=option["--bucket"],
            PublicAccessBlockConfiguration={name: value == "true" for name, value in blocks.items()},
        )


def paste(patient: Patient, name: str, example: str = "{}") -> None:
    """Put the real values into a connection: where the fix shows an example, it has to be one of this kind."""
    shown = json.loads(example).get("conn_type")
    assert shown in (None, json.loads(patient.secrets[name])["conn_type"])
    patient.set(**{name: patient.secrets[name]})


def restart(patient: Patient) -> None:
    """Let the process see what .env says, as a new container does."""
    for line in (patient.root / ".env").read_text().splitlines():
        name, _, value = line.partition("=")
        patient.patch.setenv(name, value)


# What a fix says -> how a machine follows it. What only a test can do is its `restore`: to grant a right, to install.
FIXES: dict[str, Callable[..., object]] = {
    r"set in \.env: (AIRFLOW_CONN_\w+)=(\{.*\})$": paste,
    r"(?:real values|valid key|new token).* into (AIRFLOW_CONN_\w+)": paste,
    r"endpoint in (AIRFLOW_CONN_\w+)$": paste,
    r"set in \.env: (\w+)=(\S+)/<name of this deployment>": lambda patient, name, value: patient.set(
        **{name: f"{value}/mine"}
    ),
    r"astro dev restart$": restart,
    r"requirements\.txt: (\S+)$": lambda patient, package: patient.restore(package),
    r"identity's IAM policy: (\S+ on \S+)": lambda patient, right: patient.restore(right),
    r"(SAS letter \w)": lambda patient, letter: patient.restore(letter),
    r"create it: ((?:gcloud|az) .*)$": lambda patient, command: patient.restore(command),
    r"a maintained Runtime in the Dockerfile": lambda patient: rewrite(
        patient, "Dockerfile", lambda text: re.sub(r"FROM .*", "FROM astrocrpublic.azurecr.io/runtime:3.3-8", text)
    ),
    r"add a lifecycle rule": lambda patient: harden(patient.s3, patient.bucket),
    r"set in \.env: (\w+)=([^\s,;]*)": lambda patient, name, value: patient.set(**{name: value}),
    r"rename in \.env: (\S+) -> (\w+)": rename,
    r"remove from \.env: line (\d+)": lambda patient, line: rewrite(
        patient,
        ".env",
        lambda text: "".join(l for n, l in enumerate(text.splitlines(True), 1) if n != int(line)),  # noqa: E741
    ),
    r"remove from \.env: (\w+)": lambda patient, name: patient.set(**{name: None}),
    r"remove in \.env: the quotes around the value of (\w+)": change(lambda text: text.strip()[1:-1]),
    r"remove in \.env: the comment or blanks around the value of (\w+)": change(
        lambda text: re.split(r" #", text)[0].strip()
    ),
    r"append to the value of (\w+) in \.env: (\S+)": lambda patient, name, end: (
        patient.set(**{name: patient.settings[name] + end}) and None
    ),
    r"in the value of (\w+) in \.env, write double quotes": change(lambda text: text.replace("'", '"')),
    r"in the value of (\w+) in \.env, delete each comma": change(lambda text: re.sub(r",\s*}", "}", text)),
    r"^in (AIRFLOW_CONN_\w+): (.*)$": merge,
    r"^in (remote-execution/\S+): (\w+) value: (.*)$": lambda patient, file, name, value: rewrite(
        patient, file, lambda text: re.sub(rf"({name}\s*\n\s*value:) \S+", rf"\1 {value}", text)
    ),
    r"remove from Dockerfile: ENV (\w+)": lambda patient, name: rewrite(
        patient, "Dockerfile", lambda text: without_line(text, f"ENV {name}")
    ),
    r"remove from airflow_settings.yaml: the connection (\w+)": lambda patient, name: rewrite(
        patient, "airflow_settings.yaml", lambda text: re.sub(rf" *- conn_id: {name}\n( +\w+: .*\n)*", "", text)
    ),
    r"remove from (/\S+\.cfg): (\w+)": lambda patient, file, name: rewrite(
        patient, file, lambda text: without_line(text, name)
    ),
    r"add to (infra/\S+): ([\w:]+)": put_right,
    r"(mkdir -p .* && chmod .*)$": in_shell,
    r"(aws s3\w* .*)$": with_aws,
}


def forget() -> None:
    """Make the libraries forget connections and settings of the last test."""
    from airflow.providers.common.io.xcom import backend

    for getter in (backend._get_base_path, backend._get_compression, backend._get_threshold):
        getter.cache_clear()
    for name in ("airflow.sdk.io.store", "airflow.io.store"):
        if name in sys.modules:
            sys.modules[name]._STORE_CACHE.clear()
    for name, cls in (("s3fs", "S3FileSystem"), ("gcsfs", "GCSFileSystem"), ("adlfs", "AzureBlobFileSystem")):
        if name in sys.modules:
            getattr(sys.modules[name], cls).clear_instance_cache()
    if "include.xcom_backend.settings" in sys.modules:
        sys.modules["include.xcom_backend.settings"].settings.cache_clear()


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    return Patient(tmp_path, monkeypatch)


@pytest.fixture
def on_s3(patient: Patient, moto: str) -> Patient:
    """A healthy project on S3, with a bucket of its own that is set up as infra/ does."""
    bucket = f"xcom-{uuid.uuid4().hex[:12]}"
    s3 = client(moto)
    s3.create_bucket(Bucket=bucket)
    harden(s3, bucket)
    patient.bucket, patient.s3 = bucket, s3  # type: ignore[attr-defined]
    return patient.set(
        **{
            BACKEND: PROVIDER,
            PATH: f"s3://my_aws_conn@{bucket}/xcom",
            THRESHOLD: "1000",
            COMPRESSION: "",
        }
    ).owns(AIRFLOW_CONN_MY_AWS_CONN=emulators.aws_connection(moto))


def harden(s3: Any, bucket: str) -> None:
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    rule: dict[str, Any] = {"ID": "xcom", "Status": "Enabled", "Prefix": "xcom/"}
    rule["Expiration"] = {"Days": 30}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    algorithm = {"SSEAlgorithm": "AES256"}
    rules = [{"ApplyServerSideEncryptionByDefault": algorithm}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


@pytest.fixture
def on_gcs(patient: Patient, gcs: str) -> Patient:
    bucket = f"xcom-{uuid.uuid4().hex[:12]}"
    emulators.make_gcs_bucket(gcs, bucket)
    patient.bucket = bucket  # type: ignore[attr-defined]
    return patient.set(
        **{
            BACKEND: PROVIDER,
            PATH: f"gs://my_gcp_conn@{bucket}/xcom",
            THRESHOLD: "1000",
        }
    ).owns(AIRFLOW_CONN_MY_GCP_CONN=emulators.gcp_connection(gcs))


@pytest.fixture
def on_azure(patient: Patient, azurite: str) -> Patient:
    from azure.storage.blob import BlobServiceClient

    bucket, connection = f"xcom-{uuid.uuid4().hex[:12]}", emulators.azure_connection(azurite)
    service = BlobServiceClient.from_connection_string(json.loads(connection)["extra"]["connection_string"])
    service.create_container(bucket)
    patient.bucket, patient.service = bucket, service  # type: ignore[attr-defined]
    return patient.set(
        **{
            BACKEND: PROVIDER,
            PATH: f"abfs://my_azure_conn@{bucket}/xcom",
            THRESHOLD: "1000",
        }
    ).owns(AIRFLOW_CONN_MY_AZURE_CONN=connection)


@pytest.fixture
def on_folder(patient: Patient, tmp_path: Path) -> Patient:
    return patient.set(**{BACKEND: PROVIDER, PATH: f"file://{tmp_path}/store", THRESHOLD: "1000"})


@pytest.fixture
def identity(moto: str) -> Iterator[Callable[..., str]]:
    """Return a function that makes moto enforce IAM, and a connection whose identity has just these rights."""
    iam = client(moto, "iam")
    user = f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]

    def grant(bucket: str, without: str = "") -> str:
        enforce(moto, False)
        objects = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"} - {without}
        statements = [{"Effect": "Allow", "Action": sorted(objects), "Resource": f"arn:aws:s3:::{bucket}/xcom/*"}]
        if without != "s3:DeleteObject":  # moto asks a DeleteObjects request for it on the bucket; AWS on each object
            statements.append({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{bucket}"})
        if without != "s3:ListBucket":
            # AWS takes s3:ListBucket for a HeadBucket request; moto wants an action of that name, which AWS lacks.
            listing = ["s3:ListBucket", "s3:HeadBucket"]
            statements.append({"Effect": "Allow", "Action": listing, "Resource": f"arn:aws:s3:::{bucket}"})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=user, PolicyName="xcom", PolicyDocument=policy)
        enforce(moto, True)
        return emulators.aws_connection(moto, key["AccessKeyId"], key["SecretAccessKey"])

    yield grant
    enforce(moto, False)


def enforce(moto: str, on: bool) -> None:
    body = b"0" if on else b"inf"
    emulators.post(f"{moto}/moto-api/reset-auth", body, "text/plain")
