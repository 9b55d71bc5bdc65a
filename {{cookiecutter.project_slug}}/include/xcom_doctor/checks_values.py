"""Threshold and compression: from how many bytes on does a value go to the bucket, and in what form?"""

from __future__ import annotations

import difflib
import re

from include.xcom_doctor import database
from include.xcom_doctor.checks_class import own_classes, set_class
from include.xcom_doctor.model import NotAskedError, Outcome, check, finding, ok, plural, warning
from include.xcom_doctor.situation import COMPRESSION, THRESHOLD, Situation
from include.xcom_shared import COMPRESSIONS, is_available

SUGGESTED = 1_000_000
# Beyond this a row burdens the database, the API server that carries it, and every page that shows it.
TOO_LARGE = 64 * 1024 * 1024
MEANT = {"gz": "gzip", "gzipped": "gzip", "bzip2": "bz2", "bz": "bz2", "zst": "zstd", "zstandard": "zstd", "7z": "lzma"}
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


@check
def threshold_number(situation: Situation) -> Outcome:
    """What int() makes of it."""
    if situation.threshold is not None:
        return ok(f"{situation.threshold} bytes")
    text = situation.setting(THRESHOLD)
    return finding(f"{text!r} is not a whole number" if text else "it is set to nothing", _set(_bytes_in(text)))


@check
def threshold_negative(situation: Situation) -> Outcome:
    """-1, set or by default."""
    threshold = situation.threshold or 0
    if situation.is_default_backend:
        raise NotAskedError("the default class knows no threshold")
    if threshold < 0:
        how = "set to" if THRESHOLD in situation.env else "not set, so"
        return finding(f"the threshold is {how} {threshold}: nothing will ever go to the bucket")
    more = f"more than {threshold} bytes" if situation.is_custom_backend else f"{threshold} bytes and more"
    return ok(f"values of {more} go to the bucket")


@check
def threshold_reach(situation: Situation) -> Outcome:
    """Compare with a bound, and with the rows that are there."""
    if situation.is_default_backend:
        raise NotAskedError("the default class knows no threshold")
    threshold = situation.threshold or 0
    if threshold > TOO_LARGE:
        return finding(f"{threshold} bytes: values up to {threshold / 2**20:,.0f} MiB would go into the database")
    try:
        count, largest, stored = database.row_sizes(situation)
    except NotAskedError as reason:
        return ok(f"{threshold} bytes; not compared with your XComs ({reason})")
    if count and not stored and largest < threshold:
        fix = f"nothing, if that is what you want; else set in .env: {THRESHOLD}={max(1, largest)}"
        return warning(f"{threshold} bytes, and the largest of your {plural(count, 'XCom')} has {largest}", fix)
    return ok(f"{threshold} bytes; {stored} of {plural(count, 'XCom')} in the bucket")


@check
def threshold_remote(situation: Situation) -> Outcome:
    """The Helm values in `remote-execution/`."""
    texts = {file.name: file.read_text() for file in sorted(situation.root.glob("remote-execution/*.y*ml"))}
    texts = {name: text for name, text in texts.items() if THRESHOLD in text}
    if not texts:
        raise NotAskedError("no Helm values with a threshold in remote-execution/")
    for name, text in texts.items():
        written = re.search(rf"{THRESHOLD}\s*\n\s*value:\s*(\S+)", text)
        value = written[1] if written else "(no value)"
        if value not in ('"0"', "'0'"):
            how = "a number, and Kubernetes takes only strings" if value == "0" else "not 0"
            return finding(f"{name} sets {value}: {how}", f'in remote-execution/{name}: {THRESHOLD} value: "0"')
    return ok('"0" in the Helm values')


@check
def compression_known(situation: Situation) -> Outcome:
    """The names that fsspec has, here or with a package."""
    name = situation.setting(COMPRESSION)
    if not name or name in COMPRESSIONS:
        return ok(name or "no compression")
    right = MEANT.get(name.lower()) or (difflib.get_close_matches(name.lower(), COMPRESSIONS, 1) or ["gzip"])[0]
    return finding(f"{name!r} is none of {', '.join(COMPRESSIONS)}", f"set in .env: {COMPRESSION}={right}")


@check
def compression_package(situation: Situation) -> Outcome:
    """The codecs that fsspec registers only with their package."""
    name = situation.setting(COMPRESSION)
    if not name or is_available(name):
        return ok(f"{name} is available" if name else "no compression")
    package = COMPRESSIONS[name].package
    return finding(f"{name} needs the package {package}", f"add to requirements.txt: {package}")


@check
def compression_zip(situation: Situation) -> Outcome:
    """zip, written by the provider's own code."""
    if situation.setting(COMPRESSION) == "zip" and situation.writes_like_provider:
        return warning("zip stores without compressing in the provider's class", _compress_otherwise())
    return ok(situation.setting(COMPRESSION) or "no compression")


@check
def compression_durable(situation: Situation) -> Outcome:
    """The provider's class, with compression, where that is known to lose objects."""
    name = situation.setting(COMPRESSION)
    if not name:
        return ok("no compression")
    if not situation.writes_like_provider or not situation.cloud.loses:
        return ok("the upload is closed with the task")
    told = finding if situation.cloud.loses_always else warning
    return told(
        f"{name} with the provider's class on {situation.cloud.name}: {situation.cloud.loses}", _compress_otherwise()
    )


def _compress_otherwise() -> str:
    """A class of this project that compresses by itself, or no compression."""
    return next((set_class(name) for name in own_classes()), f"remove from .env: {COMPRESSION}")


def _set(threshold: int) -> str:
    return f"set in .env: {THRESHOLD}={threshold}"


def _bytes_in(text: str) -> int:
    """What `1k`, `1e6`, `1.5 MB`, `64MiB` or `1_000 bytes` was meant to be."""
    match = re.match(r"\s*(\d[\d_,]*(?:\.\d+)?(?:e\+?\d+)?)\s*([kmg]i?)?b?", text.lower())
    if not match:
        return SUGGESTED
    return round(float(re.sub("[_,]", "", match[1])) * _UNITS[match[2] or ""]) or SUGGESTED
