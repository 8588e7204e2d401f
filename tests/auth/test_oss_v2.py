from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import errors
from gateway.auth import oss_v2
from gateway.errors import ApiError
from tests.auth.samples import head_of, identified, presigned, signed_oss_v2, with_headers


def test_every_parameter_is_covered() -> None:
    claim = oss_v2.parse(presigned("oss_v2"))
    assert claim.covers("x-oss-process")
    assert claim.covers("prefix")


def test_an_additional_header_is_covered_and_must_be_there() -> None:
    head = head_of(headers=(("range", "bytes=0-3"),))
    signed = signed_oss_v2(head)
    listed = tuple((n, v.replace("AdditionalHeaders:host", "AdditionalHeaders:host;range")) for n, v in signed.headers)
    with pytest.raises(ApiError) as refusal:
        identified(replace(signed, headers=listed))
    assert refusal.value.kind is errors.SIGNATURE_DOES_NOT_MATCH
    with pytest.raises(ApiError) as refusal:
        identified(replace(signed, headers=tuple(item for item in listed if item[0] != "range")))
    assert refusal.value.kind is errors.ACCESS_DENIED


def test_a_slash_in_the_key_may_be_encoded_on_the_wire() -> None:
    signed = signed_oss_v2(head_of(raw_path="/dir/a%20b.jpg"))
    assert identified(replace(signed, raw_path="/dir%2Fa%20b.jpg")).claim is not None


@pytest.mark.parametrize("value", ["OSS2 ", "OSS2 AccessKeyId:a", "OSS2 Signature:a", "OSS2 AccessKeyId=a,Signature=b"])
def test_half_a_claim_is_refused(value: str) -> None:
    head = head_of(headers=(("date", "Sat, 21 Nov 2026 05:01:25 GMT"),))
    with pytest.raises(ApiError):
        identified(with_headers(head, (("authorization", value),)))


def test_a_version_without_its_partners_is_refused() -> None:
    with pytest.raises(ApiError) as refusal:
        identified(head_of(raw_query="x-oss-signature-version=OSS2"))
    assert refusal.value.kind is errors.AUTHORIZATION_QUERY_MALFORMED


def test_another_version_is_refused() -> None:
    query = "x-oss-access-key-id=a&x-oss-expires=1&x-oss-signature=b&x-oss-signature-version=OSS3"
    with pytest.raises(ApiError) as refusal:
        oss_v2.parse(head_of(raw_query=query))
    assert refusal.value.kind is errors.AUTHORIZATION_QUERY_MALFORMED
