"""A key and its secret in clear: HTTP Basic, or two parameters. Pure; the transport must be what hides them.

Source: RFC 7617; Cloudinary, "Admin API reference", authentication; Sightengine, "API reference".
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.auth import canonical
from gateway.credentials import ANONYMOUS, Credential, Secret
from gateway.errors import EXPIRED_TOKEN, INVALID_ACCESS_KEY_ID, INVALID_TOKEN, SIGNATURE_DOES_NOT_MATCH, ApiError

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.credentials import Keyring
    from gateway.request import RequestHead

NAME = "api-key"
# Stands in for an unknown key, so that its refusal costs the same work; an outcome under it is never believed.
NOBODY = Credential("", Secret("nobody"), ANONYMOUS)


@dataclass(frozen=True, slots=True, repr=False)
class KeyClaim:
    """A key id and what is asserted to be its secret; never shown as a whole."""

    access_key_id: str
    secret: str


def parse_basic(head: RequestHead) -> KeyClaim | None:
    """Read an `Authorization: Basic` header; None when the request has no such one.

    Raises SIGNATURE_DOES_NOT_MATCH for one that is not base64 of `id:secret`.
    """
    scheme, _, text = head.one_header("authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = b64decode(text.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise ApiError(SIGNATURE_DOES_NOT_MATCH, "a Basic header that is not base64") from None
    access_key_id, _, secret = decoded.partition(":")
    return KeyClaim(access_key_id, secret)


def find(keyring: Keyring, access_key_id: str) -> Credential:
    """Return the credential of an id, `NOBODY` for an unknown one and for a public key.

    What is public must never serve as a secret.
    """
    credential = keyring.get(access_key_id, NOBODY)
    return NOBODY if credential.kept == "public" else credential


def verify(claim: KeyClaim, keyring: Keyring, now: datetime) -> Credential:
    """Prove a claim at the time `now`. Raises INVALID_ACCESS_KEY_ID, SIGNATURE_DOES_NOT_MATCH, and `check_usable`'s."""
    credential = find(keyring, claim.access_key_id)
    known, given = canonical.to_bytes(credential.secret.reveal()), canonical.to_bytes(claim.secret)
    matches = hmac.compare_digest(known, given)
    if credential is NOBODY:
        raise ApiError(INVALID_ACCESS_KEY_ID)
    if not matches:
        raise ApiError(SIGNATURE_DOES_NOT_MATCH, "a wrong secret")
    check_usable(credential, now)
    return credential


def is_usable(credential: Credential, now: datetime) -> bool:
    """Tell whether a key could prove something here at the time `now`."""
    has_ended = credential.expires_at is not None and now > credential.expires_at
    return credential.kept != "public" and credential.token is None and not has_ended


def check_usable(credential: Credential, now: datetime) -> None:
    """Refuse a key that belongs to a token, which nobody can send here, or that has ended. Comes after the proof."""
    if credential.token is not None:
        raise ApiError(INVALID_TOKEN, "a temporary key without its token")
    if credential.expires_at is not None and now > credential.expires_at:
        raise ApiError(EXPIRED_TOKEN, f"expired at {credential.expires_at.isoformat()}")
