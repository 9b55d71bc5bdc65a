"""Each message on the page of the custom class is what the class says today, of real XComs on moto."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools.baking import ROOT, Bake, Install, environment_of_a_project, run
from tools.blocks import pattern_of
from tools.environments import python_path

PAGE = (ROOT / "docs" / "reference" / "custom-backend.md").read_text(encoding="utf-8")
PROBE = ROOT / "tools" / "probes" / "print_messages.py"
SIZES = re.compile(r"\d[\d,]*(?= B\b| ms\b| bytes\b|\. If the object)")


def shown() -> dict[str, str]:
    """Return the messages of the page: of the table by their first cell, of the log by their start."""
    table = PAGE.partition("| What happened | Message |")[2]
    messages = dict(re.findall(r"^\| (.+?) \| [^`|]*`(.+)` \|$", table, re.MULTILINE))
    return messages | {line.partition(":")[0]: line for line in re.findall(r"^XCom \w+: .+$", PAGE, re.MULTILINE)}


def test_the_messages_on_the_page_are_those_of_the_class(bake: Bake, install: Install, tmp_path: Path) -> None:
    project = bake(cloud="aws", xcom_backend="custom")
    programs = install("aws-custom", project / "requirements-dev.txt")
    home = {"HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    home["PYTHONPATH"] = python_path(project)
    done = run(programs / "python", PROBE, env=environment_of_a_project(programs, tmp_path) | home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.keys() == shown().keys()
    for name, message in shown().items():
        wanted, said = (SIZES.sub("0", text) for text in (message, told[name]))
        assert re.fullmatch(pattern_of(wanted), said), f"{name}: the page has\n{message}\nand the class says\n{said}"
