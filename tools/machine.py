"""What numbers were measured on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from tools.environments import versions


def machine() -> str:
    """Return in a line what the numbers were measured on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor, airflow = model[1] if model else platform.machine(), versions("3")["version"]
    return (
        f"{os.cpu_count()} x {processor}, {platform.system()}, Python {platform.python_version()}, Airflow {airflow}, "
        f"load of the last 15 minutes {os.getloadavg()[2]:.1f}"
    )
