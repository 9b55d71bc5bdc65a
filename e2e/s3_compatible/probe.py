"""Pushes, pulls and purges an XCom in an S3 server by one of the two classes, and says what is in the bucket each time.

Runs in the project's environment, without a metadata database; test_s3_compatible.py starts it. Prints JSON.
Argument: the class of XComs. Path and connection are in the environment.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from types import SimpleNamespace
from typing import Any

COORDINATES = {"dag_id": "dag", "run_id": "manual__2026", "task_id": "task", "map_index": -1, "key": "big"}
VALUE = {"text": "x" * 300_000, "number": 23}


def bucket_keys() -> list[str]:
    """Return the key of every object of the bucket."""
    import boto3
    from botocore.config import Config

    connection = json.loads(os.environ["AIRFLOW_CONN_MY_AWS_CONN"])
    client = boto3.client(
        "s3",
        endpoint_url=connection["extra"]["endpoint_url"],
        aws_access_key_id=connection["login"],
        aws_secret_access_key=connection["password"],
        region_name=connection["extra"]["region_name"],
        config=Config(s3={"addressing_style": "path"}),
    )
    bucket = os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"].partition("@")[2].partition("/")[0]
    return [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def main() -> None:
    """Run, and print what was seen."""
    module, _, name = sys.argv[1].rpartition(".")
    backend: Any = getattr(importlib.import_module(module), name)
    row = SimpleNamespace(**COORDINATES, value=backend.serialize_value(VALUE, **COORDINATES))
    pushed = bucket_keys()
    same = backend.deserialize_value(row) == VALUE
    backend.purge(row)
    print(json.dumps({"pushed": pushed, "same": same, "purged": bucket_keys()}))


if __name__ == "__main__":
    main()
