from __future__ import annotations

import pytest

from gateway.dialects.rights import action, header_actions, read_action, refuse_overrides, refuse_uncovered
from gateway.errors import ACCESS_DENIED, INVALID_ARGUMENT, INVALID_REQUEST, METHOD_NOT_ALLOWED, ApiError
from gateway.request import ObjectRef

SERVICE, BUCKET, OBJECT = ObjectRef("", ""), ObjectRef("b", ""), ObjectRef("b", "k")


@pytest.mark.parametrize(
    ("method", "ref", "names", "expected"),
    [
        ("GET", SERVICE, "", "ListAllMyBuckets"),
        ("GET", BUCKET, "", "ListBucket"),
        ("HEAD", BUCKET, "", "ListBucket"),
        ("GET", BUCKET, "list-type prefix", "ListBucket"),
        ("GET", BUCKET, "versions", "ListBucketVersions"),
        ("GET", BUCKET, "uploads", "ListBucketMultipartUploads"),
        ("GET", BUCKET, "location", "GetBucketLocation"),
        ("GET", BUCKET, "versioning", "GetBucketVersioning"),
        ("PUT", BUCKET, "", "CreateBucket"),
        ("PUT", BUCKET, "policy", "PutBucketPolicy"),
        ("PUT", BUCKET, "unheard-of", "CreateBucket"),
        ("POST", BUCKET, "", "PutObject"),
        ("POST", BUCKET, "delete", "DeleteObject"),
        ("DELETE", BUCKET, "", "DeleteBucket"),
        ("DELETE", BUCKET, "policy", "DeleteBucketPolicy"),
        ("DELETE", BUCKET, "cors", "PutBucketCORS"),
        ("GET", OBJECT, "", "GetObject"),
        ("HEAD", OBJECT, "", "GetObject"),
        ("OPTIONS", OBJECT, "", "GetObject"),
        ("GET", OBJECT, "response-content-type x-id", "GetObject"),
        ("GET", OBJECT, "versionId", "GetObjectVersion"),
        ("GET", OBJECT, "acl", "GetObjectAcl"),
        ("GET", OBJECT, "acl versionId", "GetObjectVersionAcl"),
        ("GET", OBJECT, "tagging versionId", "GetObjectVersionTagging"),
        ("GET", OBJECT, "attributes", "GetObjectAttributes"),
        ("GET", OBJECT, "uploadId max-parts", "ListMultipartUploadParts"),
        ("GET", OBJECT, "retention versionId", "GetObjectRetention"),
        ("PUT", OBJECT, "", "PutObject"),
        ("PUT", OBJECT, "uploadId partNumber", "PutObject"),
        ("PUT", OBJECT, "acl", "PutObjectAcl"),
        ("PUT", OBJECT, "location", "PutObject"),
        ("POST", OBJECT, "uploads", "PutObject"),
        ("POST", OBJECT, "uploadId", "PutObject"),
        ("POST", OBJECT, "restore versionId", "RestoreObject"),
        ("POST", OBJECT, "select select-type", "GetObject"),
        ("DELETE", OBJECT, "", "DeleteObject"),
        ("DELETE", OBJECT, "versionId", "DeleteObjectVersion"),
        ("DELETE", OBJECT, "tagging versionId", "DeleteObjectVersionTagging"),
        ("DELETE", OBJECT, "uploadId", "AbortMultipartUpload"),
    ],
)
def test_the_action_is_amazons_name_for_the_operation(method: str, ref: ObjectRef, names: str, expected: str) -> None:
    assert action(method, ref, names.split()) == f"s3:{expected}"


@pytest.mark.parametrize(
    ("method", "ref", "names"),
    [
        ("GET", BUCKET, "location policy"),
        ("GET", OBJECT, "acl tagging"),
        ("DELETE", OBJECT, "uploadId tagging"),
        ("POST", OBJECT, "delete"),
        ("PUT", OBJECT, "versioning"),
        ("GET", OBJECT, "uploads"),
    ],
)
def test_a_request_that_stores_read_in_different_ways_is_refused(method: str, ref: ObjectRef, names: str) -> None:
    with pytest.raises(ApiError) as caught:
        action(method, ref, names.split())
    assert caught.value.kind is INVALID_ARGUMENT


@pytest.mark.parametrize(("method", "ref"), [("POST", SERVICE), ("PUT", SERVICE), ("PATCH", OBJECT), ("TRACE", BUCKET)])
def test_administration_and_unknown_methods_are_not_allowed(method: str, ref: ObjectRef) -> None:
    with pytest.raises(ApiError) as caught:
        action(method, ref, ["Action"])
    assert caught.value.kind is METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    ("method", "ref", "names", "expected"),
    [
        ("PUT", OBJECT, "content-type x-amz-meta-a", ""),
        ("PUT", OBJECT, "x-amz-acl x-amz-grant-read x-amz-grant-full-control", "PutObjectAcl"),
        ("PUT", BUCKET, "x-amz-grant-write", "PutBucketAcl"),
        ("PUT", OBJECT, "x-amz-tagging x-amz-acl", "PutObjectTagging PutObjectAcl"),
        ("PUT", OBJECT, "x-amz-object-lock-mode x-amz-object-lock-retain-until-date", "PutObjectRetention"),
        ("POST", OBJECT, "x-amz-object-lock-legal-hold", "PutObjectLegalHold"),
        ("DELETE", OBJECT, "x-amz-bypass-governance-retention", "BypassGovernanceRetention"),
        ("GET", OBJECT, "x-amz-acl", ""),
        ("HEAD", BUCKET, "x-amz-acl", ""),
    ],
)
def test_headers_that_write_more_than_bytes_need_their_own_actions(
    method: str, ref: ObjectRef, names: str, expected: str
) -> None:
    found = header_actions(method, ref, tuple((name, "x") for name in names.split()))
    assert found == tuple(f"s3:{name}" for name in expected.split())


@pytest.mark.parametrize("name", ["retention", "legal-hold", "encryption", "publicAccessBlock", "versionId", "acl"])
def test_a_subresource_that_the_signature_leaves_out_is_refused_and_named(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        refuse_uncovered(lambda _: False, ["prefix", name])
    assert caught.value.kind is ACCESS_DENIED
    assert name in caught.value.message


def test_covered_subresources_and_parameters_that_decide_nothing_are_accepted() -> None:
    refuse_uncovered({"retention", "versionId"}.__contains__, ["retention", "versionId", "prefix", "Expires"])


@pytest.mark.parametrize("query", ["response-content-type=text/html", "a=1&response%2Dexpires=0"])
def test_overriding_answer_headers_without_a_signature_is_refused_as_s3_does(query: str) -> None:
    with pytest.raises(ApiError) as caught:
        refuse_overrides(query)
    assert caught.value.kind is INVALID_REQUEST
    assert caught.value.message == "Request specific response headers cannot be used for anonymous GET requests."


def test_a_query_without_overrides_is_accepted() -> None:
    refuse_overrides("versionId=1&x=response-expires")


def test_reading_a_named_version_is_another_right() -> None:
    assert (read_action(None), read_action("null")) == ("s3:GetObject", "s3:GetObjectVersion")
