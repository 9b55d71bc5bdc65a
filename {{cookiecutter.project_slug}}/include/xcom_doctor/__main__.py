"""The command line: `python -m include.xcom_doctor`. Exit 0: healthy · 1: findings · 2: it could not run."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from include.xcom_doctor import examine, exit_code, report
from include.xcom_doctor.model import Result, UnknownCheckError
from include.xcom_doctor.situation import DEADLINE, Situation, read_env_file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks, print the report, return the exit code."""
    options = _parser().parse_args(argv)
    if options.env_file:
        if not options.env_file.is_file():
            print(f"the doctor could not run: there is no file {options.env_file}", file=sys.stderr)
            return 2
        os.environ.update({line.name: line.value for line in read_env_file(options.env_file)})
    # Airflow looks a connection up in the metadata database only in a process that calls itself a server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops it leaves the store clean
    try:
        return _examine(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except UnknownCheckError as error:
        print(error, file=sys.stderr)
    except Exception as error:
        print(f"the doctor could not run: {type(error).__name__}: {error}", file=sys.stderr)
    if options.traceback:
        traceback.print_exc()
    return 2


def _examine(options: argparse.Namespace) -> int:
    errors = Console(file=sys.stderr)  # the stream of now: the libraries' own is turned away below
    env = dict(os.environ)
    # Airflow 3 logs by structlog, which `logging.disable` does not reach.
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
    with _quiet(), errors.status("loading Airflow (about 3 s) …") as status:

        def progress(result: Result) -> None:
            status.update(f"{result.check}: {result.state} …")

        situation = Situation(options.project, env=env, deadline=options.deadline, ambient=options.ambient)
        results = examine(situation, only=options.only, offline=options.offline, progress=progress)
    if options.json:
        print(report.as_json(results, situation.airflow.version))
    else:
        Console(soft_wrap=True, highlight=False).print(report.as_text(results, options.all))
    return exit_code(results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.xcom_doctor", description="Tells why XComs do not land where they should."
    )
    add = parser.add_argument
    add("--all", action="store_true", help="show also what is healthy, and what was not asked")
    add("--json", action="store_true", help="print one JSON object instead")
    add("--offline", action="store_true", help="leave out what asks the store")
    add("--only", nargs="+", default=(), metavar="CHECK", help="only checks whose ID begins so: path rights.write")
    add("--deadline", type=float, default=DEADLINE, metavar="S", help="seconds to wait for the store (%(default)s)")
    add("--env-file", type=Path, metavar="FILE", help="read these settings first, as astro does with .env")
    add("--ambient", action="store_true", help="allow the identity of this machine where the connection has none")
    add("--project", type=Path, metavar="DIR", help="project folder (default: the one that holds include/)")
    add("--traceback", action="store_true", help="show where the doctor itself failed")
    return parser


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' logs and warnings out of the report: what matters of them is in it."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr), open(os.devnull, "w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(nowhere):
                yield
    finally:
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A probe that hangs in a library must not hold the exit: its thread, and the library's own, end here.
    os._exit(code)
