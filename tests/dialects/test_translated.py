from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects import cos, oss
from gateway.dialects.base import Dialect, Forward, MultipartCall, MultipartStep, StoreRequest
from gateway.errors import INVALID_ARGUMENT, INVALID_REQUEST, NOT_IMPLEMENTED, ApiError, ErrorKind, from_store
from gateway.request import HostMap, ObjectRef, locate
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


LISTED = "encoding-type=url"


@VENDORS
@pytest.mark.parametrize(
    ("method", "key", "query", "kept", "action"),
    [
        ("GET", "", "", LISTED, "s3:ListBucket"),
        (
            "GET",
            "",
            "prefix=a+b%2Bc%2F&delimiter=&marker=&max-keys=5&encoding-type=url",
            f"prefix=a%20b%2Bc%2F&max-keys=5&{LISTED}",
            "s3:ListBucket",
        ),
        ("GET", "", "list-type=2&continuation-token=a%2Bb", f"list-type=2&continuation-token=a%2Bb&{LISTED}", ""),
        ("GET", "", "versions=&key-marker=k", f"versions&key-marker=k&{LISTED}", "s3:ListBucketVersions"),
        ("GET", "", "uploads=&max-uploads=1", "uploads&max-uploads=1", "s3:ListBucketMultipartUploads"),
        ("GET", "", "acl=", "acl", "s3:GetBucketAcl"),
        ("GET", "", "location", "location", "s3:GetBucketLocation"),
        ("GET", "", "versioning", "versioning", "s3:GetBucketVersioning"),
        ("PUT", "", "", "", "s3:CreateBucket"),
        ("POST", "", "delete=&encoding-type=url", "delete", "s3:DeleteObject"),
        ("GET", "a", "acl=", "acl", "s3:GetObjectAcl"),
        ("GET", "a", "acl=&versionId=1", "acl&versionId=1", "s3:GetObjectVersionAcl"),
        ("POST", "a", "uploads=&encoding-type=url", "uploads", "s3:PutObject"),
        ("PUT", "a", "partNumber=1&uploadId=a%2Bb", "partNumber=1&uploadId=a%2Bb", "s3:PutObject"),
        ("GET", "a", "uploadId=u&max-parts=2", "uploadId=u&max-parts=2", "s3:ListMultipartUploadParts"),
        ("POST", "a", "encoding-type=url&uploadId=u", "uploadId=u", "s3:PutObject"),
        ("DELETE", "a", "uploadId=u", "uploadId=u", "s3:AbortMultipartUpload"),
    ],
)
def test_what_s3_calls_otherwise_goes_on_with_its_own_parameters_and_right(
    dialect: Dialect, method: str, key: str, query: str, kept: str, action: str
) -> None:
    intent = dialect.interpret(head(f"/demo/{key}?{query}", method), on(key))
    assert isinstance(intent, Forward)
    assert (intent.store.raw_query, intent.action, intent.translated) == (kept, action or "s3:ListBucket", True)


def test_the_service_lists_its_buckets_and_cuts_the_list_itself() -> None:
    intent = oss.interpret(head("/?prefix=a&marker=b&max-keys=1"), on("", ""))
    assert isinstance(intent, Forward)
    assert (intent.store.raw_query, intent.action) == ("", "s3:ListAllMyBuckets")


def test_bucket_info_is_made_of_the_bucket_s_acl_and_only_aliyun_has_it() -> None:
    intent = oss.interpret(head("/demo/?bucketInfo="), on(""))
    assert isinstance(intent, Forward)
    assert (intent.store.raw_query, intent.action) == ("acl", "s3:GetBucketAcl")
    with pytest.raises(ApiError) as caught:
        cos.interpret(head("/demo/?bucketInfo="), on(""))
    assert caught.value.kind is NOT_IMPLEMENTED


@VENDORS
@pytest.mark.parametrize(
    ("method", "key", "query", "source", "call"),
    [
        ("POST", "a", "uploads", "", (MultipartStep.INITIATE,)),
        ("PUT", "a", "uploadId=u%2Fv&partNumber=10000", "", (MultipartStep.UPLOAD_PART, "u/v", 10_000)),
        (
            "PUT",
            "a",
            "uploadId=u&partNumber=1",
            "src-125.cos.ap-beijing.myqcloud.com/k",
            (MultipartStep.COPY_PART, "u", 1),
        ),
        ("GET", "a", "uploadId=u", "", (MultipartStep.LIST_PARTS, "u")),
        ("POST", "a", "uploadId=u", "", (MultipartStep.COMPLETE, "u")),
        ("DELETE", "a", "uploadId=u", "", (MultipartStep.ABORT, "u")),
        ("GET", "", "uploads", "", (MultipartStep.LIST_UPLOADS,)),
    ],
)
def test_a_call_about_a_multipart_upload_says_so(
    dialect: Dialect, method: str, key: str, query: str, source: str, call: tuple[Any, ...]
) -> None:
    headers = ((f"x-{dialect.NAME}-copy-source", source),) if source else ()
    intent = dialect.interpret(head(f"/demo/{key}?{query}", method, headers), on(key))
    assert isinstance(intent, Forward)
    step, *rest = call
    assert intent.multipart == MultipartCall(step, ObjectRef("demo", key), *rest)


@VENDORS
@pytest.mark.parametrize(
    ("method", "key", "query", "kind"),
    [
        ("PUT", "a", "uploadId=u&partNumber=0", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=u&partNumber=10001", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=u&partNumber=-1", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=u&partNumber=1.0", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=u&partNumber=%D9%A1", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=u&partNumber=", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=&partNumber=1", INVALID_ARGUMENT),
        ("POST", "a", "uploadId=", INVALID_ARGUMENT),
        ("PUT", "a", "uploadId=u&uploadId=v&partNumber=1", INVALID_REQUEST),
        ("GET", "", "max-keys=-1", INVALID_ARGUMENT),
        ("GET", "", "max-keys=many", INVALID_ARGUMENT),
        ("GET", "", "max-keys=1&max-keys=2", INVALID_REQUEST),
        ("GET", "", "encoding-type=base64", INVALID_ARGUMENT),
        ("GET", "", "list-type=3", INVALID_ARGUMENT),
        ("GET", "", "prefix=a&prefix=b", INVALID_REQUEST),
    ],
)
def test_values_that_make_no_sense_are_refused_before_the_store_hears_of_them(
    dialect: Dialect, method: str, key: str, query: str, kind: ErrorKind
) -> None:
    with pytest.raises(ApiError) as caught:
        dialect.interpret(head(f"/demo/{key}?{query}", method), on(key))
    assert caught.value.kind is kind


@VENDORS
@pytest.mark.parametrize(
    ("method", "key", "bucket", "query"),
    [
        ("GET", "", "", "regions"),
        ("POST", "a", "demo", "append=&position=0"),
        ("POST", "a", "demo", ""),
        ("POST", "", "demo", ""),
        ("PUT", "a", "demo", "unheard-of"),
        ("PUT", "a", "demo", "uploadId=u"),
        ("PUT", "a", "demo", "partNumber=1"),
        ("DELETE", "a", "demo", "tagging"),
        ("DELETE", "", "demo", "lifecycle"),
        ("PUT", "", "demo", "acl"),
        ("PUT", "a", "demo", "acl"),
        ("GET", "", "demo", "cors"),
        ("GET", "", "demo", "stat"),
        ("GET", "", "demo", "acl&policy"),
        ("GET", "a", "demo", "tagging"),
        ("HEAD", "a", "demo", "uploadId=1"),
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
