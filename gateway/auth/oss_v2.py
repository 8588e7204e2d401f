"""Aliyun OSS signature version 2, in the Authorization header and in the query. Pure.

Source: the oss2 SDK's AuthV2, the only client that makes it. Every query parameter is signed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.auth import canonical
from gateway.auth.base import Claim, Payload, Unsigned, check_signature, check_time
from gateway.errors import MULTIPLE_CLAIMS, ApiError
from gateway.request import ObjectRef, parse_query, with_blanks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gateway.credentials import Secret
    from gateway.request import Headers, RequestHead, Target

NAME = "oss_v2"
VERSION = "OSS2"
CLAIM_PARAMETERS = frozenset(
    {
        "x-oss-signature-version",
        "x-oss-expires",
        "x-oss-access-key-id",
        "x-oss-signature",
        "x-oss-additional-headers",
        "security-token",
    }
)

AUTHORIZATION = "OSS2 "
_VENDOR = "x-oss-"
_SIGNATURE = "x-oss-signature"
_QUERY_FIELDS = (
    "x-oss-access-key-id",
    "x-oss-expires",
    _SIGNATURE,
    "x-oss-signature-version",
    "x-oss-additional-headers",
    "security-token",
)


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries an OSS V2 claim, whole or not."""
    return canonical.is_authorization(head, AUTHORIZATION) or _in_query(head)


def parse(head: RequestHead) -> Claim:
    """Read the claim from the Authorization header or the query. Raises ApiError when it is malformed."""
    if not _in_query(head):
        return _parse_header(head)
    if canonical.is_authorization(head, AUTHORIZATION):
        raise ApiError(MULTIPLE_CLAIMS)
    return _parse_query(head)


def verify(head: RequestHead, claim: Claim, secret: Secret, target: Target, now: datetime) -> Payload:
    """Prove the claim with the secret; nothing is promised about the body. Raises ApiError."""
    values = canonical.received_values(head)
    date = (head.parameter("x-oss-expires") or "") if claim.in_query else _date_line(values)
    parameters = canonical.named_values(with_blanks(head), (_SIGNATURE,) if claim.in_query else ())
    text = _string_to_sign(head.method, values, date, claim.signed_headers, target.ref, parameters)
    check_signature(canonical.hmac_base64(secret, text, "sha256"), claim.signature)
    check_time(claim, now)
    return Unsigned()


def sign(
    head: RequestHead,
    target: Target,
    *,
    access_key_id: str,
    secret: Secret,
    now: datetime,
    token: Secret | None = None,
    additional_headers: tuple[str, ...] = (),
) -> Headers:
    """Return the headers to add to a request so that it is signed, `additional_headers` included."""
    added: Headers = (("date", canonical.http_date(now)),)
    if token is not None:
        added = (*added, ("x-oss-security-token", token.reveal()))
    values = {**canonical.received_values(head), **dict(added)}
    names = canonical.named_values(with_blanks(head))
    text = _string_to_sign(head.method, values, _date_line(values), additional_headers, target.ref, names)
    additional = f"AdditionalHeaders:{';'.join(additional_headers)}," if additional_headers else ""
    signature = canonical.hmac_base64(secret, text, "sha256")
    return (*added, ("authorization", f"{AUTHORIZATION}AccessKeyId:{access_key_id},{additional}Signature:{signature}"))


def presign(  # noqa: PLR0913 - the parts of a request, each under its own name
    method: str,
    bucket: str,
    key: str,
    raw_query: str,
    *,
    access_key_id: str,
    secret: Secret,
    expires_s: int,
    now: datetime,
    token: Secret | None = None,
) -> str:
    """Return the whole raw query of a signed URL: the given one and the claim. `key` is decoded."""
    expires = str(int((now + timedelta(seconds=expires_s)).timestamp()))
    parameters = [(item.name, item.value) for item in parse_query(raw_query)]
    parameters += [
        ("x-oss-signature-version", VERSION),
        ("x-oss-expires", expires),
        ("x-oss-access-key-id", access_key_id),
    ]
    if token is not None:
        parameters.append(("security-token", token.reveal()))
    text = _string_to_sign(method, {}, expires, (), ObjectRef(bucket, key), parameters)
    return canonical.canonical_query([*parameters, (_SIGNATURE, canonical.hmac_base64(secret, text, "sha256"))])


def _in_query(head: RequestHead) -> bool:
    return head.has_parameter("x-oss-access-key-id") or VERSION in head.parameter_values("x-oss-signature-version")


def _parse_header(head: RequestHead) -> Claim:
    fields = canonical.parse_fields(head.one_header("authorization").removeprefix(AUTHORIZATION), ",", ":")
    signed_at = canonical.parse_date(head.one_header("x-oss-date") or head.one_header("date"))
    signature = canonical.required(fields, "Signature", in_query=False)
    return Claim(
        scheme=NAME,
        access_key_id=canonical.required(fields, "AccessKeyId", in_query=False),
        signature=canonical.parse_signature(signature, in_query=False),
        in_query=False,
        signed_at=signed_at,
        signed_headers=canonical.parse_header_names(fields.get("AdditionalHeaders", ""), in_query=False),
        token=head.one_header("x-oss-security-token") or None,
    )


def _parse_query(head: RequestHead) -> Claim:
    fields = canonical.query_fields(head, _QUERY_FIELDS)
    access_key_id, expires, signature, version = canonical.all_required(fields, _QUERY_FIELDS[:4], in_query=True)
    if version != VERSION:
        raise canonical.malformed("the signature version is not known", in_query=True)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=canonical.parse_signature(signature, in_query=True),
        in_query=True,
        expires_at=canonical.parse_unix(expires),
        signed_headers=canonical.parse_header_names(fields.get("x-oss-additional-headers", ""), in_query=True),
        token=fields.get("security-token") or head.one_header("x-oss-security-token") or None,
    )


def _date_line(values: Mapping[str, str]) -> str:
    return values.get("x-oss-date") or values.get("date", "")


def _string_to_sign(
    method: str,
    values: Mapping[str, str],
    date: str,
    additional: tuple[str, ...],
    ref: ObjectRef,
    parameters: Iterable[tuple[str, str]],
) -> str:
    names = sorted({*canonical.prefixed(values, _VENDOR), *additional})
    headers = canonical.canonical_headers(values, names)
    resource = canonical.encode(f"/{ref.bucket}/{ref.key}" if ref.bucket else "/")
    query = canonical.canonical_query(parameters, bare=True)
    start = canonical.leading_lines(method, values, date)
    return f"{start}{headers}{';'.join(sorted(additional))}\n{resource}{'?' if query else ''}{query}"
