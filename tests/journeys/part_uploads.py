"""What the tests of uploads in small parts share: processes of a gateway, uploads, parts."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.app import utc_now
from gateway.credentials import Secret
from gateway.errors import ApiError, ErrorKind
from gateway.journeys import multipart
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.uploads import Upload
from gateway.stores.upstream import Body, StoreBucket, Upstream
from gateway.stores.upstream_settings import UpstreamSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.fake_store import FakeStore

MB = 1024 * 1024
KEY = "pictures/a%20b.jpg"
PATH = f"/b/{KEY}"
HOURS = 3600.0
SMALL = 100 * 1024
RANDOM = random.Random(5)  # noqa: S311 # bytes, not secrets
NOW = datetime(2026, 11, 25, 22, 30, tzinfo=UTC)


@asynccontextmanager
async def bucket_of(store: FakeStore) -> AsyncIterator[StoreBucket]:
    """What a gateway process knows of a bucket; another call is another process."""
    settings = UpstreamSettings(store.endpoint, access_key="up", secret=Secret("up-secret"))
    upstream = Upstream(settings, StaticKey(UpstreamKey("up", Secret("up-secret"))), utc_now)
    try:
        yield StoreBucket(upstream, "b")
    finally:
        await upstream.close()


async def begun(bucket: StoreBucket, raw_key: str = KEY) -> Upload:
    headers = (("content-type", "image/jpeg"), ("x-amz-meta-a", "1"))
    return Upload(bucket, raw_key, await multipart.initiate(bucket, raw_key, headers, NOW, 24 * HOURS))


def data_of(*sizes: int) -> list[bytes]:
    return [RANDOM.randbytes(size) for size in sizes]


async def once(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]


async def put(upload: Upload, number: int, data: bytes) -> tuple[int, str]:
    return number, await multipart.put_part(upload, number, Body(once(data), len(data)))


async def put_all(upload: Upload, datas: Sequence[bytes]) -> list[tuple[int, str]]:
    return [await put(upload, number, data) for number, data in enumerate(datas, 1)]


async def refusal(awaited: object) -> ErrorKind:
    with pytest.raises(ApiError) as raised:
        await awaited  # type: ignore[misc] # a coroutine of any result
    return raised.value.kind


def hidden_objects(store: FakeStore) -> list[str]:
    return [path for path in store.objects if ".gateway-parts/" in path]
