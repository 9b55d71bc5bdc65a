"""Checks of the settings that only the custom class reads."""

from __future__ import annotations

import importlib

from include.xcom_doctor.registry import Outcome, check, finding, ok
from include.xcom_doctor.situation import Situation


@check(
    "custom.settings",
    title="The custom class accepts its settings",
    symptom="Every task that pushes or pulls fails with XComSettingsError",
    why="The custom class refuses a name or a value that it cannot use: a misspelt restriction would restrict nothing.",
    mend="write in .env what the message names, or delete the variable",
    needs=("class.found", "class.custom"),
    unless=("path.set", "path.form", "threshold.number", "compression.known", "mirror.connection"),
)
def custom_settings(situation: Situation) -> Outcome:
    """Let the class itself read its settings."""
    if not situation.backend_name.startswith("include.xcom_backend."):
        return ok("the custom class is not in use")
    module = importlib.import_module("include.xcom_backend.settings")
    try:
        module.settings.__wrapped__()
    except module.XComSettingsError as error:
        return finding(str(error))
    return ok("the custom class has read all its settings")
