"""Every client as what it does with one key (`KeyCalls`), and the keys that it cannot send, with the reason."""

from __future__ import annotations

import asyncio
import json
import subprocess
from base64 import b64decode, b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.sdk.live_clients import Account, aiobotocore_client, boto3_s3, minio_py
from tests.sdk.resuming import npm_sdks
from tests.sdk.round_trips import KeyCalls
from tests.sdk.vendor_calls import Vendor, whole_listing
from tests.sdk.vendors import VENDORS
from tests.stores_up.fixtures import BUCKET, COS_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tests.sdk.live_clients import Calls

    Client = Callable[[Account], AbstractContextManager[KeyCalls]]


def of_s3(build: Callable[[Account], Calls]) -> Client:
    @contextmanager
    def client(account: Account) -> Iterator[KeyCalls]:
        calls = build(account)
        assert calls.listed is not None
        yield KeyCalls(calls.put, calls.get, calls.length, calls.delete, calls.listed)

    return client


def of_vendor(build: Callable[[Account], Vendor]) -> Client:
    @contextmanager
    def client(account: Account) -> Iterator[KeyCalls]:
        vendor = build(account)
        yield KeyCalls(
            vendor.put,
            vendor.get,
            lambda key: vendor.meta(key)[0],
            vendor.delete,
            lambda: whole_listing(vendor, "", "", 1000)[0],
        )

    return client


def of_node(driver: str, version: str = "") -> Client:
    @contextmanager
    def client(account: Account) -> Iterator[KeyCalls]:
        given = {"port": account.port, "keyId": account.key_id, "secret": account.secret, "version": version}
        given |= {"bucket": BUCKET, "cosBucket": COS_BUCKET, "data": ""}
        node = npm_sdks()
        command = [str(node.program), str(node.folder / f"keys_{driver}.mjs"), json.dumps(given)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

            def call(operation: str, key: str = "", data: bytes = b"") -> Any:
                assert process.stdin
                assert process.stdout
                asked = {"operation": operation, "key": key, "data": b64encode(data).decode()}
                print(json.dumps(asked), file=process.stdin, flush=True)
                line = next(line for line in process.stdout if line.startswith("told "))
                told = json.loads(line.removeprefix("told "))
                if "error" in told:
                    raise ValueError(told["error"])
                return told["result"]

            yield KeyCalls(
                lambda key, data: call("put", key, data),
                lambda key: b64decode(call("get", key)),
                lambda key: int(call("length", key)),
                lambda key: call("delete", key),
                lambda: call("listed"),
            )

    return client


@contextmanager
def aiobotocore_s3(account: Account) -> Iterator[KeyCalls]:
    async def got(key: str) -> bytes:
        return bytes(await (await s3.get_object(Bucket=BUCKET, Key=key))["Body"].read())

    with asyncio.Runner() as runner:
        context = aiobotocore_client(account)
        s3 = runner.run(context.__aenter__())
        try:
            yield KeyCalls(
                lambda key, data: runner.run(s3.put_object(Bucket=BUCKET, Key=key, Body=data)),
                lambda key: runner.run(got(key)),
                lambda key: int(runner.run(s3.head_object(Bucket=BUCKET, Key=key))["ContentLength"]),
                lambda key: runner.run(s3.delete_object(Bucket=BUCKET, Key=key)),
                lambda: [row["Key"] for row in runner.run(s3.list_objects_v2(Bucket=BUCKET))["Contents"]],
            )
        finally:
            runner.run(context.__aexit__(None, None, None))


S3_CLIENTS: Mapping[str, Client] = {
    "boto3": of_s3(lambda account: boto3_s3(account, "s3v4")),
    "aiobotocore": aiobotocore_s3,
    "minio-py": of_s3(minio_py),
    "@aws-sdk/client-s3": of_node("aws_s3"),
    "minio-js": of_node("minio"),
}
VENDOR_CLIENTS: Mapping[str, Client] = {
    **{name: of_vendor(build) for name, build in VENDORS.items()},
    "ali-oss V1": of_node("ali_oss", "V1"),
    "ali-oss V4": of_node("ali_oss", "V4"),
    "cos-nodejs": of_node("cos"),
}
