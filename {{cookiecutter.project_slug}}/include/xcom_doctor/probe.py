"""Touches the store: one object, written, read and deleted without mkdir, and errors put into plain words.

`fs.exists(bucket)` says False for a wrong key as well as for a refused endpoint, and `mkdir` may create the bucket;
so every question is asked by writing, reading or listing one object (facts, section 12).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.xcom_doctor.clouds import LOCAL
from include.xcom_doctor.situation import Situation

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

NAME = "xcom-doctor-"  # the doctor's objects, or their run IDs, begin so, and no check counts them
DAG_ID = "xcom_doctor"

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


@dataclass(frozen=True)
class Trouble:
    """One refusal of the store."""

    kind: str  # a key of _CODES, or "other"
    text: str


def store(situation: Situation) -> AbstractFileSystem:
    """The filesystem, made once: fsspec runs its calls on one event loop, whatever thread they come from."""
    with situation.making:
        if "store" not in situation.notes:
            situation.notes["store"] = situation.filesystem()
        made: AbstractFileSystem = situation.notes["store"]
        return made


def folder(situation: Situation) -> str:
    """Where the probe object goes: the base path; for a local folder that is not there yet, the nearest one that is."""
    if situation.cloud is not LOCAL:
        return situation.path.plain
    here = Path(situation.path.plain)
    return str(next(one for one in (here, *here.parents) if one.is_dir()))


def first_write(situation: Situation) -> Trouble | None:
    """Write the probe object, once; later callers get the same answer."""
    with situation.writing:
        if "first write" not in situation.notes:
            key = f"{folder(situation)}/{NAME}{uuid.uuid4()}"
            situation.notes["probe key"] = key
            situation.notes["probe object"] = key
            trouble = attempt(lambda: store(situation).pipe_file(key, b"first"))
            if trouble and trouble.kind == "missing":  # a write can only miss the bucket; Cloud Storage says just 404
                trouble = Trouble("bucket", trouble.text)
            situation.notes["first write"] = trouble
            if trouble:
                situation.notes.pop("probe object")
        answer: Trouble | None = situation.notes["first write"]
        return answer


def attempt(call: Callable[[], object]) -> Trouble | None:
    """Call, and put an error into plain words."""
    try:
        call()
    except Exception as error:
        return diagnose(error)
    return None


def diagnose(error: BaseException) -> Trouble:
    """Find the most telling error in the chain: the libraries wrap the store's own words two or three times.

    The store's own codes count before the classes that a library makes of them, and the innermost error first.
    """
    found = [(code, one) for one in reversed(list(chain(error))) for code in _codes(one) if code in _KINDS]
    telling = [pair for pair in found if pair[0] not in _GENERIC] or found
    if not telling:
        return Trouble("other", _words(type(error).__name__, error))
    code, source = telling[0]
    kind = _KINDS[code]
    if re.search(r"failed to authenticate", str(source), re.I):
        kind = "credentials"  # Azurite's word for a wrong key is AuthorizationFailure
    return Trouble(kind, _words(code, source))


def region_in(text: str) -> str:
    """The right region, where S3 tells it in the error."""
    match = re.search(r"expecting '([\w-]+)'|(?:region|Region)[ :=']+([a-z]{2}-[a-z-]+-\d)", text)
    return next((group for group in match.groups() if group), "") if match else ""


def bucket_region(situation: Situation) -> str:
    """What S3 says of the bucket's region; empty when the identity may not ask."""
    try:
        answer = store(situation).call_s3("get_bucket_location", Bucket=situation.path.bucket)
    except Exception:
        return ""
    return answer.get("LocationConstraint") or "us-east-1"


def folders(situation: Situation) -> set[str]:
    """Names of the folders directly below the base path: one for each Dag."""
    files = store(situation)
    files.invalidate_cache()
    try:
        entries = files.ls(situation.path.plain, detail=True)
    except FileNotFoundError:
        return set()
    names = {entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory"}
    return names - {DAG_ID}


def objects(situation: Situation, own: str = "") -> dict[str, int]:
    """Every object below the base path with its size in bytes, by its key relative to the base path.

    :param own: a run ID of the doctor's: give only its objects, which are left out otherwise
    """
    base = situation.path.plain.rstrip("/") + "/"
    files = store(situation)
    files.invalidate_cache()
    try:
        found = files.find(base, detail=True)
    except FileNotFoundError:
        return {}
    except PermissionError:
        # In an empty folder s3fs asks for an object of the folder's own name; the policy grants only what is inside.
        if _is_empty(files, situation.path.plain):
            return {}
        raise
    return {
        name.removeprefix(base): entry.get("size") or 0
        for name, entry in found.items()
        if entry["type"] == "file" and (own in name if own else f"/{NAME}" not in name)
    }


def _is_empty(files: AbstractFileSystem, folder: str) -> bool:
    try:
        return not files.ls(folder, detail=False)
    except FileNotFoundError:
        return True


def chain(error: BaseException | None) -> Iterator[BaseException]:
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
