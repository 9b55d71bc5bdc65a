"""Tells why XComs do not land where they should: `python -m include.xcom_doctor` from the project root.

A check is a table in checks.toml, which has its texts, and a function of the same name in a `checks_*.py`.
Nothing here changes a setting, prints a secret, or leaves an object behind in the bucket.
"""

from __future__ import annotations

from include.xcom_doctor import report
from include.xcom_doctor.model import Result
from include.xcom_doctor.runner import compute_check, examine, exit_code
from include.xcom_doctor.situation import Situation

__all__ = ["Result", "Situation", "compute_check", "examine", "exit_code", "report"]
