"""Pushes a big value with each class and compression, each in a process that ends without any tidying up right after.

Prints a line of JSON for each push: the class, the compression, and the path that the metadata database would hold.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"
VALUE = {"numbers": list(range(100_000))}


def push(class_path: str, compression: str) -> None:
    """Push, tell about it, and end this process at once: no destructor runs, no buffer is flushed."""
    os.environ[COMPRESSION] = compression
    module, _, name = class_path.rpartition(".")
    backend = getattr(importlib.import_module(module), name)
    path = backend.serialize_value(VALUE, key="big_obj", task_id="push", dag_id="dag", run_id="run", map_index=-1)
    print(json.dumps({"class": class_path, "compression": compression, "path": path}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    class_paths, compressions = (argument.split(",") for argument in sys.argv[1:])
    for class_path in class_paths:
        importlib.import_module(class_path.rpartition(".")[0])
    for class_path in class_paths:
        for compression in compressions:
            child = os.fork()
            if child == 0:
                push(class_path, compression)
            os.waitpid(child, 0)
