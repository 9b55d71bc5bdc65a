"""Draws what the doctor prints when the bucket's name has a typo, with an emulator: shots.py starts this.

It runs in the folder of a project, with its Python, and finds it and these tools on the PYTHONPATH. Its argument is the
SVG file. The emulator has another port each time, so the picture shows 9000.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from pathlib import Path

from dotenv import dotenv_values
from rich.console import Console

from tools.demo import run


def main(picture: Path) -> None:
    """Plant the typo, ask the doctor, and save what it says."""
    settings = {name: value or "" for name, value in dotenv_values(".env").items()}
    shutil.rmtree(run.HOME, ignore_errors=True)
    run.HOME.mkdir()
    shutil.copy("Dockerfile", run.HOME)
    with run.store_for(settings[run.PATH]) as store:
        os.environ.update(run.airflow_settings(settings, store))
        run.make_database()
        os.environ[run.PATH] = store.path.replace("xcom-tests", "xcom-test")
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
        from include.xcom_doctor import Situation, examine, report

        told = report.as_text(examine(Situation(run.HOME)))
    console = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    console.print(told)
    svg = console.export_svg(title="python -m include.xcom_doctor")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9000", svg)
    picture.write_text(svg, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
