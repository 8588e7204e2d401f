"""Aliyun's two Python SDKs: each call made the way their users make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import alibabacloud_oss_v2 as oss_v2
import oss2

from tests.sdk.vendor_calls import Page, bare
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.live_clients import Account


class Oss2:
    def __init__(self, account: Account, auth: type) -> None:
        self._account, self._auth = account, auth(account.key_id, account.secret)
        self.bucket = self.of(BUCKET)

    def of(self, name: str) -> oss2.Bucket:
        return oss2.Bucket(self._auth, self._account.http, name, region="cn-hangzhou")

    def put(self, key: str, data: bytes) -> str:
        return str(self.bucket.put_object(key, data).etag).lower()

    def get(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        return bytes(self.bucket.get_object(key, byte_range=(start, end)).read())

    def meta(self, key: str) -> tuple[int, str, str]:
        found = self.bucket.head_object(key)
        return found.content_length, found.etag, found.headers.get("x-oss-meta-colour", "")

    def exists(self, key: str) -> bool:
        return bool(self.bucket.object_exists(key))

    def copy(self, source: str, key: str) -> str:
        return str(self.bucket.copy_object(BUCKET, source, key).etag)

    def page(self, prefix: str = "", delimiter: str = "", marker: str = "", most: int = 100) -> Page:
        found = self.bucket.list_objects(prefix, delimiter, marker, most)
        assert all(row.type == "Normal" and row.storage_class == "Standard" for row in found.object_list)
        return Page([row.key for row in found.object_list], list(found.prefix_list), found.next_marker or "")

    def delete(self, key: str) -> None:
        self.bucket.delete_object(key)

    def delete_all(self, keys: list[str], *, quiet: bool = False) -> list[str]:
        if quiet:
            document = oss2.xml_utils.to_batch_delete_objects_request(keys, True)  # noqa: FBT003 # the SDK's own
            headers = {"Content-MD5": oss2.utils.content_md5(document)}
            answer = self.bucket._do(
                "POST", BUCKET, "", params={"delete": ""}, headers=headers, data=document
            )  # the SDK has no quiet call
            return list(
                oss2.xml_utils.parse_batch_delete_objects(
                    oss2.models.BatchDeleteObjectsResult(answer), answer.read()
                ).deleted_keys
            )
        return list(self.bucket.batch_delete_objects(keys).deleted_keys)

    def acl(self, key: str) -> str:
        return str(self.bucket.get_object_acl(key).acl)

    def bucket_acl(self) -> str:
        info = self.bucket.get_bucket_info()
        assert (info.name, info.storage_class) == (BUCKET, "Standard")
        assert info.acl.grant == self.bucket.get_bucket_acl().acl
        return str(info.acl.grant)

    def put_once(self, key: str, data: bytes) -> None:
        self.bucket.put_object(key, data, headers={"x-oss-forbid-overwrite": "true"})

    def copy_once(self, source: str, key: str) -> None:
        self.bucket.copy_object(BUCKET, source, key, headers={"x-oss-forbid-overwrite": "true"})

    def begin(self, key: str) -> str:
        return str(self.bucket.init_multipart_upload(key).upload_id)

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        return str(self.bucket.upload_part(key, upload, number, data).etag)

    def copy_part(self, key: str, upload: str, number: int, source: str) -> str:
        return str(self.bucket.upload_part_copy(BUCKET, source, None, key, upload, number).etag)

    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]:
        rows = oss2.PartIterator(self.bucket, key, upload, max_parts=1)
        return [(row.part_number, row.etag, row.size) for row in rows]

    def uploads(self, prefix: str) -> list[tuple[str, str]]:
        rows = oss2.MultipartUploadIterator(self.bucket, prefix=prefix, max_uploads=1)
        return [(row.key, row.upload_id) for row in rows]

    def complete(self, key: str, upload: str, parts: list[tuple[int, str]]) -> str:
        rows = [oss2.models.PartInfo(number, etag) for number, etag in parts]
        return str(self.bucket.complete_multipart_upload(key, upload, rows).etag)

    def abort(self, key: str, upload: str) -> None:
        self.bucket.abort_multipart_upload(key, upload)

    def buckets(self) -> list[str]:
        service = oss2.Service(self._auth, self._account.http, region="cn-hangzhou")
        return [row.name for row in oss2.BucketIterator(service, max_keys=1)]

    def location(self) -> str:
        return str(self.bucket.get_bucket_location().location)

    def code(self, call: Callable[[], object]) -> str:
        try:
            call()
        except oss2.exceptions.OssError as error:
            return str(error.code)
        return ""


class OssV2:
    def __init__(self, account: Account) -> None:
        config = oss_v2.config.load_default()
        config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(account.key_id, account.secret)
        config.region, config.endpoint, config.retry_max_attempts = "cn-hangzhou", account.http, 1
        self.client = oss_v2.Client(config)

    def put(self, key: str, data: bytes) -> str:
        asked = oss_v2.PutObjectRequest(bucket=BUCKET, key=key, body=data)
        return bare(self.client.put_object(asked).etag)

    def get(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        span = None if start is None else f"bytes={start}-{end}"
        return bytes(
            self.client.get_object(oss_v2.GetObjectRequest(bucket=BUCKET, key=key, range_header=span)).body.read()
        )

    def meta(self, key: str) -> tuple[int, str, str]:
        found = self.client.head_object(oss_v2.HeadObjectRequest(bucket=BUCKET, key=key))
        return int(found.content_length or 0), bare(found.etag), (found.metadata or {}).get("colour", "")

    def exists(self, key: str) -> bool:
        assert self.client.is_bucket_exist(BUCKET)
        return bool(self.client.is_object_exist(BUCKET, key))

    def copy(self, source: str, key: str) -> str:
        asked = oss_v2.CopyObjectRequest(bucket=BUCKET, key=key, source_bucket=BUCKET, source_key=source)
        return bare(self.client.copy_object(asked).etag)

    def page(self, prefix: str = "", delimiter: str = "", marker: str = "", most: int = 100) -> Page:
        asked = oss_v2.ListObjectsV2Request(
            bucket=BUCKET, prefix=prefix, delimiter=delimiter, continuation_token=marker or None, max_keys=most
        )
        found = self.client.list_objects_v2(asked)
        rows, prefixes = found.contents or [], found.common_prefixes or []
        token = found.next_continuation_token if found.is_truncated else ""
        return Page([str(row.key) for row in rows], [str(row.prefix) for row in prefixes], token or "")

    def delete(self, key: str) -> None:
        self.client.delete_object(oss_v2.DeleteObjectRequest(bucket=BUCKET, key=key))

    def delete_all(self, keys: list[str], *, quiet: bool = False) -> list[str]:
        objects = [oss_v2.DeleteObject(key=key) for key in keys]
        asked = oss_v2.DeleteMultipleObjectsRequest(bucket=BUCKET, objects=objects, quiet=quiet, encoding_type="url")
        return [str(row.key) for row in self.client.delete_multiple_objects(asked).deleted_objects or []]

    def acl(self, key: str) -> str:
        return str(self.client.get_object_acl(oss_v2.GetObjectAclRequest(bucket=BUCKET, key=key)).acl)

    def bucket_acl(self) -> str:
        info = self.client.get_bucket_info(oss_v2.GetBucketInfoRequest(bucket=BUCKET)).bucket_info
        assert info is not None
        assert info.name == BUCKET
        return str(self.client.get_bucket_acl(oss_v2.GetBucketAclRequest(bucket=BUCKET)).acl)

    def put_once(self, key: str, data: bytes) -> None:
        self.client.put_object(oss_v2.PutObjectRequest(bucket=BUCKET, key=key, body=data, forbid_overwrite=True))

    def copy_once(self, source: str, key: str) -> None:
        asked = oss_v2.CopyObjectRequest(
            bucket=BUCKET, key=key, source_bucket=BUCKET, source_key=source, forbid_overwrite=True
        )
        self.client.copy_object(asked)

    def begin(self, key: str) -> str:
        asked = oss_v2.InitiateMultipartUploadRequest(bucket=BUCKET, key=key)
        found = self.client.initiate_multipart_upload(asked)
        assert (found.bucket, found.key) == (BUCKET, key)
        return str(found.upload_id)

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        asked = oss_v2.UploadPartRequest(bucket=BUCKET, key=key, upload_id=upload, part_number=number, body=data)
        return bare(self.client.upload_part(asked).etag)

    def copy_part(self, key: str, upload: str, number: int, source: str) -> str:
        asked = oss_v2.UploadPartCopyRequest(
            bucket=BUCKET, key=key, upload_id=upload, part_number=number, source_bucket=BUCKET, source_key=source
        )
        return bare(self.client.upload_part_copy(asked).etag)

    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]:
        asked = oss_v2.ListPartsRequest(bucket=BUCKET, key=key, upload_id=upload, max_parts=1)
        pages = self.client.list_parts_paginator().iter_page(asked)
        return [
            (int(row.part_number or 0), bare(row.etag), int(row.size or 0))
            for page in pages
            for row in page.parts or []
        ]

    def uploads(self, prefix: str) -> list[tuple[str, str]]:
        asked = oss_v2.ListMultipartUploadsRequest(bucket=BUCKET, prefix=prefix, max_uploads=1)
        pages = self.client.list_multipart_uploads_paginator().iter_page(asked)
        return [(str(row.key), str(row.upload_id)) for page in pages for row in page.uploads or []]

    def complete(self, key: str, upload: str, parts: list[tuple[int, str]]) -> str:
        rows = [oss_v2.UploadPart(part_number=number, etag=etag) for number, etag in parts]
        asked = oss_v2.CompleteMultipartUploadRequest(
            bucket=BUCKET,
            key=key,
            upload_id=upload,
            complete_multipart_upload=oss_v2.CompleteMultipartUpload(parts=rows),
        )
        found = self.client.complete_multipart_upload(asked)
        assert (found.bucket, found.key) == (BUCKET, key)
        return bare(found.etag)

    def abort(self, key: str, upload: str) -> None:
        self.client.abort_multipart_upload(oss_v2.AbortMultipartUploadRequest(bucket=BUCKET, key=key, upload_id=upload))

    def buckets(self) -> list[str]:
        pages = self.client.list_buckets_paginator().iter_page(oss_v2.ListBucketsRequest(max_keys=1))
        return [str(row.name) for page in pages for row in page.buckets or []]

    def location(self) -> str:
        return str(self.client.get_bucket_location(oss_v2.GetBucketLocationRequest(bucket=BUCKET)).location)

    def code(self, call: Callable[[], object]) -> str:
        try:
            call()
        except oss_v2.exceptions.OperationError as error:
            inner = error.unwrap()
            return str(inner.code) if isinstance(inner, oss_v2.exceptions.ServiceError) else repr(inner)
        return ""
