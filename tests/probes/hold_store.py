"""Opens the object store that stands for a path's, prints its connection, and keeps it until standard input ends.

Arguments: the project's folder, the object storage path, and the bucket that the store has from the start.
"""

import sys
from pathlib import Path

project, path, bucket = sys.argv[1:]
sys.path.insert(0, str(Path(project) / "tests"))

import object_stores  # noqa: E402

object_stores.BUCKET = bucket
with object_stores.open_store(path) as store:
    print(store.connection, flush=True)
    sys.stdin.read()
