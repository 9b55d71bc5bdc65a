"""Reads the connection of the object storage path as Airflow does, and prints its type and the names of its fields."""

from __future__ import annotations

import json
import os
from urllib.parse import urlsplit

from airflow.models import Connection
from airflow.sdk import BaseHook

connection_id = urlsplit(os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"]).username
connection = BaseHook.get_connection(str(connection_id))
Connection.from_json(os.environ[f"AIRFLOW_CONN_{str(connection_id).upper()}"])
print(json.dumps({"conn_type": connection.conn_type, "extra": sorted(connection.extra_dejson)}))
