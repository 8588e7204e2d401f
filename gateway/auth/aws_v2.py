"""AWS Signature Version 2 for S3, in the Authorization header and in the query. Pure.

Source: Amazon S3 Developer Guide, "Signing and Authenticating REST Requests". It covers only the sub-resources
listed here and never the body, so a processing parameter is not covered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.auth import canonical
from gateway.auth.base import Claim, Payload, Unsigned, check_signature, check_time
from gateway.errors import INVALID_REQUEST, MULTIPLE_CLAIMS, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gateway.credentials import Secret
    from gateway.request import Headers, RequestHead, Target

NAME = "aws_v2"
CLAIM_PARAMETERS = frozenset({"awsaccesskeyid", "expires", "signature", "x-amz-security-token"})
# What botocore signs; lower-case, because the comparison ignores case.
_SUBRESOURCE_NAMES = """
    accelerate acl analytics cors defaultobjectacl delete inventory lifecycle location logging metrics
    notification object-lock partnumber policy replication requestpayment response-cache-control
    response-content-disposition response-content-encoding response-content-language response-content-type
    response-expires restore select select-type storageclass tagging torrent uploadid uploads versionid versioning
    versions website
"""
SUBRESOURCES = frozenset(_SUBRESOURCE_NAMES.split())

AUTHORIZATION = "AWS "
_VENDOR = "x-amz-"
_QUERY_FIELDS = ("AWSAccessKeyId", "Expires", "Signature", "x-amz-security-token")


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries a SigV2 claim, whole or not."""
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
    values = _vendor_values(head)
    date = (head.parameter("Expires") or "") if claim.in_query else _date_line(values)
    text = _string_to_sign(head.method, values, date, _resource(head, target), canonical.named_values(head))
    check_signature(canonical.hmac_base64(secret, text, "sha1"), claim.signature)
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
) -> Headers:
    """Return the headers to add to a request so that it is signed."""
    added: Headers = (("date", canonical.http_date(now)),)
    if token is not None:
        added = (*added, ("x-amz-security-token", token.reveal()))
    values = {**_vendor_values(head), **dict(added)}
    text = _string_to_sign(
        head.method, values, _date_line(values), _resource(head, target), canonical.named_values(head)
    )
    return (*added, ("authorization", f"{AUTHORIZATION}{access_key_id}:{canonical.hmac_base64(secret, text, 'sha1')}"))


def _in_query(head: RequestHead) -> bool:
    return head.has_parameter("AWSAccessKeyId")


def _parse_header(head: RequestHead) -> Claim:
    value = head.one_header("authorization").removeprefix(AUTHORIZATION)
    access_key_id, signature = canonical.parse_id_and_signature(value)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=signature,
        in_query=False,
        signed_at=canonical.parse_date(head.one_header("x-amz-date") or head.one_header("date")),
        signed_headers=_signed_headers(head),
        signed_parameters=SUBRESOURCES,
        token=head.one_header("x-amz-security-token") or None,
    )


def _parse_query(head: RequestHead) -> Claim:
    fields = canonical.query_fields(head, _QUERY_FIELDS)
    access_key_id, expires, signature = canonical.all_required(fields, _QUERY_FIELDS[:3], in_query=True)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=canonical.parse_signature(signature, in_query=True),
        in_query=True,
        expires_at=canonical.parse_unix(expires),
        signed_headers=_signed_headers(head),
        signed_parameters=SUBRESOURCES,
        token=fields.get("x-amz-security-token") or head.one_header("x-amz-security-token") or None,
    )


def _signed_headers(head: RequestHead) -> tuple[str, ...]:
    return ("content-md5", "content-type", "date", *canonical.prefixed(dict(head.headers), _VENDOR))


def _vendor_values(head: RequestHead) -> dict[str, str]:
    """Return the headers, joined by x-amz-* parameters: botocore moves those headers into a URL it signs.

    A line feed in such a parameter could pass for the end of one header and the start of another.
    """
    values = canonical.received_values(head)
    for parameter in head.parameters:
        if parameter.name.startswith(_VENDOR):
            if parameter.name in values or "\n" in parameter.name + parameter.value:
                raise ApiError(INVALID_REQUEST, "an x-amz- parameter sent twice or with a line feed")
            values[parameter.name] = parameter.value
    return values


def _date_line(values: Mapping[str, str]) -> str:
    return "" if "x-amz-date" in values else values.get("date", "")


def _resource(head: RequestHead, target: Target) -> str:
    """Return the path as sent, the bucket in front when the host named it, `/` behind a bare bucket."""
    path = head.raw_path if target.addressed == "path" else f"/{target.ref.bucket}{head.raw_path}"
    return path if target.ref.key or path.endswith("/") else f"{path}/"


def _string_to_sign(
    method: str,
    values: Mapping[str, str],
    date: str,
    resource: str,
    parameters: Iterable[tuple[str, str]],
) -> str:
    headers = canonical.canonical_headers(values, canonical.prefixed(values, _VENDOR))
    start = canonical.leading_lines(method, values, date)
    return f"{start}{headers}{resource}{canonical.subresources(parameters, SUBRESOURCES)}"
