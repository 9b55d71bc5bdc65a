"""The one file that touches the store: put, get, delete and list one object, and errors put into plain words.

`fs.exists(bucket)` says False for a wrong key as well as for a refused endpoint, and `mkdir` may create the bucket; so
every question is asked by writing, reading or listing one object. What a probe has written is deleted by `clean_up`.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from include.xcom_doctor.clouds import LOCAL
from include.xcom_doctor.deadline import with_deadline
from include.xcom_doctor.model import Outcome, finding
from include.xcom_doctor.situation import Situation, Trouble

NAME = "xcom-doctor-"  # the doctor's objects, or their run IDs, begin so
DAG_ID = "xcom_doctor"
FIRST = b"first"

# What the stores call it -> what kind of trouble it is. Codes of S3, Cloud Storage and Blob Storage.
_CODES = {
    "credentials": """InvalidAccessKeyId
        SignatureDoesNotMatch InvalidToken ExpiredToken TokenRefreshRequired AuthFailure
        InvalidClientTokenId UnrecognizedClientException AuthenticationFailed InvalidAuthenticationInfo RefreshError
        NoCredentialsError PartialCredentialsError ClientAuthenticationError DefaultCredentialsError MalformedError""",
    "bucket": "NoSuchBucket ContainerNotFound ContainerBeingDeleted AllAccessDisabled",
    "region": "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException IncorrectEndpoint",
    "permission": """AccessDenied AllAccessDisabled AuthorizationPermissionMismatch AuthorizationFailure Forbidden
        InsufficientAccountPermissions AuthorizationResourceTypeMismatch PermissionError""",
    "missing": "NoSuchKey BlobNotFound FileNotFoundError ResourceNotFoundError",
    "unreachable": """EndpointConnectionError ConnectTimeoutError ReadTimeoutError ConnectionClosedError
        ServiceRequestError ServiceRequestTimeoutError ServiceResponseTimeoutError ClientConnectorError
        ServerDisconnectedError ClientOSError ConnectionRefusedError ConnectionResetError ServiceResponseError
        ClientConnectorDNSError ConnectionError HTTPClientError SlowDown""",
}
# Classes and status codes that say what, but not why.
_GENERIC = frozenset({"Forbidden", "PermissionError", "FileNotFoundError", "ResourceNotFoundError", "ConnectionError"})
_KINDS = {code: kind for kind, codes in _CODES.items() for code in codes.split()}


# --- one object: the only calls to the store ---


def put(situation: Situation, key: str, data: bytes) -> None:
    """Write one object, without making folders or buckets."""
    situation.filesystem.pipe_file(key, data)


def get(situation: Situation, key: str) -> bytes:
    """Read one object."""
    return bytes(situation.filesystem.cat_file(key))


def delete(situation: Situation, key: str) -> None:
    """Delete one object."""
    situation.filesystem.rm_file(key)


def names_in(situation: Situation, folder: str) -> dict[str, str]:
    """The names directly in a folder, with their type: `file` or `directory`."""
    situation.filesystem.invalidate_cache()
    entries = situation.filesystem.ls(folder, detail=True)
    return {entry["name"].rstrip("/").rpartition("/")[2]: entry["type"] for entry in entries}


def objects(situation: Situation) -> dict[str, int]:
    """Every object below the base path with its size in bytes, by its key relative to the base path."""
    base = situation.path.plain.rstrip("/") + "/"
    situation.filesystem.invalidate_cache()
    try:
        found: dict[str, dict[str, Any]] = situation.filesystem.find(base, detail=True)
    except FileNotFoundError:
        return {}
    except PermissionError:
        # In an empty folder s3fs asks for an object of the folder's own name; the policy grants only what is inside.
        with suppress(FileNotFoundError):
            if names_in(situation, situation.path.plain):
                raise
        return {}
    return {name.removeprefix(base): entry.get("size") or 0 for name, entry in found.items() if entry["type"] == "file"}


def buckets(situation: Situation) -> list[str]:
    """The buckets of the account; none where the identity may not list them."""
    try:
        return [str(name).strip("/") for name in situation.filesystem.ls("", detail=False)]
    except Exception:
        return []


# --- the probe object ---


def folder(situation: Situation) -> str:
    """Where the probe object goes: the base path; for a local folder that is not there yet, the nearest one that is."""
    if situation.cloud is not LOCAL:
        return situation.path.plain
    here = Path(situation.path.plain)
    return str(next(one for one in (here, *here.parents) if one.is_dir()))


def first_write(situation: Situation) -> Trouble | None:
    """Write the probe object, once; later callers get the same answer."""
    mine = situation.traces
    with mine.lock:
        if not mine.key:
            mine.key = mine.left = f"{folder(situation)}/{NAME}{uuid.uuid4()}"
            mine.trouble = attempt(lambda: put(situation, mine.key, FIRST))
            if mine.trouble and mine.trouble.kind == "missing":  # a write can only miss the bucket; GCS says just 404
                mine.trouble = Trouble("bucket", mine.trouble.text)
    return mine.trouble


def remove_object(situation: Situation) -> Trouble | None:
    """Delete the probe object."""
    mine = situation.traces
    trouble = attempt(lambda: delete(situation, mine.key))
    if trouble is None or trouble.kind == "missing":
        mine.left = ""
    return trouble


def remove_run(situation: Situation, run_id: str) -> list[str]:
    """Delete the objects of one run of the doctor, and return those that were there."""
    own = [name for name in objects(situation) if run_id in name]
    for name in own:
        delete(situation, f"{situation.path.plain}/{name}")
    if situation.cloud is LOCAL:  # only here is a folder a thing of its own
        home = Path(situation.path.plain) / DAG_ID
        shutil.rmtree(home / run_id, ignore_errors=True)
        with suppress(OSError):
            home.rmdir()
    return own


def clean_up(situation: Situation) -> list[str]:
    """Delete all that the doctor has written and not deleted yet; what could not be deleted."""
    mirror = vars(situation).get("mirror")  # nobody has written there if nobody has asked for it
    return [one for store in (situation, mirror) if store for one in _clean(store)]


def _clean(situation: Situation) -> Iterator[str]:
    mine = situation.traces

    def remove() -> None:
        with mine.lock:  # a write that is under way comes to its end first
            remove_object(situation)
        for run_id in list(mine.runs):
            remove_run(situation, run_id)
            mine.runs.remove(run_id)

    if mine.left or mine.runs:
        with suppress(Exception):
            with_deadline(remove, situation.deadline)
    if mine.left and mine.trouble is None:
        yield mine.left
    yield from (f"the objects of run {run_id}" for run_id in mine.runs)


# --- errors ---


def attempt(call: Callable[[], object]) -> Trouble | None:
    """Call, and put an error into plain words."""
    try:
        call()
    except Exception as error:
        return diagnose(error)
    return None


def no_answer(situation: Situation) -> Outcome:
    """For a check that ran out of time."""
    where = situation.endpoint or situation.path.text
    left = situation.traces.left
    tail = f"; the probe object {left} may have been left behind" if left else ""
    return Outcome(
        "finding",
        f"{where} gave no answer within {situation.deadline:g} s{tail}",
        f"open the network path to {where} (firewall, proxy, VPC endpoint), or correct the connection's endpoint",
        ends=True,
    )


def refused(situation: Situation, error: Exception) -> Outcome | None:
    """For a check that the store refused where it did not expect it; None when it was not the store."""
    trouble = diagnose(error)
    if trouble.kind == "other":
        return None
    where = situation.endpoint or situation.path.text
    return finding(f"{where} refused: {trouble.text}", f"look at the store behind {where}; then run the doctor again")


def diagnose(error: BaseException) -> Trouble:
    """Find the most telling error in the chain: the libraries wrap the store's own words two or three times.

    The store's own codes count before the classes that a library makes of them, and the innermost error first.
    """
    found = [(code, one) for one in reversed(list(_chain(error))) for code in _codes(one) if code in _KINDS]
    telling = [pair for pair in found if pair[0] not in _GENERIC] or found
    if not telling:
        return Trouble("other", _words(type(error).__name__, error))
    code, source = telling[0]
    # "failed to authenticate" is what Azurite says of a wrong key, under the code AuthorizationFailure.
    wrong_key = re.search(r"failed to authenticate", str(source), re.I)
    return Trouble("credentials" if wrong_key else _KINDS[code], _words(code, source))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk from an error to those that it was made of, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _codes(error: BaseException) -> list[str]:
    """Everything about an error that may be a code: the store's, the HTTP status, the class."""
    response = getattr(error, "response", None)
    codes = [str(response.get("Error", {}).get("Code", ""))] if isinstance(response, dict) else []
    own = getattr(error, "error_code", "") or ""
    codes.append(str(getattr(own, "value", own)))  # Azure has an enum
    codes.extend(re.findall(r"\b(?:Code:|ErrorCode:|<Code>)\s*(\w+)", str(error)))
    status = getattr(error, "code", None) or getattr(error, "status_code", None)
    codes.append({"401": "InvalidToken", "403": "Forbidden"}.get(str(status), ""))
    codes.extend(kind.__name__ for kind in type(error).__mro__)
    return codes


def _words(code: str, error: BaseException) -> str:
    """One line, without request ids and XML."""
    text = re.sub(r"Content: .*|<[^>]+>", " ", str(error), flags=re.S)
    text = re.sub(r"\s*(?:RequestId|Time|x-ms-request-id)\s*:?\s*\S+", "", text)
    text = " ".join(text.split())[:200]
    return text if code in text else f"{code}: {text}"
