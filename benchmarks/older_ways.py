"""The XCom backend classes of older tutorials, as plainly as they teach them: part of `make record ONLY=bench`.

They are what people have who copied a class some years ago. Only what would keep them from running at all on Airflow 3
is mended (an import that was missing, a name, two spellings of one connection); what costs time stays.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk.bases.xcom import BaseXCom

BUCKET = "bucket"


class S3CsvBackend(BaseXCom):  # type: ignore[misc]
    """DataFrames as CSV on S3; everything else stays in the database. Nothing is ever deleted."""

    PREFIX = "xcom_s3"

    @staticmethod
    def serialize_value(value: Any, **_: Any) -> Any:
        """Return the row."""
        if isinstance(value, pd.DataFrame):
            key = f"data_{uuid.uuid4()}.csv"
            filename = f"{tempfile.gettempdir()}/{key}"
            value.to_csv(filename, index=False)
            S3Hook(aws_conn_id="bench").load_file(filename=filename, key=key, bucket_name=BUCKET, replace=True)
            value = f"{S3CsvBackend.PREFIX}://{BUCKET}/{key}"
            Path(filename).unlink()  # the tutorial leaves it behind
        return BaseXCom.serialize_value(value)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Return the value."""
        row = BaseXCom.deserialize_value(result)
        if not (isinstance(row, str) and row.startswith(S3CsvBackend.PREFIX)):
            return row
        key = row.removeprefix(f"{S3CsvBackend.PREFIX}://{BUCKET}/")
        filename = S3Hook(aws_conn_id="bench").download_file(key=key, bucket_name=BUCKET)
        frame = pd.read_csv(filename)
        Path(filename).unlink()
        return frame


class DualWriteBackend(BaseXCom):  # type: ignore[misc]
    """JSON on S3 and on Google Cloud Storage, one after the other, at any size; read from S3."""

    PREFIX = "s3_and_gs://"

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: Any = None,
        task_id: Any = None,
        dag_id: Any = None,
        run_id: Any = None,
        map_index: Any = None,
    ) -> Any:
        """Return the row.

        :raises ValueError: for what JSON cannot carry
        """
        try:
            text = json.dumps(value)
        except TypeError as error:
            raise ValueError(f"XCom value is not JSON-serializable!: {error}") from error
        with tempfile.NamedTemporaryFile(mode="w+") as file:
            file.write(text)
            file.flush()
            name = f"{dag_id}/{run_id}/{task_id}/{map_index}/{key}_data_{uuid.uuid4()}.json"
            S3Hook(aws_conn_id="bench").load_file(filename=file.name, key=name, bucket_name=BUCKET, replace=True)
            hook = GCSHook(gcp_conn_id="bench_gcs")
            if not hook.exists(BUCKET, name):
                hook.upload(filename=file.name, object_name=name, bucket_name=BUCKET)
        return BaseXCom.serialize_value(DualWriteBackend.PREFIX + name)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Return the value."""
        name = BaseXCom.deserialize_value(result).removeprefix(DualWriteBackend.PREFIX)
        with tempfile.TemporaryDirectory() as folder:
            path = S3Hook(aws_conn_id="bench").download_file(key=name, bucket_name=BUCKET, local_path=folder)
            return json.loads(Path(path).read_text())
