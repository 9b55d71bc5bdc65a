"""Hides secrets: those we know (the connection's own), and whatever else looks like one.

Airflow's own masker leaves secrets of fewer than five characters, quoted ones and unknown tokens readable.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

HIDDEN = "***"

# Fields of a connection that say where or how, never who: they may be shown.
_PUBLIC = """
    conn_type host port schema login region_name endpoint_url service_config s3 project num_retries is_anonymous
    gcs.endpoint account_name account_host account_url anon verify role_arn tenant_id config_kwargs profile_name
    connect_timeout read_timeout retries max_attempts mode addressing_style scope description defaultendpointsprotocol
    accountname blobendpoint endpointsuffix queueendpoint tableendpoint fileendpoint managed_identity_client_id
    workload_identity_client_id workload_identity_tenant_id gcs.access project_id client_email client_id type auth_uri
    token_uri universe_domain assume_role_method
"""
PUBLIC_FIELDS = frozenset(_PUBLIC.split())

# Passwords of demos and emulators that are also words of this report: hiding `airflow` everywhere would make the
# fixes unusable. They stay hidden where they stand as a password (the patterns below).
_WEAK = "airflow postgres admin test astro user root password minio minioadmin xcom true false local"
WEAK = frozenset(_WEAK.split())

# A secret that we were never told about gives itself away by its surroundings.
_PATTERNS = [
    (re.compile(pattern, re.I | re.S), shown)
    for pattern, shown in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        (r"((?:AccountKey|SharedAccessSignature)=)[^;\s\"']+", rf"\1{HIDDEN}"),
        (
            r"((?:[?&]|\b)(?:sig|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token)=)[^&\s\"']+",
            rf"\1{HIDDEN}",
        ),
        (r"(://[^/\s:@\"']*:)[^/\s@\"']+(@)", rf"\1{HIDDEN}\2"),
        (
            r"(\\?[\"'][^\"']*(?:passw|secret|token|api_?key|account_?key|access_?key|private|signature|keyfile_dict)"
            r"[^\"']*\\?[\"']\s*:\s*\\?[\"'])[^\"'\\<]+",
            rf"\1{HIDDEN}",
        ),
        (r"(\b(?:password|secret|token|authorization)\s*[=:]\s*)(?!\*)[^\s,;&\"']+", rf"\1{HIDDEN}"),
        (r"\b(?-i:AKIA|ASIA)[A-Z0-9]{12,}\b", HIDDEN),
        (r"\b(?-i:ya29\.|eyJ)[\w.\-]{20,}", HIDDEN),
    )
]


def secrets_in(value: Any, name: str = "") -> set[str]:
    """Every string in a connection (or a part of one) that may be a secret: all but the fields known as public."""
    if isinstance(value, Mapping):
        return {one for key, item in value.items() for one in secrets_in(item, str(key))}
    if isinstance(value, (list, tuple)):
        return {one for item in value for one in secrets_in(item, name)}
    if not isinstance(value, str) or not value or name.lower() in PUBLIC_FIELDS:
        return set()
    return _secrets_in_text(value)


def masker(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that hides `secrets`, their URL-quoted and base64 forms, and everything that looks like a secret."""
    # The longest first, or a secret that is part of another would leave the rest of that one readable.
    forms = sorted({form for one in secrets for form in _forms(one)}, key=len, reverse=True)
    known = re.compile("|".join(_bounded(form) for form in forms)) if forms else None

    def hide(text: str) -> str:
        for pattern, shown in _PATTERNS:
            text = pattern.sub(shown, text)
        return known.sub(HIDDEN, text) if known else text

    return hide


def _secrets_in_text(text: str) -> set[str]:
    if text.lstrip().startswith(("{", "[")):
        try:
            return secrets_in(json.loads(text))
        except ValueError:
            return {text}
    if re.match(r"\w+=[^;]*;", text):  # an Azure connection string
        pairs = (part.partition("=") for part in text.split(";") if part)
        return {text} | {value for key, _, value in pairs if key.lower() not in PUBLIC_FIELDS}
    if "://" in text:
        with contextlib.suppress(ValueError):
            password = urlsplit(text).password or ""
            return {password, unquote(password)} - {""}
        return set()
    return {text}


def _forms(secret: str) -> set[str]:
    if secret.lower() in WEAK:
        return set()
    forms = {secret, quote(secret, safe=""), quote_plus(secret), secret.replace("\n", "\\n"), json.dumps(secret)[1:-1]}
    with contextlib.suppress(UnicodeEncodeError):
        forms.add(base64.b64encode(secret.encode()).decode())
    return {form for form in forms if form.strip()}


def _bounded(form: str) -> str:
    """A short secret such as `test` is hidden as a word, or `latest` would read `la***`."""
    return re.escape(form) if len(form) >= 8 else rf"(?<![A-Za-z0-9_]){re.escape(form)}(?![A-Za-z0-9_])"
