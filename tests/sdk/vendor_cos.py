"""Tencent's Python SDK: each call made the way its users make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosServiceError

from tests.sdk.vendor_calls import Page, bare
from tests.stores_up.fixtures import COS_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.live_clients import Account

REGION = "ap-beijing"


class Cos:
    def __init__(self, account: Account) -> None:
        # Behind its proxy option it uses the vendor's own host names, which nobody needs to resolve.
        config = CosConfig(
            Region=REGION,
            SecretId=account.key_id,
            SecretKey=account.secret,
            Scheme="http",
            Proxies={"http": account.http},
        )
        self.client: Any = CosS3Client(config, retry=0)
        self._of = {"Bucket": COS_BUCKET}

    def _source(self, key: str) -> dict[str, str]:
        return {"Bucket": COS_BUCKET, "Key": key, "Region": REGION}

    def put(self, key: str, data: bytes) -> str:
        return bare(self.client.put_object(**self._of, Key=key, Body=data)["ETag"])

    def get(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        span = {} if start is None else {"Range": f"bytes={start}-{end}"}
        answer = self.client.get_object(**self._of, Key=key, **span)
        return bytes(answer["Body"].get_raw_stream().read())

    def meta(self, key: str) -> tuple[int, str, str]:
        found = self.client.head_object(**self._of, Key=key)
        return int(found["Content-Length"]), bare(found["ETag"]), found.get("x-cos-meta-colour", "")

    def exists(self, key: str) -> bool:
        assert self.client.bucket_exists(COS_BUCKET)
        return bool(self.client.object_exists(COS_BUCKET, key))

    def copy(self, source: str, key: str) -> str:
        return bare(self.client.copy_object(**self._of, Key=key, CopySource=self._source(source))["ETag"])

    def page(self, prefix: str = "", delimiter: str = "", marker: str = "", most: int = 100) -> Page:
        found = self.client.list_objects(**self._of, Prefix=prefix, Delimiter=delimiter, Marker=marker, MaxKeys=most)
        assert all(row["StorageClass"] == "STANDARD" for row in found.get("Contents", []))
        assert (found["Name"], found["Prefix"] or "") == (COS_BUCKET, prefix)
        keys = [row["Key"] for row in found.get("Contents", [])]
        prefixes = [row["Prefix"] for row in found.get("CommonPrefixes", [])]
        return Page(keys, prefixes, found["NextMarker"] if found["IsTruncated"] == "true" else "")

    def delete(self, key: str) -> None:
        self.client.delete_object(**self._of, Key=key)

    def delete_all(self, keys: list[str], *, quiet: bool = False) -> list[str]:
        wanted = {"Object": [{"Key": key} for key in keys], "Quiet": str(quiet).lower()}
        return [row["Key"] for row in self.client.delete_objects(**self._of, Delete=wanted).get("Deleted", [])]

    def acl(self, key: str) -> str:
        return str(self.client.get_object_acl(**self._of, Key=key)["CannedACL"])

    def bucket_acl(self) -> str:
        return str(self.client.get_bucket_acl(**self._of)["CannedACL"])

    def put_once(self, key: str, data: bytes) -> None:
        self.client.put_object(**self._of, Key=key, Body=data, Metadata={"x-cos-forbid-overwrite": "true"})

    def copy_once(self, source: str, key: str) -> None:
        once = {"x-cos-forbid-overwrite": "true"}
        self.client.copy_object(**self._of, Key=key, CopySource=self._source(source), Metadata=once)

    def begin(self, key: str) -> str:
        return str(self.client.create_multipart_upload(**self._of, Key=key)["UploadId"])

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        return bare(self.client.upload_part(**self._of, Key=key, Body=data, PartNumber=number, UploadId=upload)["ETag"])

    def copy_part(self, key: str, upload: str, number: int, source: str) -> str:
        whole = f"bytes=0-{self.meta(source)[0] - 1}"
        found = self.client.upload_part_copy(
            **self._of,
            Key=key,
            PartNumber=number,
            UploadId=upload,
            CopySource=self._source(source),
            CopySourceRange=whole,
        )
        return bare(found["ETag"])

    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]:
        rows: list[Any] = []
        marker = "0"
        while True:
            found = self.client.list_parts(**self._of, Key=key, UploadId=upload, MaxParts=1, PartNumberMarker=marker)
            rows, marker = rows + found.get("Part", []), found["NextPartNumberMarker"]
            if found["IsTruncated"] == "false":
                return [(int(row["PartNumber"]), bare(row["ETag"]), int(row["Size"])) for row in rows]

    def uploads(self, prefix: str) -> list[tuple[str, str]]:
        rows: list[Any] = []
        markers = {"KeyMarker": "", "UploadIdMarker": ""}
        while True:
            found = self.client.list_multipart_uploads(**self._of, Prefix=prefix, MaxUploads=1, **markers)
            rows += found.get("Upload", [])
            markers = {"KeyMarker": found["NextKeyMarker"] or "", "UploadIdMarker": found["NextUploadIdMarker"] or ""}
            if found["IsTruncated"] == "false":
                return [(row["Key"], row["UploadId"]) for row in rows]

    def complete(self, key: str, upload: str, parts: list[tuple[int, str]]) -> str:
        rows = {"Part": [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in parts]}
        found = self.client.complete_multipart_upload(**self._of, Key=key, UploadId=upload, MultipartUpload=rows)
        assert (found["Bucket"], found["Key"]) == (COS_BUCKET, key)
        return bare(found["ETag"])

    def abort(self, key: str, upload: str) -> None:
        self.client.abort_multipart_upload(**self._of, Key=key, UploadId=upload)

    def buckets(self) -> list[str]:
        found = self.client.list_buckets()["Buckets"]
        rows = found["Bucket"]
        return [row["Name"] for row in (rows if isinstance(rows, list) else [rows])]

    def location(self) -> str:
        return str(self.client.get_bucket_location(**self._of)["LocationConstraint"])

    def code(self, call: Callable[[], object]) -> str:
        try:
            call()
        except CosServiceError as error:
            return str(error.get_error_code())
        return ""
