"""aioboto3's row of the matrix, made in an environment of its own: it cannot share the gateway's aiobotocore."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import aioboto3  # type: ignore[import-not-found] # another environment's
from botocore.exceptions import ClientError
from lines import serve  # type: ignore[import-not-found] # beside this file
from s3transfer.manager import TransferConfig  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Asked = dict[str, Callable[..., Coroutine[Any, Any, Any]]]

PART_BYTES = 5 * 1024 * 1024
GIVEN = json.loads(sys.argv[1])
OF = {"Bucket": GIVEN["bucket"]}


def code(error: Exception) -> str | None:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else None


def of_buckets(s3: Any) -> Asked:  # noqa: C901 # a flat table
    async def pages(operation: str, prefix: str, **options: str) -> list[Any]:
        paginator = s3.get_paginator(operation)
        asked = paginator.paginate(**OF, Prefix=prefix, **options, PaginationConfig={"PageSize": 2})
        return [page async for page in asked]

    async def buckets() -> list[str]:
        return [row["Name"] for row in (await s3.list_buckets())["Buckets"]]

    async def make_bucket(name: str) -> None:
        await s3.create_bucket(Bucket=name)

    async def remove_bucket(name: str) -> None:
        await s3.delete_bucket(Bucket=name)

    async def bucket_exists(name: str) -> bool:
        try:
            await s3.head_bucket(Bucket=name or GIVEN["bucket"])
        except ClientError as error:
            if code(error) == "404":
                return False
            raise
        return True

    async def location() -> str | None:
        found: str | None = (await s3.get_bucket_location(**OF))["LocationConstraint"]
        return found

    async def list_v1(prefix: str) -> list[str]:
        return [row["Key"] for page in await pages("list_objects", prefix) for row in page.get("Contents", [])]

    async def list_v2(prefix: str) -> tuple[list[str], list[str]]:
        found = await pages("list_objects_v2", prefix, Delimiter="/")
        keys = [row["Key"] for page in found for row in page.get("Contents", [])]
        return keys, [row["Prefix"] for page in found for row in page.get("CommonPrefixes", [])]

    async def uploads(prefix: str) -> list[tuple[str, str]]:
        found = await pages("list_multipart_uploads", prefix)
        return [(row["Key"], row["UploadId"]) for page in found for row in page.get("Uploads", [])]

    named = (buckets, make_bucket, remove_bucket, bucket_exists, location, list_v2, uploads)
    return {call.__name__: call for call in named} | {"list": list_v1}


def of_objects(s3: Any, impostor: Any) -> Asked:  # noqa: C901 # a flat table
    async def got(**options: str) -> bytes:
        answer = await s3.get_object(**OF, **options)
        async with answer["Body"] as body:
            return bytes(await body.read())

    async def get(key: str) -> bytes:
        await s3.download_fileobj(GIVEN["bucket"], key, data := io.BytesIO())  # aioboto3's own code
        return data.getvalue()

    async def head(key: str) -> tuple[int, str, str, str]:
        found = await s3.head_object(**OF, Key=key)
        return found["ContentLength"], found["ETag"], found["ContentType"], found["Metadata"]["colour"]

    async def put(key: str, data: bytes) -> None:
        await s3.put_object(**OF, Key=key, Body=data)

    async def put_meta(key: str, data: bytes, content_type: str, colour: str) -> None:
        await s3.put_object(**OF, Key=key, Body=data, ContentType=content_type, Metadata={"colour": colour})

    async def put_once(key: str, data: bytes) -> None:
        await s3.put_object(**OF, Key=key, Body=data, IfNoneMatch="*")

    async def upload(key: str, data: bytes) -> None:
        config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)
        await s3.upload_fileobj(io.BytesIO(data), GIVEN["bucket"], key, Config=config)  # aioboto3's own code

    async def copy(source: str, key: str) -> None:
        await s3.copy_object(**OF, Key=key, CopySource={**OF, "Key": source})

    async def delete(key: str) -> None:
        await s3.delete_object(**OF, Key=key)

    async def delete_all(keys: list[str]) -> None:
        await s3.delete_objects(**OF, Delete={"Objects": [{"Key": key} for key in keys]})

    async def acl(key: str) -> list[str]:
        return [row["Permission"] for row in (await s3.get_object_acl(**OF, Key=key))["Grants"]]

    async def tag(key: str, tags: dict[str, str]) -> None:
        rows = [{"Key": name, "Value": value} for name, value in tags.items()]
        await s3.put_object_tagging(**OF, Key=key, Tagging={"TagSet": rows})

    async def tags(key: str) -> dict[str, str]:
        return {row["Key"]: row["Value"] for row in (await s3.get_object_tagging(**OF, Key=key))["TagSet"]}

    async def signed(method: str, key: str) -> str:
        return str(await s3.generate_presigned_url(method, {**OF, "Key": key}, ExpiresIn=600))

    named = (get, head, put, put_meta, put_once, upload, copy, delete, delete_all, acl, tag, tags)
    return {call.__name__: call for call in named} | {
        "get_range": lambda key, first, last: got(Key=key, Range=f"bytes={first}-{last}"),
        "get_changed": lambda key, etag: got(Key=key, IfNoneMatch=etag),
        "get_wrongly": lambda key: impostor.get_object(**OF, Key=key),
        "url_get": lambda key: signed("get_object", key),
        "url_put": lambda key: signed("put_object", key),
    }


def of_uploads(s3: Any) -> Asked:
    def at(key: str, upload: str) -> dict[str, str]:
        return {**OF, "Key": key, "UploadId": upload}

    async def begin(key: str) -> str:
        return str((await s3.create_multipart_upload(**OF, Key=key))["UploadId"])

    async def part(key: str, upload: str, number: int, data: bytes) -> str:
        return str((await s3.upload_part(**at(key, upload), PartNumber=number, Body=data))["ETag"])

    async def copy_part(key: str, upload: str, number: int, source: str) -> None:
        await s3.upload_part_copy(**at(key, upload), PartNumber=number, CopySource={**OF, "Key": source})

    async def complete(key: str, upload: str, parts: list[tuple[int, str]]) -> None:
        rows = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        await s3.complete_multipart_upload(**at(key, upload), MultipartUpload={"Parts": rows})

    async def parts(key: str, upload: str) -> list[tuple[int, str, int]]:
        rows = (await s3.list_parts(**at(key, upload)))["Parts"]
        return [(row["PartNumber"], row["ETag"], row["Size"]) for row in rows]

    async def abort(key: str, upload: str) -> None:
        await s3.abort_multipart_upload(**at(key, upload))

    return {call.__name__: call for call in (begin, part, copy_part, complete, parts, abort)}


async def connected(wrong_secret: str = "") -> Any:
    session = aioboto3.Session(GIVEN["key_id"], wrong_secret or GIVEN["secret"], region_name="us-east-1")
    return await session.client("s3", endpoint_url=GIVEN["endpoint"]).__aenter__()


def main() -> None:
    with asyncio.Runner() as runner:
        s3, impostor = runner.run(connected()), runner.run(connected(GIVEN["wrong_secret"]))
        calls = of_buckets(s3) | of_objects(s3, impostor) | of_uploads(s3)

        def blocking(name: str) -> Callable[..., Any]:
            return lambda *arguments: runner.run(calls[name](*arguments))

        serve({name: blocking(name) for name in calls}, code)
        runner.run(s3.close())
        runner.run(impostor.close())


if __name__ == "__main__":
    main()
