"""Runs the emulator of a store until it is told to end: the project's own Python starts this, with its tests' module.

Arguments: the object storage path, the address to listen on, and the file that gets what `object_stores` says of it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import object_stores


def end(_signal: int, _frame: FrameType | None) -> None:
    """End the emulator too."""
    raise SystemExit


if __name__ == "__main__":
    path, object_stores.HOST, answer = sys.argv[1:]
    signal.signal(signal.SIGTERM, end)
    with object_stores.open_store(path) as store:
        written = Path(f"{answer}.part")
        written.write_text(json.dumps({"name": store.name, "path": store.path, "connection": store.connection}))
        os.replace(written, answer)  # whoever waits for the file finds it whole
        while True:
            signal.pause()
