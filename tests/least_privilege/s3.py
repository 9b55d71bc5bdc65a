"""S3 with rights that count: a moto server that enforces IAM, and a user with exactly the policy of infra/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
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

# What moto 5.2 asks otherwise than AWS does, in one place: right of the policy -> what moto wants besides.
# AWS takes s3:ListBucket for a HeadBucket request; moto wants an action of that name, which AWS does not have.
# AWS asks s3:DeleteObject of a DeleteObjects request on each object; moto asks it on the bucket.
MOTO_WANTS_BESIDES = {"s3:ListBucket": "s3:HeadBucket", "s3:DeleteObject": "s3:DeleteObject"}


class Store:
    """One bucket on moto, with a user whose rights can be changed."""

    def __init__(self, project: Path, upstream: str, recorder: Recorder) -> None:
        """Make the bucket, another one, and the user of the emitted policy."""
        self.policy = json.loads((project / "infra" / "policy.json").read_text())
        self.bucket = self.policy["Statement"][1]["Resource"].rpartition(":")[2]
        self.recorder, self.upstream = recorder, upstream
        self.s3, self.iam = (boto3.client(name, endpoint_url=upstream, **ROOT) for name in ("s3", "iam"))
        for bucket in (self.bucket, "another-bucket"):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_object(Bucket=self.bucket, Key="other/object", Body=b"not for XComs")
        self.iam.create_user(UserName="xcom")
        key = self.iam.create_access_key(UserName="xcom")["AccessKey"]
        self.keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def rights(self) -> list[str]:
        """Return the actions of the emitted policy."""
        return [action for statement in self.policy["Statement"] for action in actions_of(statement)]

    def grant(self, without: str = "") -> str:
        """Give the user all rights of the emitted policy but one, and return the connection that uses them."""
        statements = []
        for statement in self.policy["Statement"]:
            if kept := [action for action in actions_of(statement) if action != without]:
                statements.append({**statement, "Action": kept})
        besides = [action for right, action in MOTO_WANTS_BESIDES.items() if right != without]
        statements.append({"Effect": "Allow", "Action": besides, "Resource": f"arn:aws:s3:::{self.bucket}"})
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.enforce(False)
        self.iam.put_user_policy(UserName="xcom", PolicyName="xcom", PolicyDocument=document)
        self.enforce(True)
        extra = {"endpoint_url": self.recorder.endpoint, "region_name": "us-east-1"}
        login, password = self.keys.values()
        return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": extra})

    def enforce(self, on: bool) -> None:
        """Switch IAM on or off."""
        body, headers = (b"0" if on else b"inf"), {"Content-Type": "text/plain"}
        requests.post(f"{self.upstream}/moto-api/reset-auth", body, headers=headers, timeout=10).raise_for_status()

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
        client = boto3.client("s3", endpoint_url=self.upstream, region_name="us-east-1", **self.keys)
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
def started(project: Path) -> Iterator[Store]:
    """Start moto and the recorder before it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        upstream = "http://{}:{}".format(*server.get_host_and_port())
        with recording(upstream) as recorder:
            yield Store(project, upstream, recorder)
    finally:
        server.stop()
