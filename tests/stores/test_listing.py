from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, quote_plus

import pytest

from gateway.app import utc_now
from gateway.dialects.xml import write
from gateway.errors import UPSTREAM_BROKEN, ApiError
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.listing import list_objects
from gateway.stores.upstream import StoreBucket, Upstream
from gateway.stores.upstream_settings import UpstreamSettings
from tests.boto import s3_client
from tests.fake_store import XMLNS
from tests.harness import KEY_ID, SECRET
from tests.stores.scripted import CUT
from tests.stores.test_upstream import both

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.dialects.xml import Node
    from tests.conftest import Demo
    from tests.stores.scripted import ScriptedStore

ODD_KEYS = [
    "a b",
    " edge ",
    "a+b",
    "a%2Bb",
    "50%",
    "dir//x",
    "a&b=c",
    "中文/é.jpg",
    "📷",
    "<x>",
    "line\nfeed",
    "bell\a",
]


def page(
    *keys: str,
    token: str = "",
    truncated: bool | None = None,
    encode: Callable[[str], str] = quote,
    encoded: bool = True,
) -> bytes:
    """A page of ListObjectsV2 whose keys are `encode`d; without `encoded` it does not say so."""
    more = bool(token) if truncated is None else truncated
    nodes: list[Node] = [("Name", "b"), ("IsTruncated", "true" if more else "false")]
    nodes += [("EncodingType", "url")] if encoded else []
    nodes += [("Contents", [("Key", encode(key)), ("Size", "1")]) for key in keys]
    nodes += [("NextContinuationToken", token)] if token else []
    return answer(200, write(("ListBucketResult", nodes)))


def answer(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def listed(*script: bytes) -> AsyncIterator[tuple[ScriptedStore, StoreBucket]]:
    async with both(*script) as (store, upstream):
        yield store, StoreBucket(upstream, "b")


async def collect(bucket: StoreBucket, prefix: str = "", into: list[str] | None = None) -> list[str]:
    keys = [] if into is None else into
    async for listed_one in list_objects(bucket, prefix):
        keys.append(listed_one.key)  # what came before an error counts
    return keys


async def test_the_keys_of_all_pages_come_in_their_order() -> None:
    token = "a+b/c=&d é"
    async with listed(page("1", "2", token=token), page(token="t2"), page("3")) as (store, bucket):
        assert await collect(bucket, "p/ü &") == ["1", "2", "3"]
    queries = [parse_qs(seen.target.partition("?")[2], strict_parsing=True) for seen in store.requests]
    assert {seen.target.partition("?")[0] for seen in store.requests} == {"/b"}
    assert [query.get("continuation-token") for query in queries] == [None, [token], ["t2"]]
    assert all(query["list-type"] == ["2"] and query["prefix"] == ["p/ü &"] for query in queries)


async def test_the_second_page_is_asked_for_only_when_the_first_is_used_up() -> None:
    async with listed(page("1", "2", token="t"), page("3")) as (store, bucket):
        keys = (found.key async for found in list_objects(bucket, ""))
        assert [await anext(keys), await anext(keys), len(store.requests)] == ["1", "2", 1]
        assert [await anext(keys), len(store.requests)] == ["3", 2]


@pytest.mark.parametrize("encode", [quote, quote_plus, lambda key: quote(key, safe="")], ids=["%20", "+", "%2F"])
async def test_url_encoded_keys_are_decoded_in_each_stores_spelling(encode: Callable[[str], str]) -> None:
    async with listed(page(*ODD_KEYS, encode=encode)) as (_, bucket):
        assert await collect(bucket) == ODD_KEYS


async def test_a_store_that_does_not_encode_keys_is_taken_at_its_word() -> None:
    plain = [key for key in ODD_KEYS if key != "bell\a"]
    async with listed(page(*plain, encode=str, encoded=False)) as (_, bucket):
        assert await collect(bucket) == plain


async def test_a_namespace_and_an_empty_bucket_are_no_obstacle() -> None:
    body = f"<ListBucketResult {XMLNS}><IsTruncated>false</IsTruncated></ListBucketResult>".encode()
    async with listed(answer(200, body)) as (_, bucket):
        assert await collect(bucket) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<ListBucketResult><Contents>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult/>",
        b"<ListBucketResult>" + b"<a>" * 100,
        b"<html><body>Log in to the hotel's network</body></html>",
        b"<ListBucketResult>" + b" " * 9_000_000 + b"</ListBucketResult>",
    ],
    ids=["empty", "text", "half", "doctype", "deep", "another document", "huge"],
)
async def test_a_listing_that_is_none_is_a_broken_store(body: bytes) -> None:
    async with listed(answer(200, body)) as (_, bucket):
        with pytest.raises(ApiError) as raised:
            await collect(bucket)
    assert raised.value.kind is UPSTREAM_BROKEN


@pytest.mark.parametrize(
    "second",
    [page("2", truncated=True), page("2", token="t"), answer(200, b"<Listing/>"), b"", b"HTTP/1.1 2"],
    ids=["no token", "the same token", "another document", "cut", "no HTTP"],
)
async def test_a_listing_that_breaks_off_never_looks_complete(second: bytes) -> None:
    seen: list[str] = []
    async with listed(page("1", token="t"), *[second + CUT] * 4) as (_, bucket):
        with pytest.raises(ApiError) as raised:
            await collect(bucket, into=seen)
    assert raised.value.kind is UPSTREAM_BROKEN
    assert seen[0] == "1"
    assert len(seen) <= 2


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", "NoSuchBucket"),
        (403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "AccessDenied"),
        (503, b"", "InternalError"),
    ],
)
async def test_the_stores_own_error_is_told(status: int, body: bytes, code: str) -> None:
    async with listed(answer(status, body)) as (_, bucket):
        with pytest.raises(ApiError) as raised:
            await collect(bucket)
    assert (raised.value.kind.status, raised.value.kind.code) == (status, code)


@pytest.mark.store
async def test_the_real_store_lists_every_key_through_the_gateway(demo: Demo) -> None:
    client = s3_client(demo.endpoint, KEY_ID, SECRET.reveal())
    names = sorted(f"listing test/{key}" for key in ("a b", "a+b", "50%", "a&b=c", "中文/é.jpg", "📷"))
    for name in names:
        client.put_object(Bucket="demo", Key=name, Body=b"x")
    settings = UpstreamSettings(demo.endpoint, access_key=KEY_ID, secret=SECRET)
    async with AsyncExitStack() as stack:
        upstream = Upstream(settings, StaticKey(UpstreamKey(KEY_ID, SECRET)), utc_now)
        stack.push_async_callback(upstream.close)
        demo_bucket = StoreBucket(upstream, "demo")
        assert sorted(await collect(demo_bucket, "listing test/")) == names
        assert await collect(demo_bucket, "listing test/a+") == ["listing test/a+b"]
        with pytest.raises(ApiError) as raised:
            await collect(StoreBucket(upstream, "no-such-bucket"))
    assert raised.value.kind.code == "NoSuchBucket"
    client.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": name} for name in names]})
