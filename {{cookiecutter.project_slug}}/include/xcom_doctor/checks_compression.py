"""Checks of the compression: is it known here, does it do anything, does it keep the data?"""

from __future__ import annotations

import difflib

from include.xcom_doctor.registry import Outcome, check, finding, ok, warning
from include.xcom_doctor.situation import COMPRESSION, Situation
from include.xcom_shared import COMPRESSIONS, is_available

MEANT = {"gz": "gzip", "gzipped": "gzip", "bzip2": "bz2", "bz": "bz2", "zst": "zstd", "zstandard": "zstd", "7z": "lzma"}


@check(
    "compression.known",
    title="fsspec knows the compression",
    symptom="Small values work; the first big one fails: `ValueError: Compression … is not supported`",
    why="The name is looked up only when a value reaches the threshold, so a typo sleeps until the first big XCom.",
    mend=f"set in .env: {COMPRESSION}=gzip",
    reads=(COMPRESSION,),
)
def compression_known(situation: Situation) -> Outcome:
    """The names that fsspec has, here or with a package."""
    name = situation.setting(COMPRESSION)
    if not name:
        return ok("no compression")
    if name in COMPRESSIONS:
        return ok(name)
    right = MEANT.get(name.lower()) or (difflib.get_close_matches(name.lower(), COMPRESSIONS, 1) or ["gzip"])[0]
    return finding(f"{name!r} is none of {', '.join(COMPRESSIONS)}", f"set in .env: {COMPRESSION}={right}")


@check(
    "compression.package",
    title="The package of the codec is installed",
    symptom="`ValueError: Compression zstd is not supported. Make sure it is installed.` at the first big value",
    why="snappy, zstd and lz4 come with packages of their own.",
    mend="add the codec's package to requirements.txt, and rebuild",
    needs=("compression.known",),
)
def compression_package(situation: Situation) -> Outcome:
    """The codecs that fsspec registers only with their package."""
    name = situation.setting(COMPRESSION)
    if not name:
        return ok("no compression")
    if not is_available(name):
        package = COMPRESSIONS[name].package
        return finding(f"{name} needs the package {package}", f"add to requirements.txt: {package}")
    return ok(f"{name} is available")


@check(
    "compression.zip",
    title="The compression makes objects smaller",
    symptom="Objects end in .zip and are as large as before, even a little larger",
    why="fsspec stores into a zip archive without compressing; gzip takes the same JSON to a fraction.",
    mend=f"set in .env: {COMPRESSION}=gzip, or use a class that compresses itself (include.xcom_backend.XComBackend)",
    needs=("compression.known",),
)
def compression_zip(situation: Situation) -> Outcome:
    """zip, written by the provider's own code."""
    if situation.setting(COMPRESSION) == "zip" and situation.writes_like_provider:
        return warning("zip stores without compressing in the provider's class")
    return ok(situation.setting(COMPRESSION) or "no compression")


@check(
    "compression.durable",
    title="A compressed object is in the store before the task ends",
    symptom="The task succeeds, the row refers to an object, and the object was never written: the "
    "reader gets the path string",
    why="The provider's class closes only the compressor; the upload beneath it is closed by the "
    "garbage collector, and on "
    "Cloud Storage not at all when the process ends first. On S3 a refused upload is swallowed.",
    mend=f"remove from .env: {COMPRESSION}, or use a class that writes durably "
    "(include.xcom_object_storage.XComObjectStorageBackend)",
    needs=("compression.known",),
)
def compression_durable(situation: Situation) -> Outcome:
    """The provider's class, with compression, on Cloud Storage."""
    if not situation.setting(COMPRESSION):
        return ok("no compression")
    if situation.writes_like_provider and situation.cloud.module == "gcsfs":
        return finding(
            f"{situation.setting(COMPRESSION)} with the provider's class on {situation.cloud.name} can lose objects"
        )
    return ok("the upload is closed with the task")
