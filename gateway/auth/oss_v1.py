"""Aliyun OSS signature version 1, in the Authorization header and in the query. Pure.

Source: OSS documentation, "Include signatures in the Authorization header" and "Add signatures to a URL" (V1). The
resource always names the bucket, so host and addressing style are not signed. Key and sub-resources are signed
decoded, which makes a key `a?acl` sign like the sub-resource `acl` of `a`: that is the vendor's rule.
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

NAME = "oss_v1"
CLAIM_PARAMETERS = frozenset({"ossaccesskeyid", "expires", "signature", "security-token"})
# What oss2, the SDK with the widest list, signs, and what OSS documents beside it.
_SUBRESOURCE_NAMES = """
    accesspoint accesspointpolicy acl append asyncfetch bucketarchivedirectread bucketinfo callback callback-var
    cname comp continuation-token cors delete encryption endtime group httpsconfig img inventory inventoryid
    lifecycle link live location logging metaquery objectinfo objectmeta partnumber policy position
    publicaccessblock qos qosinfo qosrequester redundancytransition referer regionlist replication
    replicationlocation replicationprogress requesterqosinfo requestpayment resourcegroup resourcepool
    resourcepoolbuckets resourcepoolinfo response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires restore
    security-token sequential starttime stat status style stylename symlink tagging transferacceleration uploadid
    uploads versionid versioning versions vod website worm wormextend wormid x-oss-ac-forward-allow
    x-oss-ac-source-ip x-oss-ac-subnet-mask x-oss-ac-vpc-id x-oss-access-point-name x-oss-async-process
    x-oss-process x-oss-redundancy-transition-taskid x-oss-request-payer x-oss-target-redundancy-type
    x-oss-traffic-limit x-oss-write-get-object-response
"""
SUBRESOURCES = frozenset(_SUBRESOURCE_NAMES.split())

AUTHORIZATION = "OSS "
_VENDOR = "x-oss-"
_QUERY_FIELDS = ("OSSAccessKeyId", "Expires", "Signature", "security-token")


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries an OSS V1 claim, whole or not."""
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
    date = (head.parameter("Expires") or "") if claim.in_query else _date_line(values)
    text = _string_to_sign(head.method, values, date, target.ref, canonical.named_values(with_blanks(head)))
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
        added = (*added, ("x-oss-security-token", token.reveal()))
    values = {**canonical.received_values(head), **dict(added)}
    text = _string_to_sign(
        head.method, values, _date_line(values), target.ref, canonical.named_values(with_blanks(head))
    )
    return (*added, ("authorization", f"{AUTHORIZATION}{access_key_id}:{canonical.hmac_base64(secret, text, 'sha1')}"))


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
    if token is not None:
        parameters.append(("security-token", token.reveal()))
    text = _string_to_sign(method, {}, expires, ObjectRef(bucket, key), parameters)
    signature = canonical.hmac_base64(secret, text, "sha1")
    parameters += [("OSSAccessKeyId", access_key_id), ("Expires", expires), ("Signature", signature)]
    return canonical.canonical_query(parameters)


def _in_query(head: RequestHead) -> bool:
    return head.has_parameter("OSSAccessKeyId")


def _parse_header(head: RequestHead) -> Claim:
    value = head.one_header("authorization").removeprefix(AUTHORIZATION)
    access_key_id, signature = canonical.parse_id_and_signature(value)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=signature,
        in_query=False,
        signed_at=canonical.parse_date(head.one_header("x-oss-date") or head.one_header("date")),
        signed_headers=_signed_headers(head),
        signed_parameters=SUBRESOURCES,
        # alibabacloud-oss-v2 leaves the prefix out in its V1 mode
        token=head.one_header("x-oss-security-token") or head.one_header("security-token") or None,
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
        token=fields.get("security-token") or head.one_header("x-oss-security-token") or None,
    )


def _signed_headers(head: RequestHead) -> tuple[str, ...]:
    return ("content-md5", "content-type", "date", *canonical.prefixed(dict(head.headers), _VENDOR))


def _date_line(values: Mapping[str, str]) -> str:
    return values.get("x-oss-date") or values.get("date", "")


def _string_to_sign(
    method: str,
    values: Mapping[str, str],
    date: str,
    ref: ObjectRef,
    parameters: Iterable[tuple[str, str]],
) -> str:
    headers = canonical.canonical_headers(values, canonical.prefixed(values, _VENDOR))
    resource = f"/{ref.bucket}/{ref.key}" if ref.bucket else "/"
    start = canonical.leading_lines(method, values, date)
    return f"{start}{headers}{resource}{canonical.subresources(parameters, SUBRESOURCES)}"
