"""AWS Signature Version 4 for S3, in the Authorization header and in the query. Pure.

Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)". Knows one algorithm; must not
know who may sign, nor how a body is checked.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.auth import canonical
from gateway.auth.base import (
    MAX_SKEW,
    Chunked,
    ChunkSeed,
    Claim,
    Payload,
    Scope,
    Sha256,
    Unsigned,
    check_signature,
    check_time,
    parse_expires_seconds,
)
from gateway.errors import ACCESS_DENIED, INVALID_ARGUMENT, INVALID_REQUEST, MULTIPLE_CLAIMS, ApiError
from gateway.request import parse_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from gateway.credentials import Secret
    from gateway.request import Headers, RequestHead, Target

NAME = "aws_v4"
ALGORITHM = "AWS4-HMAC-SHA256"
AUTHORIZATION = ALGORITHM
TERMINATOR = "aws4_request"
CLAIM_PARAMETERS = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-content-sha256",
    }
)

_SIGNATURE = "X-Amz-Signature"
_TOKEN = "X-Amz-Security-Token"  # noqa: S105 - a parameter's name
_QUERY_FIELDS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    _SIGNATURE,
    _TOKEN,
    "X-Amz-Content-Sha256",
)
_CONTENT_SHA256 = "x-amz-content-sha256"
_HEX_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
# Amazon S3 API Reference, "Chunked upload" and "Trailing headers"; the SigV4A variants need a public key we lack.
_STREAMING_UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_STREAMING_SIGNED = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries a SigV4 claim, whole or not."""
    return canonical.is_authorization(head, AUTHORIZATION) or _in_query(head)


def parse(head: RequestHead) -> Claim:
    """Read the claim from the Authorization header or the query. Raises ApiError when it is malformed."""
    if not _in_query(head):
        return _parse_header(head)
    if canonical.is_authorization(head, AUTHORIZATION):
        raise ApiError(MULTIPLE_CLAIMS)
    return _parse_query(head)


def verify(head: RequestHead, claim: Claim, secret: Secret, _target: Target, now: datetime) -> Payload:
    """Prove the claim; path and host are signed as sent, so the target needs no look. Raises ApiError."""
    scope, signed_at = canonical.scope_and_time(claim)
    payload = _payload_literal(head, claim)
    parameters = canonical.named_values(head, (_SIGNATURE,) if claim.in_query else ())
    request = _canonical_request(
        head.method, head.raw_path, parameters, canonical.received_values(head), claim.signed_headers, payload
    )
    key, scope_text, date = signing_key(secret, scope), scope.text(TERMINATOR), canonical.iso_basic(signed_at)
    check_signature(_signature(key, scope_text, date, request), claim.signature)
    _check_all_signed(head, claim, payload)
    check_time(claim, now)
    return _payload(payload, lambda: ChunkSeed(key, claim.signature, date, scope_text))


def sign(  # noqa: PLR0913 - the parts of a request, each under its own name
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Headers,
    *,
    access_key_id: str,
    secret: Secret,
    region: str,
    payload: str,
    now: datetime,
    token: Secret | None = None,
    service: str = "s3",
) -> Headers:
    """Return the headers to add to a request so that it is signed, all of `headers` included.

    `headers` have lower-case names and include `host`. `payload` is the literal x-amz-content-sha256: a digest or
    one of its words.
    """
    signed_at = canonical.iso_basic(now)
    added: Headers = (("x-amz-date", signed_at), (_CONTENT_SHA256, payload))
    if token is not None:
        added = (*added, ("x-amz-security-token", token.reveal()))
    values = canonical.header_values((*headers, *added))
    names = tuple(sorted(values))
    parameters = [(item.name, item.value) for item in parse_query(raw_query)]
    request = _canonical_request(method, raw_path, parameters, values, names, payload)
    key, scope = _of_day(secret, signed_at[:8], region, service)
    signed = f"SignedHeaders={';'.join(names)}, Signature={_signature(key, scope, signed_at, request)}"
    return (*added, ("authorization", f"{ALGORITHM} Credential={access_key_id}/{scope}, {signed}"))


def presign(  # noqa: PLR0913 - the parts of a request, each under its own name
    method: str,
    raw_path: str,
    raw_query: str,
    host: str,
    *,
    access_key_id: str,
    secret: Secret,
    region: str,
    expires_s: int,
    now: datetime,
    token: Secret | None = None,
) -> str:
    """Return the whole raw query of a signed URL: the given one and the claim. `host` includes the port."""
    signed_at = canonical.iso_basic(now)
    key, scope = _of_day(secret, signed_at[:8], region, "s3")
    parameters = [(item.name, item.value) for item in parse_query(raw_query)]
    parameters += [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{access_key_id}/{scope}"),
        ("X-Amz-Date", signed_at),
        ("X-Amz-Expires", str(expires_s)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    if token is not None:
        parameters.append((_TOKEN, token.reveal()))
    request = _canonical_request(method, raw_path, parameters, {"host": host}, ("host",), canonical.UNSIGNED_PAYLOAD)
    signature = _signature(key, scope, signed_at, request)
    return f"{canonical.canonical_query(parameters)}&{_SIGNATURE}={signature}"


def signing_key(secret: Secret, scope: Scope) -> bytes:
    """Return the key that signs the request and, in aws-chunked, its chunks. Cached."""
    return canonical.signing_key("AWS4", secret, scope, TERMINATOR)


def _in_query(head: RequestHead) -> bool:
    return head.has_parameter("X-Amz-Algorithm", "X-Amz-Credential", _SIGNATURE)


def _parse_header(head: RequestHead) -> Claim:
    value = head.one_header("authorization").removeprefix(AUTHORIZATION)
    fields = canonical.parse_fields(value, ",", "=")
    names = ("Credential", "SignedHeaders", "Signature")
    credential, signed_headers, signature = canonical.all_required(fields, names, in_query=False)
    signed_at = canonical.parse_date(head.one_header("x-amz-date") or head.one_header("date"))
    return _claim(credential, signed_headers, signature, signed_at, token=head.one_header("x-amz-security-token"))


def _parse_query(head: RequestHead) -> Claim:
    fields = canonical.query_fields(head, _QUERY_FIELDS)
    algorithm, credential, date, expires, signed_headers, signature = canonical.all_required(
        fields, _QUERY_FIELDS[:6], in_query=True
    )
    if algorithm != ALGORITHM:
        raise canonical.malformed("the algorithm is not known", in_query=True)
    signed_at = canonical.parse_date(date, in_query=True)
    return _claim(
        credential, signed_headers, signature, signed_at, parse_expires_seconds(expires), token=fields.get(_TOKEN, "")
    )


def _claim(
    credential: str, signed_headers: str, signature: str, signed_at: datetime, expires_s: int = 0, *, token: str
) -> Claim:
    in_query = expires_s > 0
    access_key_id, scope = canonical.parse_credential(credential, TERMINATOR, ("s3",), in_query=in_query)
    if scope.date != canonical.iso_basic(signed_at)[:8]:
        raise canonical.malformed("the date of the credential is not that of the request", in_query=in_query)
    names = canonical.parse_header_names(signed_headers, in_query=in_query)
    if "host" not in names:
        raise canonical.malformed("host is not a signed header", in_query=in_query)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=canonical.parse_signature(signature, in_query=in_query),
        in_query=in_query,
        signed_at=signed_at,
        starts_at=signed_at - MAX_SKEW if in_query else None,
        expires_at=signed_at + timedelta(seconds=expires_s) if in_query else None,
        signed_headers=names,
        scope=scope,
        token=token or None,
    )


def _payload_literal(head: RequestHead, claim: Claim) -> str:
    """Return the last line of the canonical request as the client must have written it."""
    header = head.one_header(_CONTENT_SHA256)
    if claim.in_query:
        return head.parameter("X-Amz-Content-Sha256") or header or canonical.UNSIGNED_PAYLOAD
    if not header:
        raise ApiError(INVALID_REQUEST, message=f"Missing required header for this request: {_CONTENT_SHA256}.")
    return header


def _canonical_request(
    method: str,
    raw_path: str,
    parameters: Iterable[tuple[str, str]],
    values: Mapping[str, str],
    names: tuple[str, ...],
    payload: str,
) -> str:
    query = canonical.canonical_query(parameters)
    headers = canonical.fold_blanks(canonical.canonical_headers(values, names))  # names and line ends have no blanks
    return f"{method}\n{canonical.canonical_path(raw_path)}\n{query}\n{headers}\n{';'.join(names)}\n{payload}"


@lru_cache(maxsize=1024)  # of our own secrets and regions, never of what a client's claim names
def _of_day(secret: Secret, date: str, region: str, service: str) -> tuple[bytes, str]:
    """Return what our signatures of a day share: the signing key, and the scope as it is written."""
    scope = Scope(date, region, service)
    return signing_key(secret, scope), scope.text(TERMINATOR)


def _signature(key: bytes, scope: str, signed_at: str, canonical_request: str) -> str:
    to_sign = f"{ALGORITHM}\n{signed_at}\n{scope}\n{canonical.sha256_hex(canonical_request)}"
    return canonical.hmac_sha256(key, to_sign).hex()


def _check_all_signed(head: RequestHead, claim: Claim, payload: str) -> None:
    """Refuse an x-amz-* header that nobody signed: the store would act on it. The payload has its own line."""
    for name, value in head.headers:
        own_line = name == _CONTENT_SHA256 and value.strip(" \t") == payload
        if name.startswith("x-amz-") and name not in claim.signed_headers and not own_line:
            message = "There were headers present in the request which were not signed."
            raise ApiError(ACCESS_DENIED, message=message, fields=(("HeadersNotSigned", name),))


def _payload(literal: str, seed: Callable[[], ChunkSeed]) -> Payload:
    if literal == canonical.UNSIGNED_PAYLOAD:
        return Unsigned()
    if _HEX_DIGEST.fullmatch(literal):
        return Sha256(literal.lower())
    if literal == _STREAMING_UNSIGNED:
        return Chunked(literal)
    if literal in _STREAMING_SIGNED:
        return Chunked(literal, seed())
    message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING-... mode or a SHA-256 in hex."
    raise ApiError(INVALID_ARGUMENT, message=message)
