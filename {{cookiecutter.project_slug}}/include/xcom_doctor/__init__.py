"""Tells why XComs do not land where they should: `python -m include.xcom_doctor` from the project root.

Every check is one function in a `checks_*.py` module, registered with `@check`; add yours the same way.
Nothing here changes a setting, prints a secret, or leaves an object behind in the bucket.
"""

from __future__ import annotations

from include.xcom_doctor import report
from include.xcom_doctor.registry import CHECKS, Result, examine, exit_code
from include.xcom_doctor.situation import Situation

__all__ = ["CHECKS", "Result", "Situation", "examine", "exit_code", "report"]
