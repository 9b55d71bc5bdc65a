"""What infra/ grants: the one file of rights that Terraform, the commands of its README and this doctor read."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

from include.xcom_doctor.clouds import Cloud

STEPS = ("write", "read", "list", "overwrite", "delete")


def granted(root: Path, cloud: Cloud) -> set[str] | None:
    """The rights that the project's infra/ grants, by the cloud's own names; None if it has no file for this cloud.

    :raises ValueError: if the file is not what its cloud takes
    """
    file = root / cloud.rights_file
    if not cloud.rights_file or not file.is_file():
        return None
    document = json.loads(file.read_text(encoding="utf-8"))
    try:
        if "Statement" in document:
            actions = [one["Action"] for one in document["Statement"] if one["Effect"] == "Allow"]
            return {name for one in actions for name in ([one] if isinstance(one, str) else one)}
        return set(document["includedPermissions"] if "includedPermissions" in document else document["sas"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{cloud.rights_file} has no {error}") from error


def asked(cloud: Cloud, step: str) -> set[str]:
    """The rights that a step of the probe asks for: ``write``, ``read``, ``list``, ``overwrite`` or ``delete``."""
    return set(re.findall(cloud.right_form, cloud.permissions[step]))


def lacking(root: Path, cloud: Cloud) -> set[str]:
    """The rights that XComs need and the project's infra/ does not grant; none if it has no file for this cloud.

    :raises ValueError: if the file is not what its cloud takes
    """
    have = granted(root, cloud)
    needed = {right for step in STEPS for right in asked(cloud, step)}
    return set() if have is None else {right for right in needed if not any(fnmatchcase(right, one) for one in have)}
