"""What differs by cloud, one class each: names, identity, endpoint, rights, and what the bucket tells of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

from include.xcom_doctor.model import NotAskedError, Outcome, ok, plural, warning

STEPS = ("write", "read", "list", "overwrite", "delete")


@dataclass(frozen=True)
class ConnectionFacts:
    """A connection, read once."""

    conn_id: str
    conn_type: str
    host: str
    login: str
    password: str = field(repr=False)
    extra: dict[str, Any] = field(repr=False)

    def get(self, name: str) -> str:
        """A field of the extra, also under its old name `extra__<type>__<name>`."""
        value = self.extra.get(name) or self.extra.get(f"extra__{self.conn_type}__{name}")
        return value if isinstance(value, str) else json.dumps(value) if value else ""

    def part(self, name: str) -> str:
        """One part of an Azure connection string, such as `BlobEndpoint`."""
        parts = dict(part.split("=", 1) for part in self.get("connection_string").split(";") if "=" in part)
        return {key.lower(): value for key, value in parts.items()}.get(name.lower(), "")

    def as_dict(self) -> dict[str, Any]:
        """Every field, by its name."""
        return {"login": self.login, "password": self.password, "host": self.host, "extra": self.extra}


class Cloud:
    """A store that nobody here knows; each cloud below says of itself what is known."""

    name = "an unknown store"
    schemes: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[tuple[str, ...]] = ()  # schemes of other tools for the same store
    conn_types: ClassVar[tuple[str, ...]] = ()  # none: the store needs no connection
    provider = "apache-airflow"  # the Airflow provider with the filesystem
    module = "fsspec"  # the package with the filesystem, and what pip calls the two together
    requirement = "apache-airflow"
    options: ClassVar[dict[str, Any]] = {}  # of the filesystem, for short timeouts
    bucket_word = "bucket"
    create_bucket = ""  # shell command; `{bucket}` is filled in
    remove = ""  # shell command; `{bucket}` and `{key}` are filled in
    permissions: ClassVar[dict[str, str]] = {}  # step of the probe -> what the identity lacks if it is refused
    grant = ""  # how to give it; `{permission}`, `{bucket}` and `{folder}` are filled in
    example = ""  # a connection that works, secrets left open
    rights_file = ""  # the file of infra/ that grants the rights, in a project for this cloud
    right_form = r"(?!)"  # how the names of rights look, in `permissions` as in that file
    loses = ""  # how an object that the provider's class compresses is lost here
    loses_always = False  # also when nothing goes wrong

    def identity(self, conn: ConnectionFacts, env: Mapping[str, str]) -> str:
        """Which credentials the connection carries; empty for none."""
        return ""

    def endpoint(self, conn: ConnectionFacts) -> str:
        """The URL of the store, without credentials."""
        return ""

    def misplaced(self, conn: ConnectionFacts) -> tuple[str, str] | None:
        """A field that stands where it is not read: what is wrong, and what to merge into the connection's JSON."""
        return None

    def expired(self, conn: ConnectionFacts) -> str:
        """When the credentials ended, if they tell and it is past."""
        return ""

    def bucket_region(self, fs: Any, bucket: str) -> str:
        """Where the bucket is; empty when the identity may not ask."""
        raise NotAskedError("only S3 ties a request to a region")

    def public(self, fs: Any, bucket: str) -> Outcome:
        """Whether strangers may read the bucket."""
        raise NotAskedError(f"{self.name} does not tell")

    encryption = lifecycle = public

    def asked(self, step: str) -> set[str]:
        """The rights that a step of the probe asks for, by the cloud's own names."""
        return set(re.findall(self.right_form, self.permissions[step]))

    def granted(self, root: Path) -> set[str] | None:
        """The rights that the project's infra/ grants; None if it has no file for this cloud.

        :raises ValueError: if the file is not what its cloud takes
        """
        file = root / self.rights_file
        if not self.rights_file or not file.is_file():
            return None
        document = json.loads(file.read_text(encoding="utf-8"))
        try:
            return self._rights_in(document)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.rights_file} has no {error}") from error

    def _rights_in(self, document: Any) -> set[str]:
        raise NotImplementedError

    def lacking(self, root: Path) -> set[str]:
        """The rights that XComs need and the project's infra/ does not grant; none if it has no file for this cloud.

        :raises ValueError: if the file is not what its cloud takes
        """
        have = self.granted(root)
        needed = {right for step in STEPS for right in self.asked(step)}
        return set() if have is None else {one for one in needed if not any(fnmatchcase(one, like) for like in have)}


class Aws(Cloud):
    """S3, and what imitates it."""

    name = "AWS"
    schemes = ("s3", "s3a", "s3n")
    aliases = ("aws", "s3fs")
    conn_types = ("aws",)
    provider = "apache-airflow-providers-amazon"
    module = "s3fs"
    requirement = "apache-airflow-providers-amazon[s3fs]"
    # Without these a store that hangs costs 420 s: botocore's retries times s3fs's own.
    options: ClassVar[dict[str, Any]] = {
        "connect_timeout": 3,
        "read_timeout": 5,
        "retries": {"total_max_attempts": 1},
    }
    create_bucket = "aws s3 mb s3://{bucket}"
    remove = "aws s3 rm s3://{bucket}/{key}"
    permissions: ClassVar[dict[str, str]] = {
        "write": "s3:PutObject on arn:aws:s3:::{bucket}/{folder}*",
        "read": "s3:GetObject on arn:aws:s3:::{bucket}/{folder}*",
        "list": "s3:ListBucket on arn:aws:s3:::{bucket}",
        "overwrite": "s3:PutObject on arn:aws:s3:::{bucket}/{folder}*",
        "delete": "s3:DeleteObject on arn:aws:s3:::{bucket}/{folder}*",
    }
    grant = "add to the identity's IAM policy: {permission}"
    example = (
        '{"conn_type":"aws","login":"<access key ID>","password":"<secret access key>",'
        '"extra":{"region_name":"<region>"} }'
    )
    rights_file = "infra/policy.json"
    right_form = r"s3:\w+"
    loses = "if S3 refuses the upload, the task succeeds all the same"

    def identity(self, conn: ConnectionFacts, env: Mapping[str, str]) -> str:
        if conn.login and conn.password:
            return "an access key in the connection"
        if conn.get("aws_access_key_id") and conn.get("aws_secret_access_key"):
            return "an access key in the connection's extra"
        # A Pod of Remote Execution: the identity is given to it by name, not found by chance.
        if env.get("AWS_WEB_IDENTITY_TOKEN_FILE") and env.get("AWS_ROLE_ARN"):
            return "the workload identity of this Pod"
        return next((f"{name} in the connection" for name in ("role_arn", "profile_name") if conn.get(name)), "")

    def endpoint(self, conn: ConnectionFacts) -> str:
        region = conn.get("region_name")
        return self._own_endpoint(conn) or f"https://s3.{region + '.' if region else ''}amazonaws.com"

    def _own_endpoint(self, conn: ConnectionFacts) -> str:
        service = conn.extra.get("service_config") or {}
        s3 = service.get("s3") or {} if isinstance(service, Mapping) else {}
        return str(s3.get("endpoint_url") or conn.get("endpoint_url"))

    def misplaced(self, conn: ConnectionFacts) -> tuple[str, str] | None:
        if not conn.host or self._own_endpoint(conn):
            return None
        url = conn.host if "://" in conn.host else f"https://{conn.host}"
        right = '"extra":{"endpoint_url":"' + url + '"}'
        return f"the endpoint is in host, which S3 does not read: {conn.host}", right

    def bucket_region(self, fs: Any, bucket: str) -> str:
        try:
            return fs.call_s3("get_bucket_location", Bucket=bucket).get("LocationConstraint") or "us-east-1"
        except Exception:
            return ""

    def public(self, fs: Any, bucket: str) -> Outcome:
        block = _s3(fs, "get_public_access_block", bucket, "NoSuchPublicAccessBlockConfiguration")
        blocked = block.get("PublicAccessBlockConfiguration", {})
        if blocked and all(blocked.values()):
            return ok("public access is blocked")
        grants = _s3(fs, "get_bucket_acl", bucket, "NoSuchAcl").get("Grants", [])
        everyone = any("/groups/global/AllUsers" in str(grant.get("Grantee", {}).get("URI")) for grant in grants)
        return warning(
            "everyone may read it by its ACL" if everyone else "public access is not blocked",
            f"aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration "
            "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
        )

    def encryption(self, fs: Any, bucket: str) -> Outcome:
        if _s3(fs, "get_bucket_encryption", bucket, "ServerSideEncryptionConfigurationNotFound"):
            return ok("default encryption is on")
        rule = '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"} }]}'
        command = f"aws s3api put-bucket-encryption --bucket {bucket} --server-side-encryption-configuration '{rule}'"
        return warning("no default encryption", command)

    def lifecycle(self, fs: Any, bucket: str) -> Outcome:
        rules = _s3(fs, "get_bucket_lifecycle_configuration", bucket, "NoSuchLifecycleConfiguration").get("Rules", [])
        active = [rule for rule in rules if rule.get("Status") == "Enabled"]
        return ok(plural(len(active), "lifecycle rule")) if active else warning("no lifecycle rule")

    def _rights_in(self, document: Any) -> set[str]:
        actions = [one["Action"] for one in document["Statement"] if one["Effect"] == "Allow"]
        return {name for one in actions for name in ([one] if isinstance(one, str) else one)}


def _s3(fs: Any, method: str, bucket: str, none: str) -> dict[str, Any]:
    """Call S3; `none` is the code that means: nothing is configured."""
    try:
        answer: dict[str, Any] = fs.call_s3(method, Bucket=bucket)
        return answer
    except Exception as error:
        if none in f"{error} {error.__cause__} {error.__context__}":
            return {}
        raise


class Gcp(Cloud):
    """Cloud Storage."""

    name = "Google Cloud"
    schemes = ("gs", "gcs")
    aliases = ("google", "gcp", "gsutil")
    conn_types = ("google_cloud_platform",)
    provider = requirement = "apache-airflow-providers-google"
    module = "gcsfs"
    create_bucket = "gcloud storage buckets create gs://{bucket}"
    remove = "gcloud storage rm gs://{bucket}/{key}"
    permissions: ClassVar[dict[str, str]] = {
        "write": "storage.objects.create",
        "read": "storage.objects.get",
        "list": "storage.objects.list",
        "overwrite": "storage.objects.delete (Cloud Storage asks it of whoever replaces an object)",
        "delete": "storage.objects.delete",
    }
    grant = "grant {permission} on gs://{bucket}; the role roles/storage.objectUser has all of these"
    example = '{"conn_type":"google_cloud_platform","extra":{"project":"<project>","keyfile_dict":"<key as JSON>"} }'
    rights_file = "infra/role.json"
    right_form = r"storage\.[\w.]+"
    loses = "an object is lost when the process ends right after the push"
    loses_always = True

    def identity(self, conn: ConnectionFacts, env: Mapping[str, str]) -> str:
        # Anonymous access is how an emulator is used, and nothing that Google itself would let write.
        if conn.get("is_anonymous") and conn.get("gcs.endpoint"):
            return "anonymous, at an endpoint of your own"
        names = ("keyfile_dict", "key_path", "key_secret_name", "credential_config_file", "impersonation_chain")
        return next((f"{name} in the connection" for name in names if conn.get(name)), "")

    def endpoint(self, conn: ConnectionFacts) -> str:
        return conn.get("gcs.endpoint") or "https://storage.googleapis.com"

    def _bucket(self, fs: Any, bucket: str) -> dict[str, Any]:
        """The bucket's metadata, unless the store leaves out what Cloud Storage always tells, as emulators do."""
        told: dict[str, Any] = fs.call("GET", f"b/{bucket}", json_out=True)
        if "publicAccessPrevention" not in told.get("iamConfiguration", {}):
            raise NotAskedError("the store does not tell: no publicAccessPrevention in its answer")
        return told

    def public(self, fs: Any, bucket: str) -> Outcome:
        prevention = self._bucket(fs, bucket)["iamConfiguration"]["publicAccessPrevention"]
        if prevention == "enforced":
            return ok("public access is prevented")
        command = f"gcloud storage buckets update gs://{bucket} --public-access-prevention"
        return warning(f"public access prevention: {prevention}", command)

    def lifecycle(self, fs: Any, bucket: str) -> Outcome:
        rules = self._bucket(fs, bucket).get("lifecycle", {}).get("rule", [])
        return ok(plural(len(rules), "lifecycle rule")) if rules else warning("no lifecycle rule")

    def _rights_in(self, document: Any) -> set[str]:
        return set(document["includedPermissions"])


class Azure(Cloud):
    """Blob Storage."""

    name = "Azure"
    schemes = ("abfs", "abfss", "adl")
    aliases = ("azblob", "wasb", "wasbs", "az", "azure", "adls")
    conn_types = ("wasb", "adls", "azure_data_lake")
    provider = requirement = "apache-airflow-providers-microsoft-azure"
    module = "adlfs"
    bucket_word = "container"
    create_bucket = "az storage container create --name {bucket} --account-name YOUR-STORAGE-ACCOUNT --auth-mode login"
    remove = "az storage blob delete -c {bucket} -n {key} --account-name YOUR-STORAGE-ACCOUNT --auth-mode login"
    permissions: ClassVar[dict[str, str]] = {
        "write": "write (SAS letter w)",
        "read": "read (SAS letter r)",
        "list": "list (SAS letter l)",
        "overwrite": "overwrite (SAS letter w)",
        "delete": "delete (SAS letter d)",
    }
    grant = (
        "give the SAS token {permission}, or the identity the role Storage Blob Data Contributor on container {bucket}"
    )
    example = '{"conn_type":"wasb","extra":{"connection_string":"<from the storage account, Access keys>"} }'
    rights_file = "infra/rights.json"
    right_form = r"\b[a-z]\b"

    def identity(self, conn: ConnectionFacts, env: Mapping[str, str]) -> str:
        if conn.part("AccountKey") or conn.part("SharedAccessSignature"):
            return "a connection string"
        if conn.password:
            return "a password in the connection"
        names = ("account_key", "sas_token", "managed_identity_client_id", "workload_identity_client_id")
        pod = "the workload identity of this Pod" if env.get("AZURE_FEDERATED_TOKEN_FILE") else ""
        return next((f"{name} in the connection" for name in names if conn.get(name)), pod)

    def endpoint(self, conn: ConnectionFacts) -> str:
        if conn.get("connection_string"):
            suffix = conn.part("EndpointSuffix") or "core.windows.net"
            return conn.part("BlobEndpoint") or f"https://{conn.part('AccountName')}.blob.{suffix}"
        if conn.get("account_host"):
            return f"https://{conn.get('account_host')}"
        if "://" in conn.host:
            return conn.host
        return f"https://{conn.get('account_name') or conn.login}.blob.core.windows.net"

    def expired(self, conn: ConnectionFacts) -> str:
        token = conn.part("SharedAccessSignature") or conn.get("sas_token")
        end = parse_qs(token.lstrip("?")).get("se", [""])[0]
        try:
            when = datetime.fromisoformat(end.replace("Z", "+00:00"))
        except ValueError:
            return ""
        when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        return f"the SAS token expired on {end} (its field se)" if when < datetime.now(timezone.utc) else ""

    def public(self, fs: Any, bucket: str) -> Outcome:
        from fsspec.asyn import sync

        access = sync(fs.loop, fs.service_client.get_container_client(bucket).get_container_properties).public_access
        if not access:
            return ok("the container is private")
        return warning(
            f"everyone may read: public access is {access!r}",
            f"az storage container-rm update --name {bucket} --public-access off "
            "--storage-account YOUR-STORAGE-ACCOUNT",
        )

    def _rights_in(self, document: Any) -> set[str]:
        return set(document["sas"])


class Local(Cloud):
    """A folder of this machine."""

    name = "local folder"
    schemes = ("file", "local")
    bucket_word = "folder"
    create_bucket = "mkdir -p /{bucket}"
    remove = "rm /{key}"
    permissions = dict.fromkeys(("write", "overwrite", "delete"), "write permission (w) on the folder") | dict.fromkeys(
        ("read", "list"), "read permission (r) on the folder"
    )
    grant = "let the user that Airflow runs as use the folder: chmod -R a+rwX {folder}"


AWS, GCP, AZURE, LOCAL, UNKNOWN = Aws(), Gcp(), Azure(), Local(), Cloud()
CLOUDS: tuple[Cloud, ...] = (AWS, GCP, AZURE, LOCAL)


def cloud_of(scheme: str) -> Cloud:
    """The cloud that a scheme belongs to, or UNKNOWN."""
    return next((cloud for cloud in CLOUDS if scheme in cloud.schemes), UNKNOWN)
