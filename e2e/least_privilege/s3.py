"""S3 with rights that count: a moto server that enforces IAM, and a user with exactly the policy of infra/.

Bucket, user and policy are made here from policy.json; or they are those that OpenTofu made from infra/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer
from recorder import Call, Recorder, recording

SCHEME = "s3"
CONNECTION_ID = "my_aws_conn"
LARGE = {"provider": 101 * 2**20, "custom": 257 * 2**20}  # from 100 MiB and from 256 MiB on in several requests
ROOT = {"aws_access_key_id": "root", "aws_secret_access_key": "root", "region_name": "us-east-1"}

# What moto 5.2 does otherwise than AWS, in one place.
# AWS takes s3:ListBucket for a HeadBucket request; moto wants an action of that name, which AWS does not have.
# AWS asks s3:DeleteObject of a DeleteObjects request on each object; moto asks it on the bucket.
# So the user gets besides, in a policy of its own: right of the policy -> what moto wants besides.
MOTO_WANTS_BESIDES = {"s3:ListBucket": "s3:HeadBucket", "s3:DeleteObject": "s3:DeleteObject"}


def without_conditions(s3: Any, bucket: str) -> None:
    """Take away the bucket's own policy, of tls-only.json: moto ignores its condition, so it would refuse everybody."""
    s3.delete_bucket_policy(Bucket=bucket)


@dataclass(frozen=True)
class Made:
    """What a store starts from: the server, a bucket, a user with a policy, and a connection with the user's keys."""

    endpoint: str
    bucket: str
    user: str
    policy_arn: str
    connection: dict[str, Any]


def make(project: Path, endpoint: str) -> Made:
    """Make the bucket, and a user with the emitted policy."""
    s3, iam = (boto3.client(name, endpoint_url=endpoint, **ROOT) for name in ("s3", "iam"))
    text = (project / "infra" / "policy.json").read_text()
    bucket = json.loads(text)["Statement"][1]["Resource"].rpartition(":")[2]
    s3.create_bucket(Bucket=bucket)
    iam.create_user(UserName="xcom")
    arn = iam.create_policy(PolicyName="xcom", PolicyDocument=text)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="xcom", PolicyArn=arn)
    key = iam.create_access_key(UserName="xcom")["AccessKey"]
    connection = {"conn_type": "aws", "login": key["AccessKeyId"], "password": key["SecretAccessKey"]}
    return Made(endpoint, bucket, "xcom", arn, {**connection, "extra": {"region_name": "us-east-1"}})


class Store:
    """One bucket on moto, with a user whose rights can be changed."""

    def __init__(self, made: Made, recorder: Recorder) -> None:
        """Read the user's policy, and make another bucket."""
        self.made, self.bucket, self.recorder = made, made.bucket, recorder
        self.s3, self.iam = (boto3.client(name, endpoint_url=made.endpoint, **ROOT) for name in ("s3", "iam"))
        without_conditions(self.s3, self.bucket)
        self.s3.create_bucket(Bucket="another-bucket")
        self.s3.put_object(Bucket=self.bucket, Key="other/object", Body=b"not for XComs")
        self.version = self.iam.get_policy(PolicyArn=made.policy_arn)["Policy"]["DefaultVersionId"]
        version = self.iam.get_policy_version(PolicyArn=made.policy_arn, VersionId=self.version)
        self.statements: list[dict[str, Any]] = version["PolicyVersion"]["Document"]["Statement"]

    def rights(self) -> list[str]:
        """Return the actions of the policy."""
        return [action for statement in self.statements for action in actions_of(statement)]

    def grant(self, without: str = "") -> str:
        """Leave the user all rights of the policy but one, and return the connection that uses them."""
        self.enforce(False)
        self.put_back()
        if without:
            kept = [{**one, "Action": [name for name in actions_of(one) if name != without]} for one in self.statements]
            text = document([one for one in kept if one["Action"]])
            self.iam.create_policy_version(PolicyArn=self.made.policy_arn, PolicyDocument=text, SetAsDefault=True)
        besides = [action for right, action in MOTO_WANTS_BESIDES.items() if right != without]
        text = document([{"Effect": "Allow", "Action": besides, "Resource": f"arn:aws:s3:::{self.bucket}"}])
        self.iam.put_user_policy(UserName=self.made.user, PolicyName="moto", PolicyDocument=text)
        self.enforce(True)
        extra = {**self.made.connection["extra"], "endpoint_url": self.recorder.endpoint}
        return json.dumps({**self.made.connection, "extra": extra})

    def put_back(self) -> None:
        """Let the policy be as it was made, and drop other versions of it: AWS keeps only five."""
        arn = self.made.policy_arn
        for version in self.iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if version["VersionId"] != self.version:
                self.iam.set_default_policy_version(PolicyArn=arn, VersionId=self.version)
                self.iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])

    def enforce(self, on: bool) -> None:
        """Switch IAM on or off."""
        body, headers = (b"0" if on else b"inf"), {"Content-Type": "text/plain"}
        requests.post(f"{self.made.endpoint}/moto-api/reset-auth", body, headers=headers, timeout=10).raise_for_status()

    def objects(self) -> list[str]:
        """Return the key of each object below the prefix."""
        self.enforce(False)
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="xcom/").get("Contents", [])
        self.enforce(True)
        return [item["Key"] for item in found]

    def unfinished(self) -> int:
        """Return how many multipart uploads are open, and end them."""
        self.enforce(False)
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        for upload in uploads:
            self.s3.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        self.enforce(True)
        return len(uploads)

    def elsewhere(self) -> dict[str, str]:
        """Try the user's keys on another prefix and on another bucket, and return what came of each."""
        login, password = self.made.connection["login"], self.made.connection["password"]
        keys = {"aws_access_key_id": login, "aws_secret_access_key": password, "region_name": ROOT["region_name"]}
        client = boto3.client("s3", endpoint_url=self.made.endpoint, **keys)
        other, bucket = {"Bucket": self.bucket, "Key": "other/object"}, {"Bucket": "another-bucket"}
        tries = {
            "read an object of another prefix": lambda: client.get_object(**other),
            "write to another prefix": lambda: client.put_object(**{**other, "Key": "other/new"}, Body=b"x"),
            "delete an object of another prefix": lambda: client.delete_object(**other),
            "list the names of another prefix": lambda: client.list_objects_v2(Bucket=self.bucket, Prefix="other/"),
            "list another bucket": lambda: client.list_objects_v2(**bucket),
            "write to another bucket": lambda: client.put_object(**bucket, Key="xcom/new", Body=b"x"),
            "create a bucket": lambda: client.create_bucket(Bucket="a-third-bucket"),
        }
        return {what: outcome(attempt) for what, attempt in tries.items()}


def document(statements: list[dict[str, Any]]) -> str:
    """Return an IAM policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def actions_of(statement: dict[str, Any]) -> list[str]:
    """Return the actions of a statement, which may be one or several."""
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def outcome(attempt: Any) -> str:
    """Return ``works``, or the code of the error."""
    from botocore.exceptions import ClientError

    try:
        attempt()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "works"


def operation(call: Call) -> str:
    """Return S3's own name of a request."""
    key = call.path.strip("/").partition("/")[2]
    named = {
        ("GET", True): "GetObject",
        ("HEAD", True): "HeadObject",
        ("PUT", True): "UploadPart" if "partNumber" in call.query else "PutObject",
        ("POST", True): "CreateMultipartUpload" if "uploads" in call.query else "CompleteMultipartUpload",
        ("DELETE", True): "AbortMultipartUpload" if "uploadId" in call.query else "DeleteObject",
        ("GET", False): "ListObjectsV2" if "list-type" in call.query else f"Get{'+'.join(call.query)}",
        ("HEAD", False): "HeadBucket",
        ("PUT", False): "CreateBucket",
        ("POST", False): "DeleteObjects",
    }
    return named[call.method, bool(key)]


def is_part(call: Call) -> bool:
    """Whether this is the upload of a part of a large object."""
    return "partNumber" in call.query


# As AWS answers when a part arrived damaged: nobody tries that again.
BROKEN = (400, b"<Error><Code>BadDigest</Code><Message>The part did not arrive whole.</Message></Error>")


@contextmanager
def started(project: Path, made: Path | None = None) -> Iterator[Store]:
    """Start moto and the recorder before it; or only the recorder, before what a JSON file names as ``Made``."""
    if made:
        applied = Made(**json.loads(made.read_text()))
        with recording(applied.endpoint) as recorder:
            yield Store(applied, recorder)
        return
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        with recording(endpoint) as recorder:
            yield Store(make(project, endpoint), recorder)
    finally:
        server.stop()
