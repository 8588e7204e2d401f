"""Aliyun OSS signature version 4, in the Authorization header and in the query. Pure.

Source: OSS documentation, "Include a V4 signature in the Authorization header" and "in a URL". The canonical URI always
names the bucket, so host and addressing style are not signed unless the client lists `host`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.auth import canonical
from gateway.auth.base import (
    MAX_SKEW,
    Claim,
    Payload,
    Scope,
    Unsigned,
    check_signature,
    check_time,
    parse_expires_seconds,
)
from gateway.errors import INVALID_ARGUMENT, MULTIPLE_CLAIMS, ApiError
from gateway.request import ObjectRef, parse_query, with_blanks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gateway.credentials import Secret
    from gateway.request import Headers, RequestHead, Target

NAME = "oss_v4"
ALGORITHM = "OSS4-HMAC-SHA256"
AUTHORIZATION = ALGORITHM
TERMINATOR = "aliyun_v4_request"
SERVICES = ("oss", "oss-cloudbox")
CLAIM_PARAMETERS = frozenset(
    {
        "x-oss-signature-version",
        "x-oss-credential",
        "x-oss-date",
        "x-oss-expires",
        "x-oss-signature",
        "x-oss-additional-headers",
        "x-oss-security-token",
    }
)

_VENDOR = "x-oss-"
_SIGNATURE = "x-oss-signature"
_TOKEN = "x-oss-security-token"  # noqa: S105 - a parameter's name
_CONTENT_SHA256 = "x-oss-content-sha256"
_VERSION = "x-oss-signature-version"
_QUERY_FIELDS = (
    _VERSION,
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    _SIGNATURE,
    "x-oss-additional-headers",
    _TOKEN,
)


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries an OSS V4 claim, whole or not."""
    return canonical.is_authorization(head, AUTHORIZATION) or _in_query(head)


def parse(head: RequestHead) -> Claim:
    """Read the claim from the Authorization header or the query. Raises ApiError when it is malformed."""
    if not _in_query(head):
        return _parse_header(head)
    if canonical.is_authorization(head, AUTHORIZATION):
        raise ApiError(MULTIPLE_CLAIMS)
    return _parse_query(head)


def verify(head: RequestHead, claim: Claim, secret: Secret, target: Target, now: datetime) -> Payload:
    """Prove the claim with the secret; OSS promises nothing about the body. Raises ApiError."""
    scope, signed_at = canonical.scope_and_time(claim)
    values = canonical.received_values(head)
    parameters = canonical.named_values(with_blanks(head), (_SIGNATURE,) if claim.in_query else ())
    request = _canonical_request(head.method, target.ref, parameters, values, claim.signed_headers)
    check_signature(_signature(secret, scope, signed_at, request), claim.signature)
    check_time(claim, now)
    if values.get(_CONTENT_SHA256, canonical.UNSIGNED_PAYLOAD) != canonical.UNSIGNED_PAYLOAD:
        raise ApiError(INVALID_ARGUMENT, message=f"{_CONTENT_SHA256} must be {canonical.UNSIGNED_PAYLOAD}.")
    return Unsigned()


def sign(  # noqa: PLR0913 - the parts of a claim, each under its own name
    head: RequestHead,
    target: Target,
    *,
    access_key_id: str,
    secret: Secret,
    region: str,
    now: datetime,
    token: Secret | None = None,
    additional_headers: tuple[str, ...] = (),
) -> Headers:
    """Return the headers to add to a request so that it is signed, `additional_headers` included."""
    added: Headers = (("x-oss-date", canonical.iso_basic(now)), (_CONTENT_SHA256, canonical.UNSIGNED_PAYLOAD))
    if token is not None:
        added = (*added, (_TOKEN, token.reveal()))
    values = {**canonical.received_values(head), **dict(added)}
    request = _canonical_request(
        head.method, target.ref, canonical.named_values(with_blanks(head)), values, additional_headers
    )
    scope = Scope(now.strftime("%Y%m%d"), region, "oss")
    additional = f"AdditionalHeaders={';'.join(additional_headers)}," if additional_headers else ""
    credential = f"Credential={access_key_id}/{scope.text(TERMINATOR)}"
    signature = _signature(secret, scope, now, request)
    return (*added, ("authorization", f"{ALGORITHM} {credential},{additional}Signature={signature}"))


def presign(  # noqa: PLR0913 - the parts of a request, each under its own name
    method: str,
    bucket: str,
    key: str,
    raw_query: str,
    *,
    access_key_id: str,
    secret: Secret,
    region: str,
    expires_s: int,
    now: datetime,
    token: Secret | None = None,
) -> str:
    """Return the whole raw query of a signed URL: the given one and the claim. `key` is decoded."""
    scope = Scope(now.strftime("%Y%m%d"), region, "oss")
    parameters = [(item.name, item.value) for item in parse_query(raw_query)]
    parameters += [
        (_VERSION, ALGORITHM),
        ("x-oss-credential", f"{access_key_id}/{scope.text(TERMINATOR)}"),
        ("x-oss-date", canonical.iso_basic(now)),
        ("x-oss-expires", str(expires_s)),
    ]
    if token is not None:
        parameters.append((_TOKEN, token.reveal()))
    request = _canonical_request(method, ObjectRef(bucket, key), parameters, {}, ())
    return canonical.canonical_query([*parameters, (_SIGNATURE, _signature(secret, scope, now, request))])


def _in_query(head: RequestHead) -> bool:
    """Take every signature in the query that OSS V2 leaves, so that an unknown version is refused, not ignored."""
    versions = head.parameter_values(_VERSION)
    return head.has_parameter("x-oss-credential") or (
        any(version != "OSS2" for version in versions) or (not versions and head.has_parameter(_SIGNATURE))
    )


def _parse_header(head: RequestHead) -> Claim:
    fields = canonical.parse_fields(head.one_header("authorization").removeprefix(AUTHORIZATION), ",", "=")
    signed_at = canonical.parse_date(head.one_header("x-oss-date") or head.one_header("date"))
    token = head.one_header(_TOKEN)
    return _claim(
        canonical.required(fields, "Credential", in_query=False),
        fields.get("AdditionalHeaders", ""),
        canonical.required(fields, "Signature", in_query=False),
        signed_at,
        token=token,
    )


def _parse_query(head: RequestHead) -> Claim:
    fields = canonical.query_fields(head, _QUERY_FIELDS)
    version, credential, date, expires, signature = canonical.all_required(fields, _QUERY_FIELDS[:5], in_query=True)
    if version != ALGORITHM:
        raise canonical.malformed("the signature version is not known", in_query=True)
    signed_at = canonical.parse_date(date, in_query=True)
    additional = fields.get("x-oss-additional-headers", "")
    expires_s = parse_expires_seconds(expires)
    return _claim(credential, additional, signature, signed_at, expires_s, token=fields.get(_TOKEN, ""))


def _claim(
    credential: str, additional: str, signature: str, signed_at: datetime, expires_s: int = 0, *, token: str
) -> Claim:
    in_query = expires_s > 0
    access_key_id, scope = canonical.parse_credential(credential, TERMINATOR, SERVICES, in_query=in_query)
    if scope.date != signed_at.strftime("%Y%m%d"):
        raise canonical.malformed("the date of the credential is not that of the request", in_query=in_query)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=canonical.parse_signature(signature, in_query=in_query),
        in_query=in_query,
        signed_at=signed_at,
        starts_at=signed_at - MAX_SKEW if in_query else None,
        expires_at=signed_at + timedelta(seconds=expires_s) if in_query else None,
        signed_headers=canonical.parse_header_names(additional, in_query=in_query),
        scope=scope,
        token=token or None,
    )


def _canonical_request(
    method: str,
    ref: ObjectRef,
    parameters: Iterable[tuple[str, str]],
    values: Mapping[str, str],
    additional: tuple[str, ...],
) -> str:
    uri = canonical.encode(f"/{ref.bucket}/{ref.key}" if ref.bucket else "/", safe="/")
    query = canonical.canonical_query(parameters, bare=True)
    present = [name for name in ("content-md5", "content-type") if name in values]
    names = sorted({*canonical.prefixed(values, _VENDOR), *present, *additional})
    headers = canonical.canonical_headers(values, names)
    payload = values.get(_CONTENT_SHA256, canonical.UNSIGNED_PAYLOAD)
    return f"{method}\n{uri}\n{query}\n{headers}\n{';'.join(sorted(additional))}\n{payload}"


def _signature(secret: Secret, scope: Scope, signed_at: datetime, canonical_request: str) -> str:
    digest = canonical.sha256_hex(canonical_request)
    to_sign = f"{ALGORITHM}\n{canonical.iso_basic(signed_at)}\n{scope.text(TERMINATOR)}\n{digest}"
    key = canonical.signing_key("aliyun_v4", secret, scope, TERMINATOR)
    return canonical.hmac_sha256(key, to_sign).hex()
