from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from botocore.parsers import RestXMLParser

from gateway.dialects import s3
from gateway.dialects.base import Forward, StoreRequest
from gateway.errors import ACCESS_DENIED, NO_SUCH_KEY, SCORERS_BUSY, SIGNATURE_DOES_NOT_MATCH, ApiError
from tests.dialects.samples import context, head, on


def test_a_request_goes_on_exactly_as_it_came_but_for_what_verification_used_up() -> None:
    kept = (
        ("user-agent", "Boto3/1"),
        ("accept-encoding", "identity"),
        ("x-amz-meta-a", ""),
        ("content-type", ""),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("amz-sdk-invocation-id", "1"),
        ("x-amz-meta-a", "twice"),
    )
    used_up = (
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
        ("x-amz-date", "20251121T065507Z"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-security-token", "t"),
        ("content-length", "3"),
        ("expect", "100-continue"),
        ("connection", "keep-alive, x-one-hop"),
        ("x-one-hop", "1"),
        ("transfer-encoding", "chunked"),
    )
    asked = head("/demo/d//a%2Fb%7E?versionId=%31&x-id=PutObject&&a", "PUT", (*kept, *used_up))
    intent = s3.interpret(asked, on("d//a%2Fb%7E"))
    request = StoreRequest("PUT", "d//a%2Fb%7E", "versionId=%31&x-id=PutObject&&a", kept)
    assert intent == Forward("s3:PutObject", request, translated=False)


def test_an_acl_in_the_headers_needs_its_own_right() -> None:
    intent = s3.interpret(head("/demo/a", "PUT", (("x-amz-acl", "public-read"),)), on("a"))
    assert isinstance(intent, Forward)
    assert intent.also == ("s3:PutObjectAcl",)


def test_the_error_document_is_amazons() -> None:
    error = ApiError(NO_SUCH_KEY, "for the log", fields=(("Key", "a<b"),))
    rendered = s3.render_error(error, context(host="gateway.example:9000"))
    assert rendered.status == 404
    assert rendered.headers == (
        ("x-amz-request-id", "65E0000000000000000000AA"),
        ("Content-Type", "application/xml"),
    )
    assert rendered.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b</Key>"
        b"<Resource>/a.jpg</Resource><RequestId>65E0000000000000000000AA</RequestId>"
        b"<HostId>gateway.example:9000</HostId></Error>"
    )


def test_botocore_reads_the_error() -> None:
    rendered = s3.render_error(ApiError(SIGNATURE_DOES_NOT_MATCH), context())
    answer = {"status_code": rendered.status, "headers": dict(rendered.headers), "body": rendered.body}
    parsed = RestXMLParser().parse(answer, None)
    assert parsed["Error"]["Code"] == "SignatureDoesNotMatch"
    assert parsed["ResponseMetadata"]["RequestId"] == "65E0000000000000000000AA"
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_head_gets_the_same_headers_and_no_body() -> None:
    error = ApiError(NO_SUCH_KEY)
    rendered = s3.render_error(error, context("HEAD"))
    assert (rendered.headers, rendered.body) == (s3.render_error(error, context()).headers, b"")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ApiError(NO_SUCH_KEY), {}),
        (ApiError(ACCESS_DENIED), {"Cache-Control": "no-store"}),
        (ApiError(SCORERS_BUSY), {"Cache-Control": "no-store", "Retry-After": "1"}),
    ],
)
def test_caches_and_clients_are_told_what_to_do_with_an_error(error: ApiError, expected: dict[str, str]) -> None:
    told = dict(s3.render_error(error, context()).headers)
    assert {name: told[name] for name in ("Cache-Control", "Retry-After") if name in told} == expected


def test_a_key_that_xml_cannot_hold_does_not_break_the_error() -> None:
    error = ApiError(NO_SUCH_KEY, fields=(("Key", "a\x00\udcff"),))
    assert ET.fromstring(s3.render_error(error, context()).body).findtext("Key") == "a\ufffd\ufffd"  # noqa: S314 # ours


def test_answer_headers_are_not_renamed() -> None:
    headers = (("x-amz-meta-a", "1"), ("ETag", '"e"'))
    assert s3.translate_headers(headers, context()) == headers


@pytest.mark.parametrize("name", ["x-amz-acl", "X-Amz-Acl"])
def test_an_acl_that_a_presigned_url_carries_as_a_parameter_needs_its_own_right(name: str) -> None:
    intent = s3.interpret(head(f"/demo/a?{name}=public-read", "PUT"), on("a"))
    assert isinstance(intent, Forward)
    assert intent.also == ("s3:PutObjectAcl",)


def test_an_error_may_bring_its_own_headers() -> None:
    error = ApiError(NO_SUCH_KEY, headers=(("Content-Range", "bytes */7"),))
    assert dict(s3.render_error(error, context()).headers)["Content-Range"] == "bytes */7"


def test_cookies_never_reach_a_store() -> None:
    """CloudFront's cookies are a bearer's credentials, and no store's business."""
    asked = head("/demo/a.jpg", headers=(("cookie", "CloudFront-Policy=secret"), ("x-odd", "1")))
    intent = s3.interpret(asked, on())
    assert isinstance(intent, Forward)
    assert dict(intent.store.headers).keys() == {"x-odd"}
