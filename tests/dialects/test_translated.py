from __future__ import annotations

import pytest

from gateway.dialects import cos, oss
from gateway.dialects.base import Dialect, Forward, StoreRequest
from gateway.errors import INVALID_ARGUMENT, NOT_IMPLEMENTED, ApiError, from_store
from gateway.request import HostMap, locate
from tests.dialects.samples import context, head, on

VENDORS = pytest.mark.parametrize("dialect", [oss, cos], ids=["oss", "cos"])


@VENDORS
@pytest.mark.parametrize(
    ("method", "key", "query", "kept", "action"),
    [
        ("GET", "d%2Fa%20b", "", "", "s3:GetObject"),
        ("HEAD", "a", "", "", "s3:GetObject"),
        ("HEAD", "a", "objectMeta=", "", "s3:GetObject"),
        ("GET", "a", "versionId=a%2Fb", "versionId=a%2Fb", "s3:GetObjectVersion"),
        ("GET", "a", "versionId=", "", "s3:GetObject"),
        (
            "GET",
            "a",
            "v=3&response-content-type=text%2Fplain&x=&response-expires=",
            "response-content-type=text%2Fplain",
            "s3:GetObject",
        ),
        ("PUT", "a", "", "", "s3:PutObject"),
        ("DELETE", "a", "", "", "s3:DeleteObject"),
        ("DELETE", "a", "versionId=1", "versionId=1", "s3:DeleteObjectVersion"),
        ("PUT", "", "", "", "s3:CreateBucket"),
        ("DELETE", "", "", "", "s3:DeleteBucket"),
        ("HEAD", "", "", "", "s3:ListBucket"),
    ],
)
def test_plain_calls_become_the_same_calls_on_s3(
    dialect: Dialect, method: str, key: str, query: str, kept: str, action: str
) -> None:
    asked = head(f"/demo/{key}?{query}", method, (("content-type", "image/png"),))
    intent = dialect.interpret(asked, on(key))
    request = StoreRequest(method, key, kept, (("content-type", "image/png"),))
    assert intent == Forward(action, request, translated=True)


@VENDORS
@pytest.mark.parametrize(
    ("method", "key", "bucket", "query"),
    [
        ("GET", "", "", ""),
        ("GET", "", "demo", "prefix=a"),
        ("POST", "", "demo", "delete="),
        ("POST", "a", "demo", "uploads="),
        ("POST", "a", "demo", "append=&position=0"),
        ("PUT", "a", "demo", "partNumber=1&uploadId=1"),
        ("PUT", "a", "demo", "unheard-of"),
        ("DELETE", "a", "demo", "tagging"),
        ("DELETE", "", "demo", "lifecycle"),
        ("PUT", "", "demo", "acl"),
        ("GET", "a", "demo", "acl="),
        ("GET", "a", "demo", "tagging"),
        ("GET", "a", "demo", "uploadId=1"),
        ("OPTIONS", "a", "demo", ""),
    ],
)
def test_calls_without_a_translation_are_refused_with_a_sentence(
    dialect: Dialect, method: str, key: str, bucket: str, query: str
) -> None:
    with pytest.raises(ApiError) as caught:
        dialect.interpret(head(f"/{bucket}/{key}?{query}", method), on(key, bucket))
    assert caught.value.kind is NOT_IMPLEMENTED
    assert caught.value.message.startswith(f"This gateway does not translate {method} on ")


def test_a_copy_and_an_acl_are_translated_and_the_acl_needs_its_own_right() -> None:
    headers = (("x-oss-copy-source", "/src/k"), ("x-oss-object-acl", "public-read"))
    intent = oss.interpret(head("/demo/a", "PUT", headers), on("a"))
    assert isinstance(intent, Forward)
    assert intent.store.headers == (("x-amz-copy-source", "/src/k"), ("x-amz-acl", "public-read"))
    assert (intent.action, intent.also) == ("s3:PutObject", ("s3:PutObjectAcl",))


def test_parameters_known_to_be_harmless_do_not_stop_an_upload() -> None:
    intent = oss.interpret(head("/demo/a?x-oss-traffic-limit=819200", "PUT"), on("a"))
    assert isinstance(intent, Forward)
    assert intent.store.raw_query == ""


def copied(source: str, authority: str, hosts: HostMap) -> str:
    asked = head("/a", "PUT", (("x-cos-copy-source", source),), authority)
    intent = cos.interpret(asked, locate(asked, hosts))
    assert isinstance(intent, Forward)
    return dict(intent.store.headers)["x-amz-copy-source"]


def test_a_copy_source_under_the_requests_own_host_is_the_bucket_that_host_would_name() -> None:
    hosts = HostMap((("gw.test", "cos"),), {"img.example.com": "demo"})
    assert copied("the.source.gw.test/k", "demo-125.gw.test:9000", hosts) == "the.source/k"
    with pytest.raises(ApiError) as caught:
        copied("the.source.gw.test/k", "img.example.com", hosts)
    assert caught.value.kind is INVALID_ARGUMENT
    assert copied("src-125.cos.ap-beijing.myqcloud.com/k", "img.example.com", hosts) == "src-125/k"


@VENDORS
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_error_of_the_store_keeps_the_headers_that_explain_it(dialect: Dialect, method: str) -> None:
    told = (("Content-Range", "bytes */7"), ("Content-Length", "300"), ("x-amz-request-id", "other"))
    rendered = dialect.render_error(from_store(416, "InvalidRange", "", told), context(method))
    assert [value for name, value in rendered.headers if name == "Content-Range"] == ["bytes */7"]
    assert not {"Content-Length", "x-amz-request-id"} & dict(rendered.headers).keys()
