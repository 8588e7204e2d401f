"""The one choke-point: from a request to a verified identity. Pure.

Knows which schemes there are and the order of the checks; must not know how any of them signs, nor what the caller
may do.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.auth import aws_v2, aws_v4, canonical, cos, oss_v1, oss_v2, oss_v4
from gateway.auth.base import Claim, Payload, Scheme, Unsigned
from gateway.credentials import ANONYMOUS, Credential, Identity, Keyring, Secret
from gateway.errors import (
    EXPIRED_TOKEN,
    INVALID_ACCESS_KEY_ID,
    INVALID_TOKEN,
    INVALID_URI,
    MULTIPLE_CLAIMS,
    PROCESS_NOT_COVERED,
    UNSUPPORTED_AUTHORIZATION,
    ApiError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.request import RequestHead, Target

SCHEMES: tuple[Scheme, ...] = (aws_v4, aws_v2, oss_v4, oss_v2, oss_v1, cos)

# Stands in for an unknown key, so that its refusal costs the same work; an outcome under it is never believed.
_NOBODY = Credential("", Secret("nobody"), ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of identification: who asks, by which claim (None: by none), what is promised about the body."""

    identity: Identity
    claim: Claim | None
    payload: Payload


def recognised(head: RequestHead) -> tuple[Scheme, ...]:
    """Return the schemes of which the request carries a claim, whole or not. Raises INVALID_URI."""
    if not (head.raw_path.isascii() and head.raw_query.isascii()):
        raise ApiError(INVALID_URI, "the target is not ASCII")
    return tuple(scheme for scheme in SCHEMES if scheme.recognises(head))


def find_claim(head: RequestHead) -> tuple[Scheme, Claim] | None:
    """Return the one claim of a request with its scheme, None when it makes none. Raises ApiError.

    An empty Authorization header counts as none: cos-python-sdk-v5 sends one when it is anonymous.
    """
    schemes = recognised(head)
    authorization = head.one_header("authorization")
    if len(schemes) > 1:
        raise ApiError(MULTIPLE_CLAIMS, ", ".join(scheme.NAME for scheme in schemes))
    if not schemes:
        if authorization:
            raise ApiError(UNSUPPORTED_AUTHORIZATION)
        return None
    claim = schemes[0].parse(head)
    if claim.in_query and authorization:
        raise ApiError(UNSUPPORTED_AUTHORIZATION, "an unknown Authorization beside a claim in the query")
    return schemes[0], claim


def identify(
    head: RequestHead, found: tuple[Scheme, Claim] | None, target: Target, keyring: Keyring, now: datetime
) -> Verified:
    """Prove what `find_claim` found at the time `now` (aware, UTC). Raises ApiError unless everything is right."""
    _check_address(target)
    if found is None:
        return Verified(ANONYMOUS, None, Unsigned())
    scheme, claim = found
    credential = keyring.get(claim.access_key_id, _NOBODY)
    try:
        payload = scheme.verify(head, claim, credential.secret, target, now)
    except ApiError:
        if credential is _NOBODY:
            raise ApiError(INVALID_ACCESS_KEY_ID) from None
        raise
    if credential is _NOBODY:
        raise ApiError(INVALID_ACCESS_KEY_ID)
    _check_token(credential, claim, now)
    return Verified(credential.identity, claim, payload)


def check_process_coverage(
    claim: Claim, target: Target, parameter_names: Iterable[str], *, cos_unsigned: Literal["accept", "refuse"]
) -> bool:
    """Refuse a process parameter that anybody could have added to a signed request.

    `parameter_names` are the process parameters as found in the query, decoded. The one exception is COS, whose own
    samples sign empty lists: `cos_unsigned` accepts it where the bucket is certain. Returns True when a parameter
    was accepted although it is not covered. Raises PROCESS_NOT_COVERED.
    """
    if all(claim.covers(name) for name in parameter_names):
        return False
    bucket_is_certain = "host" in claim.signed_headers or target.addressed == "bound"
    if claim.scheme == cos.NAME and cos_unsigned == "accept" and bucket_is_certain:
        return True
    raise ApiError(PROCESS_NOT_COVERED, claim.scheme)


def _check_address(target: Target) -> None:
    """Refuse an address that could sign like another one: `/b%2Fk` like `/b/k`, `//k` like the service's `/`."""
    if "/" in target.ref.bucket or (target.ref.key and not target.ref.bucket):
        raise ApiError(INVALID_URI, "a bucket name with a slash, or none before a key")


def _check_token(credential: Credential, claim: Claim, now: datetime) -> None:
    """Hold id, secret and token together; comes after the signature, so that a stranger learns nothing."""
    known = credential.token.reveal() if credential.token else ""
    given = claim.token or ""
    if not hmac.compare_digest(canonical.to_bytes(known), canonical.to_bytes(given)):
        raise ApiError(INVALID_TOKEN, "no token" if not given else "a token that is not this key's")
    if credential.expires_at is not None and now > credential.expires_at:
        raise ApiError(EXPIRED_TOKEN, f"expired at {credential.expires_at.isoformat()}")
