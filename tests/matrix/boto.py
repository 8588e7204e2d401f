"""boto3's row of the matrix."""

from __future__ import annotations

import io
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.boto import s3_client
from tests.matrix.clients import EXPIRES_S, PART_BYTES, WRONG_SECRET, Client, Endpoint
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.matrix.clients import Calls

OF = {"Bucket": BUCKET}


def code(error: Exception) -> str | None:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else None


def client(at: Endpoint, secret: str) -> Any:
    return s3_client(at.url, at.key_id, secret)


@contextmanager
def connected(at: Endpoint) -> Iterator[Calls]:
    s3 = client(at, at.secret)
    yield of_buckets(s3) | of_objects(s3, client(at, WRONG_SECRET)) | of_uploads(s3)


def of_buckets(s3: Any) -> Calls:
    def exists(name: str) -> bool:
        try:
            s3.head_bucket(Bucket=name or BUCKET)
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return False
            raise
        return True

    def pages(operation: str, prefix: str, **options: str) -> list[Any]:
        paginator = s3.get_paginator(operation)
        return list(paginator.paginate(**OF, Prefix=prefix, **options, PaginationConfig={"PageSize": 2}))

    def folders(prefix: str) -> tuple[list[str], list[str]]:
        found = pages("list_objects_v2", prefix, Delimiter="/")
        keys = [row["Key"] for page in found for row in page.get("Contents", [])]
        return keys, [row["Prefix"] for page in found for row in page.get("CommonPrefixes", [])]

    return {
        "buckets": lambda: [row["Name"] for row in s3.list_buckets()["Buckets"]],
        "make_bucket": lambda name: s3.create_bucket(Bucket=name),
        "remove_bucket": lambda name: s3.delete_bucket(Bucket=name),
        "bucket_exists": exists,
        "location": lambda: s3.get_bucket_location(**OF)["LocationConstraint"],
        "bucket_acl": lambda: [row["Permission"] for row in s3.get_bucket_acl(**OF)["Grants"]],
        "list": lambda prefix: [
            row["Key"] for page in pages("list_objects", prefix) for row in page.get("Contents", [])
        ],
        "list_v2": folders,
        "uploads": lambda prefix: [
            (row["Key"], row["UploadId"])
            for page in pages("list_multipart_uploads", prefix)
            for row in page.get("Uploads", [])
        ],
    }


def of_objects(s3: Any, impostor: Any) -> Calls:
    def head(key: str) -> tuple[int, str, str, str]:
        found = s3.head_object(**OF, Key=key)
        return found["ContentLength"], found["ETag"], found["ContentType"], found["Metadata"]["colour"]

    def upload(key: str, data: bytes) -> None:
        config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)
        s3.upload_fileobj(io.BytesIO(data), BUCKET, key, Config=config)

    def tag(key: str, tags: dict[str, str]) -> None:
        rows = [{"Key": name, "Value": value} for name, value in tags.items()]
        s3.put_object_tagging(**OF, Key=key, Tagging={"TagSet": rows})

    def signed(method: str, key: str) -> str:
        return str(s3.generate_presigned_url(method, {**OF, "Key": key}, ExpiresIn=EXPIRES_S))

    return {
        "put": lambda key, data: s3.put_object(**OF, Key=key, Body=data),
        "put_meta": lambda key, data, content_type, colour: s3.put_object(
            **OF, Key=key, Body=data, ContentType=content_type, Metadata={"colour": colour}
        ),
        "put_once": lambda key, data: s3.put_object(**OF, Key=key, Body=data, IfNoneMatch="*"),
        "upload": upload,
        "get": lambda key: s3.get_object(**OF, Key=key)["Body"].read(),
        "get_range": lambda key, first, last: s3.get_object(**OF, Key=key, Range=f"bytes={first}-{last}")[
            "Body"
        ].read(),
        "get_changed": lambda key, etag: s3.get_object(**OF, Key=key, IfNoneMatch=etag)["Body"].read(),
        "get_wrongly": lambda key: impostor.get_object(**OF, Key=key),
        "head": head,
        "copy": lambda source, key: s3.copy_object(**OF, Key=key, CopySource={**OF, "Key": source}),
        "delete": lambda key: s3.delete_object(**OF, Key=key),
        "delete_all": lambda keys: s3.delete_objects(**OF, Delete={"Objects": [{"Key": key} for key in keys]}),
        "acl": lambda key: [row["Permission"] for row in s3.get_object_acl(**OF, Key=key)["Grants"]],
        "tag": tag,
        "tags": lambda key: {row["Key"]: row["Value"] for row in s3.get_object_tagging(**OF, Key=key)["TagSet"]},
        "url_get": lambda key: signed("get_object", key),
        "url_put": lambda key: signed("put_object", key),
    }


def of_uploads(s3: Any) -> Calls:
    def at(key: str, upload: str) -> dict[str, str]:
        return {**OF, "Key": key, "UploadId": upload}

    def complete(key: str, upload: str, parts: list[tuple[int, str]]) -> None:
        rows = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        s3.complete_multipart_upload(**at(key, upload), MultipartUpload={"Parts": rows})

    return {
        "begin": lambda key: s3.create_multipart_upload(**OF, Key=key)["UploadId"],
        "part": lambda key, upload, number, data: s3.upload_part(**at(key, upload), PartNumber=number, Body=data)[
            "ETag"
        ],
        "copy_part": lambda key, upload, number, source: s3.upload_part_copy(
            **at(key, upload), PartNumber=number, CopySource={**OF, "Key": source}
        ),
        "complete": complete,
        "parts": lambda key, upload: [
            (row["PartNumber"], row["ETag"], row["Size"]) for row in s3.list_parts(**at(key, upload))["Parts"]
        ],
        "abort": lambda key, upload: s3.abort_multipart_upload(**at(key, upload)),
    }


BOTO3 = Client("boto3", "s3", lambda: version("boto3"), connected, code)
