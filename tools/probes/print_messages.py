"""Does to real XComs on moto what the page of the custom class lists, and prints each message, as JSON by its name.

The PYTHONPATH has the project and its `tests/`. A name is the first cell of a row of the page's table, or the start of
a log line.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = "s3://my_aws_conn@xcom-tests/xcom"

import boto3
import numpy as np
import pandas as pd
import requests
from object_stores import open_store

from include.xcom_backend import backend, codecs, settings, stores
from include.xcom_backend.reference import TAG, Coordinates

PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
BASE = os.environ[PATH]
XCOM = Coordinates("dataframe_xcom_test", "manual__2026-11-20T07:00:00+00:00", "make_frame", -1, "return_value")
FRAME = pd.DataFrame({"noise": np.random.default_rng(0).random(1000), "city": ["Bern", "Oslo"] * 500})
PUT_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}

told: dict[str, str] = {}
lines: list[str] = []


class Lines(logging.Handler):
    """Keeps each line of the log of the class."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        lines.append(record.getMessage())


def configure(**variables: str) -> None:
    """Set these, and forget what the class remembers of all others but those that stay."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW__XCOM_BACKEND__", "AIRFLOW__COMMON_IO__"))]:
        del os.environ[name]
    standing = {PATH: BASE, "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0"}
    os.environ.update(standing | variables)
    for cached in (settings.settings, codecs.registry, stores.open_store):
        cached.cache_clear()


def push(value: Any = FRAME) -> dict[str, Any]:
    """Push a value and return its row."""
    row: dict[str, Any] = backend.push(value, XCOM)
    return row


def message(action: Callable[[], object]) -> str:
    """Return what an action fails with."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("nothing failed")


def connection(**extra: str) -> str:
    """Return a connection to AWS."""
    return json.dumps({"conn_type": "aws", "extra": {"region_name": "us-east-1", **extra}})


def objects(client: Any) -> None:
    """Do things to the objects, the rows and the paths."""

    def key(row: dict[str, Any]) -> str:
        return str(row["paths"][0]).partition("@xcom-tests/")[2]

    def body(row: dict[str, Any]) -> bytes:
        return bytes(client.get_object(Bucket="xcom-tests", Key=key(row))["Body"].read())

    configure()
    row = push()
    backend.pull(row)
    backend.purge_rows([(row, XCOM)])
    for start in ("XCom push", "XCom pull", "XCom purge"):
        told[start] = next(line for line in lines if line.startswith(start))
    told["the object is gone"] = message(lambda: backend.pull(row))
    row = push()
    whole = body(row)
    client.put_object(Bucket="xcom-tests", Key=key(row), Body=whole[:-1])
    told["it was cut"] = message(lambda: backend.pull(row))
    client.put_object(Bucket="xcom-tests", Key=key(row), Body=whole[:-1] + b"?")
    told["it was altered"] = message(lambda: backend.pull(row))
    row = push()
    other = replace(XCOM, task_id="another").new_object_key("parquet")
    told["somebody edited the row"] = message(lambda: backend.pull({**row, "paths": [f"{BASE}/{other}"]}))
    told["a worker has an older project"] = message(lambda: backend.pull({**row, TAG: 2}))
    configure(**{PATH: f"{BASE}-new"})
    told["the path was changed"] = message(lambda: backend.pull(row))
    configure()
    there = {name: sys.modules[name] for name in ("pyarrow", "pyarrow.parquet")}
    for name in there:
        sys.modules[name] = None  # type: ignore[assignment]  # as where they are not installed
    told["a worker lacks a library"] = message(lambda: backend.pull(row))
    sys.modules.update(there)
    with tempfile.TemporaryDirectory() as folder:
        configure(AIRFLOW__XCOM_BACKEND__MIRROR=f"file://{folder}/mirror")
        row = push()
        client.delete_object(Bucket="xcom-tests", Key=key(row))
        lines.clear()
        backend.pull(row)
        told["the primary is gone, the mirror is not"] = next(line for line in lines if "Took the copy" in line)


def store(endpoint: str) -> None:
    """Push to what is no store, or not this user's."""
    configure(**{PATH: "s3://my_aws_conn@no-such-bucket/xcom"})
    told["the bucket does not exist"] = message(push)
    os.environ["AIRFLOW_CONN_NOBODY"] = connection(endpoint_url=endpoint)
    configure(**{PATH: "s3://nobody@xcom-tests/xcom"})
    told["no credentials"] = message(push)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    os.environ["AIRFLOW_CONN_DEAD"] = connection(endpoint_url="http://127.0.0.1:9", **keys)
    configure(**{PATH: "s3://dead@xcom-tests/xcom"}, AIRFLOW__XCOM_BACKEND__RETRY_DEADLINE="2")
    told["the store does not answer"] = message(push)


def rights(endpoint: str) -> None:
    """Purge as a user who may only write. From here on moto asks who somebody is."""
    root = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    iam = boto3.client("iam", endpoint_url=endpoint, **root)
    iam.create_user(UserName="writer")
    iam.put_user_policy(UserName="writer", PolicyName="put", PolicyDocument=json.dumps(PUT_ONLY))
    key = iam.create_access_key(UserName="writer")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    os.environ["AIRFLOW_CONN_MY_AWS_CONN"] = connection(endpoint_url=endpoint, **keys)
    configure()
    requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=60).raise_for_status()
    row = push()
    lines.clear()
    backend.purge_rows([(row, XCOM)])
    told["an object cannot be deleted"] = next(line for line in lines if line.startswith("Cannot delete"))


def values() -> None:
    """Push what may not be pushed, with settings that cannot be used."""
    configure(AIRFLOW__XCOM_BACKEND__ALLOWED_CODECS="json,text")
    told["a type is not allowed"] = message(push)
    configure()
    told["an array of Python objects"] = message(lambda: push(np.array([object()])))
    configure(AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD="1k")
    told["a threshold of `1k`"] = message(push)
    configure(AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION="gz")
    told["a compression `gz`"] = message(push)
    configure(AIRFLOW__XCOM_BACKEND__MIRROR=BASE)
    told["the mirror is the primary"] = message(push)


logger = logging.getLogger("include.xcom_backend")
logger.addHandler(Lines())
logger.setLevel("INFO")
with open_store(BASE) as moto:
    os.environ["AIRFLOW_CONN_MY_AWS_CONN"] = moto.connection or ""
    url = json.loads(moto.connection or "")["extra"]["endpoint_url"]
    login = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    objects(boto3.client("s3", endpoint_url=url, **login))
    store(url)
    values()
    rights(url)
print(json.dumps(told))
