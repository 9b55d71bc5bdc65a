"""Pulls each of these paths with a class, and prints as JSON whether what came is what was pushed."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

from push_and_exit import VALUE

if __name__ == "__main__":
    class_path, *paths = sys.argv[1:]
    module, _, name = class_path.rpartition(".")
    backend = getattr(importlib.import_module(module), name)
    for path in paths:
        row = SimpleNamespace(value=path)
        print(json.dumps({"path": path, "is_value": backend.deserialize_value(row) == VALUE}), flush=True)
