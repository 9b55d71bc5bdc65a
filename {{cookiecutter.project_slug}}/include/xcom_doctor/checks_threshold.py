"""Checks of the threshold: from how many bytes on does a value go to the bucket?"""

from __future__ import annotations

import re

from include.xcom_doctor import database
from include.xcom_doctor.registry import Outcome, bar, check, finding, ok, skip, warning
from include.xcom_doctor.situation import THRESHOLD, Situation

SUGGESTED = 1_000_000
# Beyond this a row burdens the database, the API server that carries it, and every page that shows it.
TOO_LARGE = 64 * 1024 * 1024


@check(
    "threshold.number",
    title="The threshold is a whole number of bytes",
    symptom="`AirflowConfigException: Failed to convert value to int`, every task fails",
    why="Airflow takes bytes only: no `1k`, no `1_000_000 bytes`, no comment.",
    mend=f"set in .env: {THRESHOLD}={SUGGESTED}",
    reads=(THRESHOLD,),
)
def threshold_number(situation: Situation) -> Outcome:
    """What int() makes of it."""
    text = situation.setting(THRESHOLD)
    if situation.threshold is None:
        return finding(f"{text!r} is not a whole number", f"set in .env: {THRESHOLD}={_bytes_in(text)}")
    return ok(f"{situation.threshold} bytes")


@check(
    "threshold.negative",
    title="The threshold lets values go to the bucket",
    symptom="All tasks succeed, and nothing ever reaches the bucket",
    why="-1, also the default when the variable is missing, means: never use object storage.",
    mend=f"set in .env: {THRESHOLD}={SUGGESTED} (0 sends everything to the bucket)",
    needs=("threshold.number",),
)
def threshold_negative(situation: Situation) -> Outcome:
    """-1, set or by default."""
    if situation.is_default_backend:
        return bar("the default class knows no threshold")
    if situation.threshold is not None and situation.threshold < 0:
        how = "set to" if situation.setting(THRESHOLD) and THRESHOLD in situation.env else "not set, so"
        return finding(f"the threshold is {how} {situation.threshold}: nothing will ever go to the bucket")
    if situation.backend_name.startswith("include.xcom_backend."):
        return ok(f"values of more than {situation.threshold} bytes go to the bucket")
    return ok(f"values of {situation.threshold} bytes and more go to the bucket")


@check(
    "threshold.reach",
    title="The threshold is within reach of the values you push",
    symptom="The set-up is right, and yet nothing reaches the bucket: every value is smaller than the threshold",
    why="A threshold above every XCom keeps them all in the database; one above 64 MiB asks more of "
    "it than it can take.",
    mend=f"set in .env: {THRESHOLD}={SUGGESTED}",
    needs=("threshold.negative",),
)
def threshold_reach(situation: Situation) -> Outcome:
    """Compare with a bound, and with the rows that are there."""
    threshold = situation.threshold or 0
    if threshold > TOO_LARGE:
        return finding(f"{threshold} bytes: values up to {threshold / 2**20:,.0f} MiB would go into the database")
    rows = database.row_sizes(situation)
    if isinstance(rows, str):
        return ok(f"{threshold} bytes; not compared with your XComs ({rows})")
    count, largest, stored = rows
    if count and not stored and largest < threshold:
        return warning(
            f"{threshold} bytes, and the largest of your {count} XComs has {largest}",
            f"nothing, if that is what you want; else set in .env: {THRESHOLD}={max(1, largest)}",
        )
    return ok(f"{threshold} bytes; {stored} of {count} XComs are in the bucket")


@check(
    "threshold.remote",
    title="Remote Execution Agents send everything to the bucket",
    symptom="A task on an agent succeeds, and its XCom is nowhere, or too large for the orchestration plane",
    why="Agents cannot see the metadata database; Astronomer asks for threshold 0, so that no value "
    "leaves your own cloud.",
    mend='under commonEnv in the Helm values: value: "0"',
    needs=("threshold.number",),
)
def threshold_remote(situation: Situation) -> Outcome:
    """The Helm values in `remote-execution/`."""
    values = [
        (file, text)
        for file in sorted(situation.root.glob("remote-execution/*.y*ml"))
        if THRESHOLD in (text := file.read_text())
    ]
    if not values:
        return skip("no Helm values with a threshold in remote-execution/")
    for file, text in values:
        written = re.search(rf"{THRESHOLD}\s*\n\s*value:\s*(\S+)", text)
        value = written[1] if written else "(no value)"
        if value not in ('"0"', "'0'"):
            how = "a number, and Kubernetes takes only strings" if value == "0" else "not 0"
            return finding(
                f"{file.name} sets {value}: {how}", f'in remote-execution/{file.name}: {THRESHOLD} value: "0"'
            )
    return ok('"0" in the Helm values')


def _bytes_in(text: str) -> int:
    """What `1k`, `1 MB` or `1_000 bytes` was meant to be."""
    match = re.match(r"\s*(\d[\d_,]*)\s*([kKmMgG]?)", text)
    if not match:
        return SUGGESTED
    return int(re.sub(r"\D", "", match[1])) * {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}[match[2].lower()]
