"""Cloudinary's signatures: of uploads (to verify), of replies and of notifications (to make). Pure.

Source: Cloudinary, "Generating authentication signatures", "Verifying notification signatures"; the SDKs' `utils`.
A plain hash of the text with the secret behind it: SHA-1 or SHA-256, told apart by their length.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from gateway.auth import api_key, canonical
from gateway.auth.base import check_signature
from gateway.errors import (
    INVALID_ACCESS_KEY_ID,
    INVALID_ARGUMENT,
    REQUEST_EXPIRED,
    SIGNATURE_DOES_NOT_MATCH,
    ApiError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gateway.credentials import Credential, Keyring, Secret

NAME = "cloudinary"
MAX_AGE_S = 3600
_MAX_SHOWN = 2048  # characters of what a request said, in the answer to it
_UNSIGNED = frozenset({"file", "cloud_name", "resource_type", "api_key", "signature"})

Algorithm = Literal["sha1", "sha256"]


def algorithm_of(signature: str) -> Algorithm:
    """Return the hash that a signature was made with, by its length."""
    return "sha256" if len(signature) == 64 else "sha1"


def string_to_sign(fields: Mapping[str, str], version: Literal["1", "2"] = "2") -> str:
    """Return the text that is signed; names are without `[]`, empty values are left out.

    Version 2 writes each `&` inside of a value as `%26`, so that a value cannot pass for a further parameter.
    """
    pairs = [f"{name}={value}" for name, value in fields.items() if value and name not in _UNSIGNED]
    if version == "2":
        pairs = [pair.replace("&", "%26") for pair in pairs]
    return "&".join(sorted(pairs))


def digest(text: str, secret: Secret, algorithm: Algorithm) -> str:
    """Return the hash of a text with the secret behind it, in hexadecimal."""
    data = canonical.to_bytes(text) + canonical.to_bytes(secret.reveal())
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()


def verify(
    fields: Mapping[str, str], keyring: Keyring, now: datetime, versions: Collection[str] = ("1", "2")
) -> Credential:
    """Prove a signed upload at the time `now`; return the key that signed it.

    Raises INVALID_ARGUMENT without a timestamp, INVALID_ACCESS_KEY_ID, SIGNATURE_DOES_NOT_MATCH (whose message shows
    the text to sign, as the vendor does: it is made of the request alone), REQUEST_EXPIRED, and those of `api_key`.
    """
    given, key_id = fields["signature"], fields.get("api_key", "")
    timestamp = fields.get("timestamp", "")
    if not timestamp:
        raise ApiError(INVALID_ARGUMENT, "no timestamp", message="Missing required parameter - timestamp")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        raise ApiError(INVALID_ARGUMENT, "timestamp", message="Invalid timestamp: seconds since 1970 are expected")
    credential = api_key.find(keyring, key_id)
    texts = [string_to_sign(fields, version) for version in ("2", "1") if version in versions]
    wanted = [digest(text, credential.secret, algorithm_of(given)) for text in texts]
    try:
        check_signature(wanted[0], given.lower(), *wanted[1:])
    except ApiError:
        if credential is api_key.NOBODY:
            raise ApiError(INVALID_ACCESS_KEY_ID, message=f"Unknown API key {key_id[:100]}") from None
        message = f"Invalid Signature {given[:_MAX_SHOWN]}. String to sign - '{texts[0][:_MAX_SHOWN]}'."
        raise ApiError(SIGNATURE_DOES_NOT_MATCH, message=message) from None
    if credential is api_key.NOBODY:
        raise ApiError(INVALID_ACCESS_KEY_ID, message=f"Unknown API key {key_id[:100]}")
    check_age(int(timestamp), now)
    api_key.check_usable(credential, now)
    return credential


def check_age(timestamp: int, now: datetime) -> None:
    """Refuse what was signed more than an hour ago, or for more than an hour ahead. Raises REQUEST_EXPIRED."""
    age_s = now.timestamp() - timestamp
    if abs(age_s) <= MAX_AGE_S:
        return
    when = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    where = "ago" if age_s > 0 else "ahead"
    raise ApiError(
        REQUEST_EXPIRED, message=f"Stale request - reported time is {when} which is more than 1 hour {where}"
    )


def sign(fields: Mapping[str, str], secret: Secret, algorithm: Algorithm = "sha1") -> str:
    """Sign the parameters of an upload, as the current SDKs do."""
    return digest(string_to_sign(fields), secret, algorithm)


def sign_reply(public_id: str, version: int, secret: Secret, algorithm: Algorithm) -> str:
    """Sign a reply; the SDKs check it with `verify_api_response_signature`, by the rules of version 1.

    Except for a public id that holds a timestamp: with it the text would be that of a signed request, which whoever
    chose the id could then send. Such a reply is signed by the rules of version 2.
    """
    name = public_id.replace("&", "%26") if "&timestamp=" in public_id else public_id
    return digest(f"public_id={name}&version={version}", secret, algorithm)


def sign_notification(body: str, timestamp: int, secret: Secret, algorithm: Algorithm = "sha1") -> str:
    """Sign a notification (headers X-Cld-Timestamp, X-Cld-Signature); see `verify_notification_signature`."""
    return digest(f"{body}{timestamp}", secret, algorithm)
