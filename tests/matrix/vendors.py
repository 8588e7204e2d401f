"""The rows of Aliyun's and Tencent's Python SDKs in the matrix."""

from __future__ import annotations

import io
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss_v2
import oss2
from qcloud_cos.cos_exception import CosServiceError

from tests.matrix.clients import EXPIRES_S, WRONG_SECRET, Client, Endpoint
from tests.sdk.live_clients import Account, oss_score
from tests.sdk.vendor_calls import Vendor, whole_listing
from tests.sdk.vendor_cos import Cos
from tests.sdk.vendor_oss import Oss2, OssV2
from tests.stores_up.fixtures import BUCKET, COS_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.matrix.clients import Calls

PAGE = 2
MIB = 1024 * 1024


def account(at: Endpoint, secret: str) -> Account:
    return Account(at.port, 0, "", at.key_id, secret)


def shared(vendor: Vendor, impostor: Vendor) -> dict[str, Callable[..., Any]]:
    """Return the calls that all three have alike."""
    return {
        "buckets": vendor.buckets,
        "location": vendor.location,
        "bucket_acl": vendor.bucket_acl,
        "put": vendor.put,
        "put_once": vendor.put_once,
        "get": vendor.get,
        "get_range": vendor.get,
        "get_wrongly": impostor.get,
        "copy": vendor.copy,
        "delete": vendor.delete,
        "delete_all": vendor.delete_all,
        "begin": vendor.begin,
        "part": vendor.part,
        "copy_part": vendor.copy_part,
        "complete": vendor.complete,
        "parts": vendor.parts,
        "uploads": vendor.uploads,
        "abort": vendor.abort,
        "acl": vendor.acl,
    }


def from_file(upload: Callable[[str, str], object]) -> Callable[[str, bytes], None]:
    """Return what uploads data by way of a file."""

    def call(key: str, data: bytes) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "large"
            path.write_bytes(data)
            upload(key, str(path))

    return call


@contextmanager
def oss2_connected(auth: type, at: Endpoint) -> Iterator[Calls]:
    vendor = Oss2(account(at, at.secret), auth)
    bucket = vendor.bucket

    def folders(prefix: str) -> tuple[list[str], list[str]]:
        rows = list(oss2.ObjectIteratorV2(bucket, prefix=prefix, delimiter="/", max_keys=PAGE))
        keys = [row.key for row in rows if not row.is_prefix()]
        return keys, [row.key for row in rows if row.is_prefix()]

    def head(key: str) -> tuple[int, str, str, str]:
        found = bucket.head_object(key)
        return found.content_length, found.etag, found.content_type, found.headers["x-oss-meta-colour"]

    def exists(name: str) -> bool:
        try:
            vendor.of(name or BUCKET).get_bucket_info()
        except oss2.exceptions.NoSuchBucket:
            return False
        return True

    def tags(key: str) -> dict[str, str]:
        return dict(bucket.get_object_tagging(key).tag_set.tagging_rule)

    def resumable(key: str, path: str) -> None:
        store = oss2.ResumableStore(root=str(Path(path).parent))
        oss2.resumable_upload(bucket, key, path, store=store, multipart_threshold=MIB, part_size=MIB)

    yield shared(vendor, Oss2(account(at, WRONG_SECRET), auth)) | {
        "make_bucket": lambda name: vendor.of(name).create_bucket(
            oss2.BUCKET_ACL_PRIVATE, oss2.models.BucketCreateConfig("Standard")
        ),
        "remove_bucket": lambda name: vendor.of(name).delete_bucket(),
        "bucket_exists": exists,
        "put_meta": lambda key, data, content_type, colour: bucket.put_object(
            key, data, headers={"Content-Type": content_type, "x-oss-meta-colour": colour}
        ),
        "put_stream": lambda key, data: bucket.put_object(key, iter([data[:65_536], data[65_536:]])),
        "upload": from_file(resumable),
        "get_changed": lambda key, etag: bucket.get_object(key, headers={"If-None-Match": etag}).read(),
        "head": head,
        "list": lambda prefix: whole_listing(vendor, prefix, "", PAGE)[0],
        "list_v2": folders,
        "tag": lambda key, given: bucket.put_object_tagging(key, oss_tagging(given)),
        "tags": tags,
        "url_get": lambda key: bucket.sign_url("GET", key, EXPIRES_S),
        "url_put": lambda key: bucket.sign_url("PUT", key, EXPIRES_S),
        "score": lambda key: oss_score(bucket.get_object(key, process="image/score").read()),
    }


def oss_tagging(tags: dict[str, str]) -> Any:
    rule = oss2.models.TaggingRule()
    for name, value in tags.items():
        rule.add(name, value)
    return oss2.models.Tagging(rule)


def oss2_code(error: Exception) -> str | None:
    if not isinstance(error, oss2.exceptions.OssError):
        return None
    return str(error.code or error.status)


@contextmanager
def oss_v2_connected(at: Endpoint) -> Iterator[Calls]:
    vendor = OssV2(account(at, at.secret))
    yield shared(vendor, OssV2(account(at, WRONG_SECRET))) | oss_v2_buckets(vendor) | oss_v2_objects(vendor.client)


def oss_v2_buckets(vendor: OssV2) -> Calls:
    client = vendor.client

    def listed(prefix: str) -> list[str]:
        asked = oss_v2.ListObjectsRequest(bucket=BUCKET, prefix=prefix, max_keys=PAGE)
        pages = client.list_objects_paginator().iter_page(asked)
        return [str(row.key) for page in pages for row in page.contents or []]

    return {
        "make_bucket": lambda name: client.put_bucket(oss_v2.PutBucketRequest(bucket=name, acl="private")),
        "remove_bucket": lambda name: client.delete_bucket(oss_v2.DeleteBucketRequest(bucket=name)),
        "bucket_exists": lambda name: client.is_bucket_exist(name or BUCKET),
        "list": listed,
        "list_v2": lambda prefix: whole_listing(vendor, prefix, "/", PAGE),
    }


def oss_v2_objects(client: oss_v2.Client) -> Calls:
    def get(key: str, **options: str) -> bytes:
        asked = oss_v2.GetObjectRequest(bucket=BUCKET, key=key, **options)
        return bytes(client.get_object(asked).body.read())

    def put(key: str, body: Any, **options: Any) -> None:
        client.put_object(oss_v2.PutObjectRequest(bucket=BUCKET, key=key, body=body, **options))

    def head(key: str) -> tuple[int, str, str, str]:
        found = client.head_object(oss_v2.HeadObjectRequest(bucket=BUCKET, key=key))
        return found.content_length, found.etag, found.content_type, found.metadata["colour"]

    def upload(key: str, data: bytes) -> None:
        asked = oss_v2.PutObjectRequest(bucket=BUCKET, key=key)
        client.uploader(part_size=MIB).upload_from(asked, io.BytesIO(data))

    def tag(key: str, tags: dict[str, str]) -> None:
        rows = oss_v2.TagSet(tags=[oss_v2.Tag(key=name, value=value) for name, value in tags.items()])
        asked = oss_v2.PutObjectTaggingRequest(bucket=BUCKET, key=key, tagging=oss_v2.Tagging(tag_set=rows))
        client.put_object_tagging(asked)

    def tags(key: str) -> dict[str, str]:
        found = client.get_object_tagging(oss_v2.GetObjectTaggingRequest(bucket=BUCKET, key=key))
        return {row.key: row.value for row in found.tag_set.tags}

    def signed(asked: Any) -> str:
        return str(client.presign(asked).url)

    return {
        "put_meta": lambda key, data, content_type, colour: put(
            key, data, content_type=content_type, metadata={"colour": colour}
        ),
        "put_stream": lambda key, data: put(key, iter([data[:65_536], data[65_536:]])),
        "upload": upload,
        "get_changed": lambda key, etag: get(key, if_none_match=etag),
        "head": head,
        "tag": tag,
        "tags": tags,
        "url_get": lambda key: signed(oss_v2.GetObjectRequest(bucket=BUCKET, key=key)),
        "url_put": lambda key: signed(oss_v2.PutObjectRequest(bucket=BUCKET, key=key)),
        "score": lambda key: oss_score(get(key, process="image/score")),
    }


def oss_v2_code(error: Exception) -> str | None:
    if not isinstance(error, oss_v2.exceptions.OperationError):
        return None
    inner = error.unwrap()
    if not isinstance(inner, oss_v2.exceptions.ServiceError):
        return type(inner).__name__
    return str(inner.status_code if inner.code == "BadErrorResponse" else inner.code)


@contextmanager
def cos_connected(at: Endpoint) -> Iterator[Calls]:
    vendor = Cos(account(at, at.secret))
    client, of = vendor.client, {"Bucket": COS_BUCKET}

    def head(key: str) -> tuple[int, str, str, str]:
        found = client.head_object(**of, Key=key)
        return int(found["Content-Length"]), found["ETag"], found["Content-Type"], found["x-cos-meta-colour"]

    def get_changed(key: str, etag: str) -> bytes:
        return bytes(client.get_object(**of, Key=key, IfNoneMatch=etag)["Body"].get_raw_stream().read())

    def signed(method: str, key: str) -> str:
        return str(client.get_presigned_url(COS_BUCKET, key, method, Expired=EXPIRES_S))

    def tag(key: str, tags: dict[str, str]) -> None:
        rows = [{"Key": name, "Value": value} for name, value in tags.items()]
        client.put_object_tagging(**of, Key=key, Tagging={"TagSet": {"Tag": rows}})

    yield shared(vendor, Cos(account(at, WRONG_SECRET))) | {
        "make_bucket": lambda name: client.create_bucket(Bucket=name),
        "remove_bucket": lambda name: client.delete_bucket(Bucket=name),
        "bucket_exists": lambda name: client.bucket_exists(name or COS_BUCKET),
        "put_meta": lambda key, data, content_type, colour: client.put_object(
            **of, Key=key, Body=data, ContentType=content_type, Metadata={"x-cos-meta-colour": colour}
        ),
        "put_stream": lambda key, data: client.put_object(**of, Key=key, Body=iter([data[:65_536], data[65_536:]])),
        "upload": from_file(lambda key, path: client.upload_file(COS_BUCKET, key, path, PartSize=1)),
        "get_changed": get_changed,
        "head": head,
        "list": lambda prefix: whole_listing(vendor, prefix, "", PAGE)[0],
        "tag": tag,
        "tags": lambda key: {
            row["Key"]: row["Value"] for row in client.get_object_tagging(**of, Key=key)["TagSet"].get("Tag", [])
        },
        "url_get": partial(signed, "GET"),
        "url_put": partial(signed, "PUT"),
        "score": lambda key: int(client.ci_image_assess_quality(**of, Key=key)["ClarityScore"]) / 100,
    }


def cos_code(error: Exception) -> str | None:
    return str(error.get_error_code()) if isinstance(error, CosServiceError) else None


OSS2_V1 = Client("oss2 V1", "oss", lambda: version("oss2"), partial(oss2_connected, oss2.Auth), oss2_code)
OSS2_V4 = Client("oss2 V4", "oss", lambda: version("oss2"), partial(oss2_connected, oss2.AuthV4), oss2_code)
OSS_V2 = Client("alibabacloud-oss-v2", "oss", lambda: version("alibabacloud-oss-v2"), oss_v2_connected, oss_v2_code)
COS_PYTHON = Client("cos-python", "cos", lambda: version("cos-python-sdk-v5"), cos_connected, cos_code)
