"""The words every signature scheme speaks: claim, payload, the Scheme protocol. Pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.errors import (
    INVALID_ARGUMENT,
    REQUEST_EXPIRED,
    REQUEST_NOT_YET_VALID,
    REQUEST_TIME_TOO_SKEWED,
    SIGNATURE_DOES_NOT_MATCH,
    ApiError,
)

if TYPE_CHECKING:
    from gateway.credentials import Secret
    from gateway.request import RequestHead, Target

MAX_SKEW = timedelta(minutes=15)
MAX_EXPIRES_S = 604_800  # seven days, for the schemes with a relative expiry


class Scope(NamedTuple):
    """The credential scope of the V4 family: `date/region/service/terminator`."""

    date: str
    region: str
    service: str

    def text(self, terminator: str) -> str:
        """Return `date/region/service/terminator` as it stands in the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/{terminator}"


@dataclass(frozen=True, slots=True, repr=False)
class Claim:
    """What a request asserts about its sender; unproven until `verify` has returned.

    `signed_headers` are the header names the signature covers; `signed_parameters` the query parameter names
    (lower-case) it covers, None when it covers all of them. `signed_at` is the moment of signing where the scheme
    tells it, `starts_at` and `expires_at` the window in which a URL (or a COS signature) may be used.
    """

    scheme: str
    access_key_id: str
    signature: str
    in_query: bool
    signed_at: datetime | None = None
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    signed_headers: tuple[str, ...] = ()
    signed_parameters: frozenset[str] | None = None
    scope: Scope | None = None
    token: str | None = None

    def covers(self, parameter_name: str) -> bool:
        """Tell whether the signature would break if a parameter of this name were added or changed."""
        return self.signed_parameters is None or parameter_name.lower() in self.signed_parameters

    def __repr__(self) -> str:
        return f"Claim({self.scheme}, {self.access_key_id!r})"


@dataclass(frozen=True, slots=True)
class Unsigned:
    """The scheme says nothing about the body."""


@dataclass(frozen=True, slots=True)
class Sha256:
    """The body must have this SHA-256 (64 lower-case hex digits)."""

    digest: str


@dataclass(frozen=True, slots=True)
class ChunkSeed:
    """Where the chain of chunk signatures begins: the request's own, verified signature, and what signs the next.

    `signed_at` and `scope` are as they stand in a string to sign. Neither the key nor the signature is ever shown.
    """

    key: bytes = field(repr=False)
    signature: str = field(repr=False)
    signed_at: str
    scope: str


@dataclass(frozen=True, slots=True)
class Chunked:
    """The body is aws-chunked (`STREAMING-...`); the mode is the literal value of x-amz-content-sha256.

    `seed` is None in the mode whose chunks are not signed.
    """

    mode: str
    seed: ChunkSeed | None = None


Payload = Unsigned | Sha256 | Chunked


class Scheme(Protocol):
    """A module that proves who asks. `auth/` holds one file per scheme, all with these names.

    `recognises` looks, cheaply and without judging, whether the request carries this scheme's claim. `parse`
    raises ApiError for a claim that is malformed, doubled or out of range. `verify` raises ApiError or returns
    what the signature promises about the body; it never returns a verdict.
    """

    NAME: str
    AUTHORIZATION: str  # how its Authorization header begins; "" where it has none
    CLAIM_PARAMETERS: frozenset[str]  # lower-case names of query parameters that are the claim, not the request

    def recognises(self, head: RequestHead, /) -> bool:
        """Tell whether the request carries a claim of this scheme."""
        ...

    def parse(self, head: RequestHead, /) -> Claim:
        """Read the claim. Raises ApiError when it is malformed."""
        ...

    def verify(self, head: RequestHead, claim: Claim, secret: Secret, target: Target, now: datetime, /) -> Payload:
        """Prove the claim with the secret at the time `now` (aware, UTC). Raises ApiError."""
        ...


def check_signature(expected: str, received: str, *also_valid: str) -> None:
    """Compare in constant time, the one place where signatures are compared. Raises SIGNATURE_DOES_NOT_MATCH.

    `also_valid` are the few alternatives that a scheme permits; all are compared, whichever matches.
    """
    candidate = received.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(text.encode("utf-8"), candidate) for text in (expected, *also_valid)]
    if not any(matches):
        raise ApiError(SIGNATURE_DOES_NOT_MATCH)


def check_skew(signed_at: datetime, now: datetime) -> None:
    """Refuse a header-signed request that is more than 15 minutes off; exactly 15 minutes passes."""
    if abs(now - signed_at) > MAX_SKEW:
        raise ApiError(REQUEST_TIME_TOO_SKEWED, f"signed at {signed_at.isoformat()}, now {now.isoformat()}")


def check_window(starts_at: datetime | None, expires_at: datetime, now: datetime) -> None:
    """Refuse outside [starts_at, expires_at]; both ends belong to the window."""
    if now > expires_at:
        raise ApiError(
            REQUEST_EXPIRED,
            f"expired at {expires_at.isoformat()}",
            fields=(("Expires", _iso(expires_at)), ("ServerTime", _iso(now))),
        )
    if starts_at is not None and now < starts_at:
        raise ApiError(REQUEST_NOT_YET_VALID, f"valid from {starts_at.isoformat()}")


def check_time(claim: Claim, now: datetime) -> None:
    """Refuse a claim outside its window, or, where it has none, one that was signed too long ago or ahead.

    Raises TypeError for a claim with neither, which would be valid for ever: a mistake in its scheme.
    """
    if claim.expires_at is not None:
        check_window(claim.starts_at, claim.expires_at, now)
    elif claim.signed_at is not None:
        check_skew(claim.signed_at, now)
    else:
        raise TypeError(claim.scheme)


def parse_expires_seconds(text: str) -> int:
    """Parse a relative expiry of 1..604800 seconds. Raises INVALID_ARGUMENT."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or not 1 <= int(text) <= MAX_EXPIRES_S:
        raise ApiError(INVALID_ARGUMENT, "expiry out of range", message="The expiry must be 1 to 604800 seconds.")
    return int(text)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
