"""Bakes a project, gives it an environment of its own, and runs its Dag there on real Airflow: this is `make demo`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tools.environments import ROOT, NoPythonError, project_environment, python_path
from tools.template import template

# The variable of `make demo` that holds the answer to a question.
VARIABLES = {
    "cloud": "CLOUD",
    "xcom_backend": "BACKEND",
    "airflow": "AIRFLOW",
    "astro_sdk": "ASTRO_SDK",
    "compression": "COMPRESSION",
    "threshold": "THRESHOLD",
}

console = Console(highlight=False)


def main() -> int:
    """Return 0 when the Dag ran and its XComs are where they belong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ui", action="store_true", help="start Airflow with its web UI and keep it until Ctrl-C")
    parser.add_argument("--picture", type=Path, help="write the result as an SVG picture here")
    parser.add_argument("answers", nargs="*", metavar="QUESTION=ANSWER", help="such as cloud=gcp compression=gzip")
    arguments = parser.parse_args()
    answers = dict(answer.split("=", 1) for answer in arguments.answers if not answer.endswith("="))
    if lines := list(refusals(answers)):
        sys.exit("\n".join(lines))
    cloud, airflow = answers.get("cloud", "aws"), answers.get("airflow", "3")
    if arguments.ui and airflow == "3":
        answers["explorer"] = "true"  # a web UI is to look at values
    astro_sdk = answers.get("astro_sdk", "no") in ("1", "true", "yes")
    custom = answers.get("xcom_backend") == "custom"
    marks = {"custom": custom, "airflow2": airflow == "2", "astro-sdk": astro_sdk}
    name = "-".join([cloud, *(mark for mark, wanted in marks.items() if wanted)])
    started = time.monotonic()

    say(f"1/4 Baking a project for {cloud} on Airflow {airflow}")
    project = bake({**answers, "project_slug": f"xcom-demo-{name}"})
    say(f"2/4 Installing Airflow and its providers into .venv-{name} (the first time about 1 minute, then nothing)")
    try:
        python = project_environment(name, [project / "requirements-dev.txt"], airflow)
    except NoPythonError as error:
        sys.exit(str(error))
    # Airflow 2 warns of its own deprecations.
    command = [
        str(python),
        "-W",
        "ignore",
        str(Path(__file__).with_name("run.py")),
        *(["--ui"] if arguments.ui else []),
    ]
    if arguments.picture:
        command += ["--picture", str(arguments.picture.absolute())]
    code = run(command, project)
    if code == 0:
        console.print(f"\nThe project stays in [cyan]{os.path.relpath(project)}[/]: start with its README.md.")
    console.print(f"All in {time.monotonic() - started:.0f} seconds.")
    return code


def say(step: str) -> None:
    """Print a step, in bold."""
    console.print(f"[bold]{step}[/]")


def refusals(answers: dict[str, str]) -> Iterator[str]:
    """Yield a line for each answer that its question does not offer. cookiecutter would show a traceback."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    for question, answer in answers.items():
        default = questions.get(question)
        offered = ["1", "0", "true", "false", "yes", "no"] if isinstance(default, bool) else default
        if isinstance(offered, list) and answer not in offered:
            yield f"{VARIABLES.get(question, question)}={answer} is refused. It is one of: {', '.join(offered)}"


def bake(answers: dict[str, str]) -> Path:
    """Bake over the last demo's project, and return its folder.

    :raises SystemExit: with the lines that say why, if an answer is refused
    """
    command = [
        str(Path(sys.executable).parent / "cookiecutter"),
        str(template()),
        "--no-input",
        "--overwrite-if-exists",
    ]
    command += ["--default-config", "--output-dir", str(ROOT / ".demo")]
    command += [f"{question}={answer}" for question, answer in answers.items()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        refused = [line for line in done.stderr.splitlines() if " is refused: " in line]
        sys.exit("\n".join(refused) or done.stderr or done.stdout)
    return ROOT / ".demo" / answers["project_slug"]


def run(command: list[str], project: Path) -> int:
    """Run the command in the project to its end. What ends this reaches it too: it cleans up, and this waits for it."""
    # make forbids bytecode for the sake of the template's folder; without it, Airflow is compiled in each process.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), python_path(project)])
    process = subprocess.Popen(command, cwd=project, env=environment)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # Ctrl-C reaches both
        signal.signal(ending, lambda number, _: process.send_signal(number))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
