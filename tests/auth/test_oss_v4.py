from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway import errors
from gateway.auth import oss_v4
from gateway.auth.base import Scope
from gateway.errors import ApiError
from gateway.request import HostMap
from tests.auth.samples import (
    BUCKET,
    HOST,
    KEY_ID,
    NOW,
    SECRET,
    head_of,
    identified,
    presigned,
    signed_oss_v4,
    target_of,
)
from tests.auth.samples import with_headers as _with


@pytest.mark.parametrize(
    ("offset", "kind"),
    [(-901, errors.REQUEST_NOT_YET_VALID), (-900, None), (0, None), (60, None), (61, errors.REQUEST_EXPIRED)],
)
def test_a_url_serves_from_fifteen_minutes_before_its_date_to_its_expiry(
    offset: int, kind: errors.ErrorKind | None
) -> None:
    head, now = presigned("oss_v4", expires_s=60), NOW + timedelta(seconds=offset)
    if kind is None:
        assert identified(head, now=now).claim is not None
        return
    with pytest.raises(ApiError) as refusal:
        identified(head, now=now)
    assert refusal.value.kind is kind


@pytest.mark.parametrize(("expires_s", "accepted"), [(0, False), (1, True), (604_800, True), (604_801, False)])
def test_a_url_may_live_from_a_second_to_a_week(expires_s: int, accepted: bool) -> None:  # noqa: FBT001 - expected
    head = presigned("oss_v4", expires_s=expires_s)
    if accepted:
        assert identified(head).claim is not None
        return
    with pytest.raises(ApiError) as refusal:
        identified(head)
    assert refusal.value.kind is errors.INVALID_ARGUMENT


def test_one_signature_holds_for_every_address_of_the_bucket() -> None:
    head = head_of()
    added = oss_v4.sign(head, target_of(head), access_key_id=KEY_ID, secret=SECRET, region="r", now=NOW)
    by_path = head_of(raw_path=f"/{BUCKET}/a.jpg", host="10.0.0.1", headers=added)
    by_cname = head_of(host="img.example.com", headers=added)
    assert identified(_with(head, added)).claim is not None
    assert identified(by_path).claim is not None
    assert identified(by_cname, hosts=HostMap((), {"img.example.com": BUCKET})).claim is not None


def test_a_listed_host_is_covered() -> None:
    head = signed_oss_v4(head_of())
    assert identified(head).claim is not None
    with pytest.raises(ApiError) as refusal:
        identified(replace(head, authority=HOST.replace("9000", "9001")))
    assert refusal.value.kind is errors.SIGNATURE_DOES_NOT_MATCH


@pytest.mark.parametrize("form", ["a, b", "b,a"])
def test_the_fields_stand_in_any_order(form: str) -> None:
    head = signed_oss_v4(head_of())
    start, _, rest = head.one_header("authorization").partition(" ")
    fields = rest.split(",")
    shuffled = ", ".join(fields[::-1]) if form == "a, b" else ",".join(fields[::-1])
    headers = tuple((n, f"{start} {shuffled}" if n == "authorization" else v) for n, v in head.headers)
    assert identified(replace(head, headers=headers)).claim is not None


def test_the_scope_must_bear_the_date_of_the_request_and_the_product() -> None:
    head = signed_oss_v4(head_of())
    for old, new in (("/20261121/", "/20261120/"), ("/oss/", "/s3/"), ("aliyun_v4_request", "aws4_request")):
        headers = tuple((n, v.replace(old, new)) for n, v in head.headers)
        with pytest.raises(ApiError) as refusal:
            identified(replace(head, headers=headers))
        assert refusal.value.kind is errors.AUTHORIZATION_HEADER_MALFORMED


def test_a_cloud_box_is_a_product_too() -> None:
    head = head_of(headers=(("x-oss-date", "20261121T050125Z"),))
    scope = Scope("20261121", "cb-1", "oss-cloudbox")
    request = oss_v4._canonical_request("GET", target_of(head).ref, [], dict(head.headers), ())
    signature = oss_v4._signature(SECRET, scope, NOW, request)
    value = f"OSS4-HMAC-SHA256 Credential={KEY_ID}/{scope.text('aliyun_v4_request')},Signature={signature}"
    assert identified(_with(head, (("authorization", value),))).claim is not None


def test_a_payload_that_oss_does_not_know_is_refused() -> None:
    head = head_of(headers=(("x-oss-date", "20261121T050125Z"), ("x-oss-content-sha256", "0" * 64)))
    scope = Scope("20261121", "r", "oss")
    request = oss_v4._canonical_request("GET", target_of(head).ref, [], dict(head.headers), ())
    signature = oss_v4._signature(SECRET, scope, NOW, request)
    value = f"OSS4-HMAC-SHA256 Credential={KEY_ID}/{scope.text('aliyun_v4_request')},Signature={signature}"
    with pytest.raises(ApiError) as refusal:
        identified(_with(head, (("authorization", value),)))
    assert refusal.value.kind is errors.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "query", ["x-oss-signature-version=OSS9&x-oss-signature=x", "x-oss-signature=x", "x-oss-credential=x"]
)
def test_an_unknown_or_broken_url_claim_is_refused_rather_than_ignored(query: str) -> None:
    with pytest.raises(ApiError) as refusal:
        identified(head_of(raw_query=query))
    assert refusal.value.kind is errors.AUTHORIZATION_QUERY_MALFORMED
