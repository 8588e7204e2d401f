"""Makes one call with aioboto3, in aioboto3's own environment, and prints the answer as JSON; knows no project code."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from typing import Any

import aioboto3  # type: ignore[import-not-found] # it cannot share an environment with the gateway's aiobotocore

EXPIRES_S = 600


async def answer(given: dict[str, str]) -> Any:
    """Make the call that is asked for; bodies are base64 both ways."""
    session = aioboto3.Session(given["key_id"], given["secret"], region_name="us-east-1")
    async with session.client("s3", endpoint_url=given["endpoint"]) as s3:
        return await called(s3, given["operation"], given["bucket"], given["key"], base64.b64decode(given["body"]))


async def called(s3: Any, operation: str, bucket: str, key: str, body: bytes) -> Any:
    # The transfers are aioboto3's own code; the other calls it inherits.
    match operation:
        case "put":
            return await s3.upload_fileobj(io.BytesIO(body), bucket, key)
        case "get":
            await s3.download_fileobj(bucket, key, got := io.BytesIO())
            return base64.b64encode(got.getvalue()).decode()
        case "length":
            return (await s3.head_object(Bucket=bucket, Key=key))["ContentLength"]
        case "delete":
            await s3.delete_object(Bucket=bucket, Key=key)
            return None
        case "url":
            return await s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=EXPIRES_S)
        case "listed":
            return [row["Key"] for row in (await s3.list_objects_v2(Bucket=bucket))["Contents"]]
    raise ValueError(operation)


if __name__ == "__main__":
    json.dump(asyncio.run(answer(json.loads(sys.argv[1]))), sys.stdout)
