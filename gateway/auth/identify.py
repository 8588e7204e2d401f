"""The one choke-point: from a request to a verified identity. Pure.

Knows which schemes there are and the order of the checks; must not know how any of them signs, nor what the caller
may do.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from gateway.auth import aws_v2, aws_v4, canonical, cloudfront, cos, oss_v1, oss_v2, oss_v4
from gateway.auth.base import Claim, Payload, Scheme, Unsigned, check_time
from gateway.credentials import ANONYMOUS, Credential, Identity, Keyring, Secret
from gateway.errors import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    INVALID_ACCESS_KEY_ID,
    INVALID_BUCKET_NAME,
    INVALID_TOKEN,
    INVALID_URI,
    MULTIPLE_CLAIMS,
    PROCESS_NOT_COVERED,
    SIGNATURE_DOES_NOT_MATCH,
    UNSUPPORTED_AUTHORIZATION,
    ApiError,
)
from gateway.request import by_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.auth.proven import ProvenUrl
    from gateway.request import RequestHead, Target

SCHEMES: tuple[Scheme, ...] = (aws_v4, aws_v2, oss_v4, oss_v2, oss_v1, cos, cloudfront)

# What S3 ever allowed, and the colon of Ceph's tenants.
_BUCKET = re.compile(r"[A-Za-z0-9._:-]{1,255}")

# Stands in for an unknown key, so that its refusal costs the same work; an outcome under it is never believed.
_NOBODY = Credential("", Secret("nobody"), ANONYMOUS)
# The same for signatures by public key; the private half was thrown away when this one was made.
_NOBODYS_KEY = """
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA182EPNkBv6WMNAP5MtmT
x4XTKww986fIKDoZQGCKLjKsFogX28i4itsRM+qYH5wB7m8nWVsRpibHnogf4IMO
YtYwcfkNdhfRfKDj5o3Qpybl57gAtq4GOwEHWAcblT0M9+5sngPLSuKqVDI85oCw
693hgbaK4HGUXQ3HFUaAIxKVWfcWcjgrhDrxu8UIkiRiS7JYxFglx1bN+TmZRUBL
do/wUn1535mwUSvCbuOD3ZVujtKn35BPQlsIgpC/ztzT+7XPsMB5j1qLEKuClgfr
FTnT5V4+5QtLc9B6HPg3y6Bm0xr6VGX16wHFBfx8NVKffWiyT/GY894lafaAhqnl
lwIDAQAB
-----END PUBLIC KEY-----
"""
_NOBODY_PUBLIC = Credential("", Secret(_NOBODYS_KEY), ANONYMOUS, kept="public")


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of identification: who asks, by which claim (None: by none), what is promised about the body.

    `signed_as` is the head that the signature was made for: the one received, or a form of it before a proxy;
    `credential` is the key that it was made with.
    """

    identity: Identity
    claim: Claim | None
    payload: Payload
    signed_as: RequestHead | None = None
    credential: Credential | None = None


def recognised(head: RequestHead) -> tuple[Scheme, ...]:
    """Return the schemes of which the request carries a claim, whole or not. Raises INVALID_URI."""
    if not (head.raw_path.isascii() and head.raw_query.isascii()):
        raise ApiError(INVALID_URI, "the target is not ASCII")
    possible = _claimable(head)
    authorization = head.header("authorization")
    if authorization or head.header("cookie"):
        by_header = _claimable_by(authorization[:4] if authorization else "")
        possible = tuple([scheme for scheme in SCHEMES if scheme in possible or scheme in by_header])
    return tuple([scheme for scheme in possible if scheme.recognises(head)])


@by_names
def _claimable(names: tuple[str, ...]) -> tuple[Scheme, ...]:
    """Return the schemes that may have a claim in the query: those of which a parameter is there."""
    given = {name.lower() for name in names}
    return tuple([scheme for scheme in SCHEMES if scheme.CLAIM_PARAMETERS & given])


@lru_cache(maxsize=64)
def _claimable_by(beginning: str) -> tuple[Scheme, ...]:
    """Return the schemes that may have a claim in an Authorization that begins so, or in cookies."""
    return tuple([scheme for scheme in SCHEMES if not scheme.AUTHORIZATION or scheme.AUTHORIZATION[:4] == beginning])


def find_claim(head: RequestHead, schemes: tuple[Scheme, ...] | None = None) -> tuple[Scheme, Claim] | None:
    """Return the one claim of a request with its scheme, None when it makes none. Raises ApiError.

    `schemes` are those of `recognised(head)`, where somebody has asked for them already.
    An empty Authorization header counts as none: cos-python-sdk-v5 sends one when it is anonymous.
    """
    schemes = recognised(head) if schemes is None else schemes
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
    heads: Iterable[RequestHead],
    found: tuple[Scheme, Claim] | None,
    target: Target,
    keyring: Keyring,
    now: datetime,
) -> Verified:
    """Prove what `find_claim` found at the time `now` (aware, UTC). Raises ApiError unless everything is right.

    `heads` are the forms in which the request may have been signed (`candidates`), first as it was received.
    """
    check_address(target)
    if found is None:
        return Verified(ANONYMOUS, None, Unsigned())
    scheme, claim = found
    credential = _credential(keyring, scheme, claim)
    unknown = credential is _NOBODY or credential is _NOBODY_PUBLIC
    try:
        signed_as, payload = _verify_any(scheme, heads, claim, credential.secret, target, now)
    except ApiError:
        if unknown:
            raise ApiError(INVALID_ACCESS_KEY_ID) from None
        raise
    if unknown:
        raise ApiError(INVALID_ACCESS_KEY_ID)
    _check_token(credential, claim, now)
    return Verified(credential.identity, claim, payload, signed_as, credential)


def again(known: ProvenUrl, head: RequestHead, keyring: Keyring, now: datetime) -> Verified | None:
    """Believe a signed URL as it was proven; None when its key is another one now. Raises ApiError out of its time."""
    claim, credential = known.claim, known.credential
    if keyring.get(claim.access_key_id) is not credential:
        return None
    check_time(claim, now)
    _check_token(credential, claim, now)
    return Verified(credential.identity, claim, known.payload, head, credential)


def _credential(keyring: Keyring, scheme: Scheme, claim: Claim) -> Credential:
    """Find the claim's key, of the kind that its scheme takes: what is public must never serve as a shared secret."""
    by_public_key = scheme.NAME == cloudfront.NAME
    nobody = _NOBODY_PUBLIC if by_public_key else _NOBODY
    credential = keyring.get(claim.access_key_id, nobody)
    return credential if (credential.kept == "public") == by_public_key else nobody


def _verify_any(
    scheme: Scheme, heads: Iterable[RequestHead], claim: Claim, secret: Secret, target: Target, now: datetime
) -> tuple[RequestHead, Payload]:
    """Verify the heads in turn; a signature that matches none of them is refused as it was for the first."""
    refusal: ApiError | None = None
    for head in heads:
        try:
            return head, scheme.verify(head, claim, secret, target, now)
        except ApiError as error:
            refusal = refusal or error
            if error.kind is not SIGNATURE_DOES_NOT_MATCH:
                break
    raise refusal or ApiError(SIGNATURE_DOES_NOT_MATCH)


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


def check_life(claim: Claim, now: datetime, max_life_s: float) -> None:
    """Refuse a URL, or cookies, valid for longer than the settings allow (0: any time). Raises ACCESS_DENIED."""
    lasting = claim.in_query or claim.scheme == cloudfront.NAME
    if max_life_s and lasting and claim.expires_at and (claim.expires_at - now).total_seconds() > max_life_s:
        message = f"Signed URLs may be valid for at most {max_life_s:g} seconds here."
        raise ApiError(ACCESS_DENIED, "the URL lives too long", message=message)


def check_address(target: Target) -> None:
    """Refuse an address that could sign like another one, or lead to another host than the store's.

    `/b%2Fk` signs like `/b/k`, `//k` like the service's `/`; a bucket may become part of a host name or of a path.
    """
    bucket = target.ref.bucket
    if not bucket and target.ref.key:
        raise ApiError(INVALID_URI, "no bucket before a key")
    if bucket and (not _BUCKET.fullmatch(bucket) or not bucket.strip(".")):
        raise ApiError(INVALID_BUCKET_NAME)


def _check_token(credential: Credential, claim: Claim, now: datetime) -> None:
    """Hold id, secret and token together; comes after the signature, so that a stranger learns nothing."""
    known = credential.token.reveal() if credential.token else ""
    given = claim.token or ""
    if (known or given) and not hmac.compare_digest(canonical.to_bytes(known), canonical.to_bytes(given)):
        raise ApiError(INVALID_TOKEN, "no token" if not given else "a token that is not this key's")
    if credential.expires_at is not None and now > credential.expires_at:
        raise ApiError(EXPIRED_TOKEN, f"expired at {credential.expires_at.isoformat()}")
