from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway import errors
from gateway.auth import aws_v2, canonical
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError
from gateway.request import HostMap, RequestHead
from tests.auth.samples import KEY_ID, NOW, SECRET, head_of, identified, signed_aws_v2, target_of, with_headers

# Amazon S3 Developer Guide, "Signing and Authenticating REST Requests": key, secret and bucket of all examples.
DOC_ID = "AKIAIOSFODNN7EXAMPLE"
DOC_KEYRING = {
    DOC_ID: Credential(DOC_ID, Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), Identity("johnsmith", EVERYTHING))
}
DOC_HOSTS = HostMap((("s3.amazonaws.com", "s3"),), {})


@pytest.mark.parametrize(
    ("method", "path", "query", "date", "content_type", "signature"),
    [
        ("GET", "/photos/puppy.jpg", "", "19:36:42", "", "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
        ("PUT", "/photos/puppy.jpg", "", "21:15:45", "image/jpeg", "MyyxeRY7whkBe+bq8fHCL/2kKUg="),
        ("GET", "/", "prefix=photos&max-keys=50&marker=puppy", "19:42:41", "", "htDYFYduRNen8P9ZfE/s9SuKy0U="),
        ("GET", "/", "acl", "19:44:46", "", "c2WLPFtWHVgbEmeEG93a4cG37dM="),
    ],
)
def test_the_documented_examples_are_verified(
    method: str, path: str, query: str, date: str, content_type: str, signature: str
) -> None:
    headers = (
        ("date", f"Tue, 27 Mar 2007 {date} +0000"),
        ("content-type", content_type),
        ("authorization", f"AWS {DOC_ID}:{signature}"),
    )
    head = head_of(method, path, query, host="johnsmith.s3.amazonaws.com", headers=headers)
    now = datetime(2007, 3, 27, 20, 30, tzinfo=UTC) + timedelta(minutes=45 if date.startswith("21") else -45)
    assert identified(head, now=now, keyring=DOC_KEYRING, hosts=DOC_HOSTS).identity.name == "johnsmith"


def _presigned(raw_query: str = "", lines: str = "", resource: str = "/examplebucket/a.jpg") -> RequestHead:
    """Sign a URL by hand: `lines` are the x-amz- lines, `resource` includes the sub-resources."""
    expires = int(NOW.timestamp()) + 60
    signature = canonical.hmac_base64(SECRET, f"GET\n\n\n{expires}\n{lines}{resource}", "sha1")
    own = canonical.canonical_query([("AWSAccessKeyId", KEY_ID), ("Expires", str(expires)), ("Signature", signature)])
    return head_of(raw_query=f"{raw_query}&{own}".lstrip("&"))


def test_a_url_is_valid_to_its_last_second() -> None:
    head = _presigned()
    assert identified(head, now=NOW + timedelta(seconds=60)).claim is not None
    with pytest.raises(ApiError) as refusal:
        identified(head, now=NOW + timedelta(seconds=61))
    assert refusal.value.kind is errors.REQUEST_EXPIRED


def test_unlisted_parameters_are_not_covered_and_listed_ones_are() -> None:
    head = _presigned("prefix=x&versionId=a%20b", resource="/examplebucket/a.jpg?versionId=a b")
    claim = identified(head).claim
    assert claim is not None
    assert claim.covers("versionId")
    assert not claim.covers("prefix")
    assert not claim.covers("x-oss-process")


def test_vendor_headers_moved_into_the_url_are_signed_as_headers() -> None:
    head = _presigned("x-amz-acl=private", "x-amz-acl:private\n")
    assert identified(head).claim is not None
    with pytest.raises(ApiError):
        identified(replace(head, raw_query=head.raw_query.replace("private", "public-read")))


def test_a_line_feed_cannot_swallow_a_signed_header() -> None:
    lines = "x-amz-acl:private\nx-amz-meta-a:1\n"
    assert identified(_presigned("x-amz-acl=private&x-amz-meta-a=1", lines)).claim is not None
    with pytest.raises(ApiError) as refusal:
        identified(_presigned("x-amz-acl=private%0Ax-amz-meta-a:1", lines))
    assert refusal.value.kind is errors.INVALID_REQUEST


def test_a_part_upload_cannot_be_turned_into_a_whole_upload() -> None:
    resource = "/examplebucket/a.jpg?partNumber=1&uploadId=2"
    assert identified(_presigned("partNumber=1&uploadId=2", resource=resource)).claim is not None
    with pytest.raises(ApiError) as refusal:
        identified(_presigned("partNumber=1%26uploadId=2", resource=resource))
    assert refusal.value.kind is errors.INVALID_REQUEST


def test_a_bare_bucket_is_signed_with_a_slash() -> None:
    head = head_of(raw_path="/examplebucket", host="10.0.0.1")
    assert aws_v2._resource(head, target_of(head)) == "/examplebucket/"
    assert identified(signed_aws_v2(head)).claim is not None


def test_x_amz_date_takes_the_place_of_date() -> None:
    head = head_of(headers=(("x-amz-date", "Sat, 21 Nov 2026 05:01:25 +0000"),))
    signature = canonical.hmac_base64(
        SECRET, "GET\n\n\n\nx-amz-date:Sat, 21 Nov 2026 05:01:25 +0000\n/examplebucket/a.jpg", "sha1"
    )
    assert identified(with_headers(head, (("authorization", f"AWS {KEY_ID}:{signature}"),))).claim is not None


@pytest.mark.parametrize("value", ["AWS ", "AWS x", "AWS :x", "AWS x:", "AWS x:\u00e9"])
def test_half_a_claim_is_refused(value: str) -> None:
    head = head_of(headers=(("authorization", value), ("date", "Sat, 21 Nov 2026 05:01:25 GMT")))
    with pytest.raises(ApiError) as refusal:
        identified(head)
    assert refusal.value.kind in (errors.AUTHORIZATION_HEADER_MALFORMED, errors.UNSUPPORTED_AUTHORIZATION)
