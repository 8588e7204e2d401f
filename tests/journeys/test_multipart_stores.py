"""Uploads in small parts on real stores: what these take, list and tell about the object afterwards."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from gateway.app import utc_now
from gateway.dialects.base import StoreRequest
from gateway.dialects.xml import XmlLimits, parse
from gateway.errors import INVALID_PART, NO_SUCH_UPLOAD, ApiError
from gateway.journeys import multipart
from gateway.journeys.visible import without_hidden
from gateway.request import percent_encode
from gateway.stores import parts as hidden
from gateway.stores.documents import stored_etag
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.listing import list_objects
from gateway.stores.uploads import Upload
from gateway.stores.upstream import Body, StoreBucket, Upstream
from gateway.stores.upstream_settings import UpstreamSettings
from tests.fake_uploads import etag

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.served import Place

pytestmark = pytest.mark.store
BUCKET = "small-parts"
KEY = "pictures/a%20b%E4%B8%AD.jpg"
MB = 1024 * 1024
SMALL = 100 * 1024
DAY = 24 * 3600.0
SIZES = {
    "100 KB each": [SMALL] * 70 + [17],
    "1 MB each": [MB] * 22 + [77],
    "less than 5 MB in all": [SMALL, 9],
    "mixed": [SMALL, 6 * MB, SMALL, 5 * MB, 3, MB],
    "large ones and a small last": [5 * MB, 5 * MB, 100],
}


@pytest.fixture(params=["swift", "rgw"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    assert found.request("PUT", f"/{BUCKET}")[0] in (200, 409)
    return found


@asynccontextmanager
async def gateway(place: Place) -> AsyncIterator[StoreBucket]:
    """What a gateway process knows of the bucket; another call is another process."""
    settings = UpstreamSettings(f"http://{place.authority}", access_key=place.key_id, secret=place.secret)
    upstream = Upstream(settings, StaticKey(UpstreamKey(place.key_id, place.secret)), utc_now)
    try:
        yield StoreBucket(upstream, BUCKET)
    finally:
        await upstream.close()


@pytest.fixture
async def bucket(place: Place) -> AsyncIterator[StoreBucket]:
    async with gateway(place) as made:
        yield made
        assert [found.key async for found in list_objects(made, ".gateway-parts/")] == [], "nothing hidden stays"


async def begun(bucket: StoreBucket) -> Upload:
    headers = (("content-type", "image/jpeg"), ("x-amz-meta-a", "1"))
    return Upload(bucket, KEY, await multipart.initiate(bucket, KEY, headers, utc_now(), DAY))


async def put(upload: Upload, number: int, data: bytes) -> tuple[int, str]:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    body = Body(chunks() if data else nothing(), len(data))
    return number, await multipart.put_part(upload, number, body)


async def nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


def data_of(*sizes: int) -> list[bytes]:
    source = random.Random(len(sizes))  # noqa: S311 # bytes, not secrets
    return [source.randbytes(size) for size in sizes]


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
async def test_parts_of_any_size_become_one_object_after_a_restart(
    place: Place, bucket: StoreBucket, sizes: list[int]
) -> None:
    datas = data_of(*sizes)
    half = len(datas) // 2
    upload = await begun(bucket)
    sent = [await put(upload, number, data) for number, data in enumerate(datas[:half], 1)]
    async with gateway(place) as elsewhere:
        same = replace(upload, store=elsewhere)
        page = await multipart.list_parts(same, 0, 1000)
        assert [(part.number, part.size, f'"{part.etag}"') for part in page.parts] == [
            (number, len(data), etag(data)) for number, data in enumerate(datas[:half], 1)
        ]
        sent += [await put(same, number, data) for number, data in enumerate(datas[half:], half + 1)]
        tag, _ = await multipart.complete(same, sent)
    status, headers, body = place.request("GET", f"/{BUCKET}/{KEY}")
    assert (status, headers["content-type"], headers["x-amz-meta-a"]) == (200, "image/jpeg", "1")
    assert body == b"".join(datas)
    assert headers["etag"] == f'"{tag}"' == f'"{await stored_etag(bucket, upload.raw_key, "", ())}"', (
        "Complete and HEAD agree"
    )
    listed = place.request("GET", f"/{BUCKET}", query="list-type=2&prefix=pictures")[2].decode()
    assert tag in listed, "so does LIST"


async def test_a_wrong_list_or_an_unknown_upload_leaves_everything_as_it_was(place: Place, bucket: StoreBucket) -> None:
    upload = await begun(bucket)
    sent = [await put(upload, number, data) for number, data in enumerate(data_of(9, 8), 1)]
    for wrong, kind in (([(1, "0" * 32)], INVALID_PART), ([*sent, (3, "0" * 32)], INVALID_PART)):
        with pytest.raises(ApiError) as raised:
            await multipart.complete(upload, wrong)
        assert raised.value.kind is kind
    unknown = replace(upload, upload_id=upload.upload_id[:-1] + ("A" if upload.upload_id[-1] != "A" else "B"))
    for refused in (put(unknown, 1, b"x"), multipart.complete(unknown, sent), multipart.abort(unknown)):
        with pytest.raises(ApiError) as raised:
            await refused
        assert raised.value.kind is NO_SUCH_UPLOAD
    await multipart.complete(upload, sent)
    assert place.request("GET", f"/{BUCKET}/{KEY}")[2] == b"".join(data_of(9, 8))
    with pytest.raises(ApiError) as raised:
        await multipart.complete(upload, sent)
    assert raised.value.kind in (NO_SUCH_UPLOAD, INVALID_PART), "Swift knows a completed upload for ever"


async def test_a_later_part_of_the_same_number_counts(place: Place, bucket: StoreBucket) -> None:
    upload = await begun(bucket)
    for data in data_of(5 * MB, 9, 6 * MB, 8):
        last = await put(upload, 1, data)
    await multipart.complete(upload, [last])
    assert place.request("GET", f"/{BUCKET}/{KEY}")[2] == data


async def test_two_completions_at_once_make_one_whole_object(place: Place, bucket: StoreBucket) -> None:
    upload = await begun(bucket)
    datas = data_of(*[MB] * 20)
    sent = [await put(upload, number, data) for number, data in enumerate(datas, 1)]
    async with gateway(place) as elsewhere:
        other = replace(upload, store=elsewhere)
        both = await asyncio.gather(
            multipart.complete(upload, sent), multipart.complete(other, sent), return_exceptions=True
        )
    assert [answer for answer in both if not isinstance(answer, BaseException)]
    assert place.request("GET", f"/{BUCKET}/{KEY}")[2] == b"".join(datas)


async def test_an_aborted_and_an_old_upload_leave_nothing(bucket: StoreBucket) -> None:
    aborted, old = await begun(bucket), await begun(bucket)
    for upload in (aborted, old):
        await put(upload, 1, b"abc")
    await multipart.abort(aborted)
    await multipart.sweep(bucket, utc_now(), DAY)
    assert [part.size for part in (await multipart.list_parts(old, 0, 9)).parts] == [3]
    await multipart.sweep(bucket, utc_now() + timedelta(days=2), DAY)
    for upload in (aborted, old):
        with pytest.raises(ApiError) as raised:
            await multipart.list_parts(upload, 0, 9)
        assert raised.value.kind is NO_SUCH_UPLOAD


LISTINGS = ["", "list-type=2", "delimiter=%2F", "list-type=2&delimiter=%2F", "encoding-type=url"]


@pytest.mark.parametrize("query", LISTINGS)
async def test_hidden_keys_are_in_no_page_of_a_listing(place: Place, bucket: StoreBucket, query: str) -> None:
    for name in ("%21", "-", "a", "b"):
        assert place.request("PUT", f"/{BUCKET}/{name}", body=b"x")[0] == 200
    without = await names_by_page(place, bucket, query, 1000)
    upload = await begun(bucket)
    for number in range(1, 8):
        await put(upload, number, b"abc")
    assert await hidden.of(upload).any()
    try:
        for wanted in (1, 2, 3, 5, 1000):
            assert await names_by_page(place, bucket, query, wanted) == without
    finally:
        await multipart.abort(upload)


async def names_by_page(place: Place, bucket: StoreBucket, query: str, max_keys: int) -> list[str]:
    """List the bucket as a client does."""
    names: list[str] = []
    more = ""
    for _ in range(50):
        raw_query = f"{query}&max-keys={max_keys}{more}".removeprefix("&")
        document = place.request("GET", f"/{BUCKET}", query=raw_query)[2]
        document = await without_hidden(bucket, StoreRequest("GET", "", raw_query, ()), document)
        assert b"gateway-parts" not in document
        root = parse(document, XmlLimits())
        rows = [row for row in root.children if row.name in ("Contents", "CommonPrefixes")]
        assert len(rows) <= max_keys
        names += [row.child_text("Key") or row.child_text("Prefix") for row in rows]
        if root.child_text("IsTruncated") == "false":
            return sorted(names)
        assert rows, "a client could not tell where to go on"
        token, marker = root.child_text("NextContinuationToken"), root.child_text("NextMarker") or names[-1]
        more = f"&continuation-token={percent_encode(token)}" if token else f"&marker={percent_encode(unquote(marker))}"
    raise AssertionError("no end")
