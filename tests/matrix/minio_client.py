"""minio-py's row of the matrix."""

from __future__ import annotations

import io
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import urllib3
from minio import Minio
from minio.commonconfig import CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from tests.matrix.clients import EXPIRES_S, PART_BYTES, WRONG_SECRET, Client, Endpoint
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.matrix.clients import Calls


def code(error: Exception) -> str | None:
    if isinstance(error, S3Error):
        return str(error.code)
    if isinstance(error, InvalidResponseError):  # what it makes of an answer without a document
        return str(error._code)
    return str(error.status_code) if isinstance(error, ServerError) else None


def client(at: Endpoint, secret: str) -> Minio:
    no_retries = urllib3.PoolManager(retries=False)
    return Minio(at.authority, at.key_id, secret, secure=False, http_client=no_retries)


@contextmanager
def connected(at: Endpoint) -> Iterator[Calls]:
    minio = client(at, at.secret)
    yield of_buckets(minio) | getting(minio, client(at, WRONG_SECRET)) | changing(minio)


def of_buckets(minio: Minio) -> Calls:
    def folders(prefix: str) -> tuple[list[str], list[str]]:
        rows = list(minio.list_objects(BUCKET, prefix))
        keys = [str(row.object_name) for row in rows if not row.is_dir]
        return keys, [str(row.object_name) for row in rows if row.is_dir]

    return {
        "buckets": lambda: [row.name for row in minio.list_buckets()],
        "make_bucket": minio.make_bucket,
        "remove_bucket": minio.remove_bucket,
        "bucket_exists": lambda name: minio.bucket_exists(name or BUCKET),
        "list": lambda prefix: [
            row.object_name for row in minio.list_objects(BUCKET, prefix, recursive=True, use_api_v1=True)
        ],
        "list_v2": folders,
    }


def getting(minio: Minio, impostor: Minio) -> Calls:
    def get(key: str, offset: int = 0, length: int = 0, headers: Any = None) -> bytes:
        with minio.get_object(BUCKET, key, offset, length, request_headers=headers) as answer:
            return bytes(answer.read())

    def head(key: str) -> tuple[int | None, str | None, str | None, str]:
        found = minio.stat_object(BUCKET, key)
        metadata = found.metadata or {}
        return found.size, found.etag, found.content_type, str(metadata["x-amz-meta-colour"])

    expires = timedelta(seconds=EXPIRES_S)
    return {
        "get": get,
        "get_range": lambda key, first, last: get(key, first, last - first + 1),
        "get_changed": lambda key, etag: get(key, headers={"If-None-Match": etag}),
        "get_wrongly": lambda key: impostor.get_object(BUCKET, key),
        "head": head,
        "tags": lambda key: dict(minio.get_object_tags(BUCKET, key) or {}),
        "url_get": lambda key: minio.presigned_get_object(BUCKET, key, expires),
        "url_put": lambda key: minio.presigned_put_object(BUCKET, key, expires),
    }


def changing(minio: Minio) -> Calls:
    def delete_all(keys: list[str]) -> None:
        assert not list(minio.remove_objects(BUCKET, [DeleteObject(key) for key in keys]))

    def tag(key: str, tags: dict[str, str]) -> None:
        rows = Tags.new_object_tags()
        rows.update(tags)
        minio.set_object_tags(BUCKET, key, rows)

    return {
        "put": lambda key, data: minio.put_object(BUCKET, key, io.BytesIO(data), len(data)),
        "put_meta": lambda key, data, content_type, colour: minio.put_object(
            BUCKET, key, io.BytesIO(data), len(data), content_type, {"colour": colour}
        ),
        "put_stream": lambda key, data: minio.put_object(BUCKET, key, io.BytesIO(data), -1, part_size=PART_BYTES),
        "upload": lambda key, data: minio.put_object(BUCKET, key, io.BytesIO(data), len(data), part_size=PART_BYTES),
        "copy": lambda source, key: minio.copy_object(BUCKET, key, CopySource(BUCKET, source)),
        "delete": lambda key: minio.remove_object(BUCKET, key),
        "delete_all": delete_all,
        "tag": tag,
    }


MINIO_PY = Client("minio-py", "s3", lambda: version("minio"), connected, code)
