"""Opens the object store that stands for a path's, prints its connection, and keeps it until standard input ends.

Arguments: the object storage path, and the bucket that the store has from the start. The PYTHONPATH has a project's
`tests/`.
"""

import sys

import object_stores

path, bucket = sys.argv[1:]
object_stores.BUCKET = bucket
with object_stores.open_store(path) as store:
    print(store.connection, flush=True)
    sys.stdin.read()
