from __future__ import annotations

import pytest

from gateway.dialects import cos, oss, s3
from gateway.dialects.base import Dialect, Forward
from gateway.errors import ACCESS_DENIED, NOT_IMPLEMENTED, ApiError
from tests.dialects.samples import head, on

DIALECTS = pytest.mark.parametrize("dialect", [s3, oss, cos], ids=["s3", "oss", "cos"])


def sent_on(dialect: Dialect, *names: str) -> list[str]:
    intent = dialect.interpret(head("/demo/a", "PUT", tuple((name, "x") for name in names)), on("a"))
    assert isinstance(intent, Forward)
    return [name for name, _ in intent.store.headers]


@DIALECTS
@pytest.mark.parametrize(
    "name",
    [
        "x-minio-extract",
        "x-minio-force-delete",
        "x-minio-source-replication-request",
        "x-rgw-object-type",
        "x-copy-from",
        "x-copy-from-account",
        "x-object-manifest",
        "x-container-read",
        "x-symlink-target",
        "x-delete-after",
        "x-auth-token",
        "x-amz-copy_source",
        "x_amz_acl",
        "x_copy_from",
    ],
)
def test_a_header_that_asks_a_store_for_more_than_s3_stays_behind(dialect: Dialect, name: str) -> None:
    assert sent_on(dialect, name, "content-type") == ["content-type"]


@pytest.mark.parametrize(("dialect", "prefix"), [(s3, "amz"), (oss, "oss"), (cos, "cos")])
def test_metadata_may_have_an_underscore_in_its_name(dialect: Dialect, prefix: str) -> None:
    assert sent_on(dialect, f"x-{prefix}-meta-a_b") == ["x-amz-meta-a_b"]


@pytest.mark.parametrize(("dialect", "prefix"), [(s3, "amz"), (oss, "oss"), (cos, "cos")])
def test_an_upload_that_the_store_would_unpack_is_refused(dialect: Dialect, prefix: str) -> None:
    with pytest.raises(ApiError) as caught:
        sent_on(dialect, f"x-{prefix}-meta-snowball-auto-extract")
    assert caught.value.kind is NOT_IMPLEMENTED
    assert "snowball" in caught.value.message


@DIALECTS
@pytest.mark.parametrize("bucket", ["admin", "minio"])
@pytest.mark.parametrize("query", ["", "x-oss-process=image/score", "ci-process=AssessQuality"])
def test_a_bucket_that_is_a_stores_administration_is_refused(dialect: Dialect, bucket: str, query: str) -> None:
    with pytest.raises(ApiError) as caught:
        dialect.interpret(head(f"/{bucket}/v3/info?{query}"), on("v3/info", bucket))
    assert caught.value.kind is ACCESS_DENIED
    assert bucket in caught.value.message


def test_a_bucket_may_be_called_like_administration_in_part() -> None:
    intent = s3.interpret(head("/minio-data/a"), on("a", "minio-data"))
    assert isinstance(intent, Forward)


def test_a_system_request_of_ceph_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        s3.interpret(head("/demo/a?rgwx-uid=somebody"), on("a"))
    assert caught.value.kind is ACCESS_DENIED
