"""Pushes a big value to an S3 server that takes no object from this user, and prints what each class made of that.

Prints a line of JSON for each class: the class, the error it raised, or none, and how many objects are in the bucket.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys

import boto3
import requests
from moto.server import ThreadedMotoServer

BUCKET = "xcom-tests"
ALL_BUT_PUT = [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"},
]


def start_refusing_server() -> tuple[ThreadedMotoServer, str, dict[str, str]]:
    """Start a server that checks rights, and return it, its URL, and the keys of a user who may do all but put."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    root = {
        "aws_access_key_id": "root",
        "aws_secret_access_key": "root",
        "region_name": "us-east-1",
        "endpoint_url": url,
    }
    boto3.client("s3", **root).create_bucket(Bucket=BUCKET)
    iam = boto3.client("iam", **root)
    iam.create_user(UserName="no-writer")
    policy = json.dumps({"Version": "2012-10-17", "Statement": ALL_BUT_PUT})
    iam.put_user_policy(UserName="no-writer", PolicyName="all-but-put", PolicyDocument=policy)
    keys = iam.create_access_key(UserName="no-writer")["AccessKey"]
    check_rights(url, "0")
    return server, url, {"login": keys["AccessKeyId"], "password": keys["SecretAccessKey"]}


def check_rights(url: str, after_requests: str) -> None:
    """Have the server check rights after so many more requests: `inf` for never."""
    data, headers = after_requests.encode(), {"Content-Type": "text/plain"}
    requests.post(f"{url}/moto-api/reset-auth", data, headers=headers, timeout=10).raise_for_status()


def push(class_path: str) -> str | None:
    """Return the error of a push, or None when the task would go on as if nothing had happened."""
    module, _, name = class_path.rpartition(".")
    backend = getattr(importlib.import_module(module), name)
    value = {"numbers": list(range(10_000))}
    try:
        backend.serialize_value(value, key="big_obj", task_id="push", dag_id="dag", run_id="run", map_index=-1)
    except OSError as error:
        return repr(error)
    return None


if __name__ == "__main__":
    server, url, keys = start_refusing_server()
    try:
        extra = {"region_name": "us-east-1", "endpoint_url": url}
        os.environ["AIRFLOW_CONN_MY_AWS_CONN"] = json.dumps({"conn_type": "aws", **keys, "extra": extra})
        os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = f"s3://my_aws_conn@{BUCKET}/xcom"
        for class_path in sys.argv[1:]:
            error = push(class_path)
            gc.collect()
            check_rights(url, "inf")
            root = {"aws_access_key_id": "root", "aws_secret_access_key": "root", "region_name": "us-east-1"}
            found = boto3.client("s3", endpoint_url=url, **root).list_objects_v2(Bucket=BUCKET)["KeyCount"]
            check_rights(url, "0")
            print(json.dumps({"class": class_path, "error": error, "objects": found}), flush=True)
    finally:
        server.stop()
