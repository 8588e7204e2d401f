"""Uploads of OSS clients in small parts, through the whole gateway: what the store sees, what clients see of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.request import percent_encode
from tests.digests import content_md5, md5
from tests.harness import GatewayUnderTest, running_gateway
from tests.journeys.part_uploads import hidden_objects
from tests.journeys.test_rewrite import code, oss

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_store import FakeStore

MB = 1024 * 1024
LARGE = b"l" * (5 * MB)
LISTING = (
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>%sa</Key></Contents>"
    "<Contents><Key>b</Key></Contents></ListBucketResult>"
)
HIDDEN = ".gateway-parts/0123/00001"


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    async with running_gateway(store.endpoint) as running:
        yield running


async def begin(gateway: GatewayUnderTest) -> str:
    status, _, body = await oss(gateway, "POST", "a", "uploads", x_oss_meta_colour="blue")
    assert status == 200
    return percent_encode(body.decode().partition("<UploadId>")[2].partition("</UploadId>")[0])


async def part(gateway: GatewayUnderTest, upload: str, number: int, data: bytes, **more: str) -> str:
    status, headers, _ = await oss(gateway, "PUT", "a", f"partNumber={number}&uploadId={upload}", body=data, **more)
    assert status == 200
    assert headers["x-oss-request-id"]
    assert headers["ETag"] == f'"{md5(data)}"'
    return headers["ETag"]


def listed(*tags: str) -> bytes:
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1)
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


async def test_small_parts_become_an_object_and_only_that(gateway: GatewayUnderTest, store: FakeStore) -> None:
    upload = await begin(gateway)
    tags = [await part(gateway, upload, number, data) for number, data in ((1, b"one"), (2, b"two"))]
    assert len(hidden_objects(store)) == 2
    status, headers, body = await oss(gateway, "POST", "a", f"uploadId={upload}", body=listed(*tags))
    assert status == 200
    assert headers["ETag"].endswith('-1"')
    assert headers["ETag"] in body.decode().replace("&quot;", '"')
    assert store.objects == {"/demo/a": b"onetwo"}
    assert store.uploads.finished[0].headers["x-amz-meta-colour"] == "blue"


async def test_a_part_that_is_not_what_its_digest_says_never_comes_into_being(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    upload = await begin(gateway)
    query = f"partNumber=1&uploadId={upload}"
    answer = await oss(gateway, "PUT", "a", query, body=b"one", content_md5=content_md5(b"another"))
    assert code(answer) == (400, "BadDigest")
    assert store.objects == {}


async def test_a_part_that_waits_is_not_published(gateway: GatewayUnderTest, store: FakeStore) -> None:
    upload = await begin(gateway)
    await part(gateway, upload, 1, b"one", content_md5=content_md5(b"one"), x_oss_object_acl="public-read")
    (put,) = [seen for seen in store.seen if seen.method == "PUT"]
    assert ".gateway-parts/" in put.raw_path
    assert (put.headers["content-md5"], "x-amz-acl" in put.headers) == (content_md5(b"one"), False)


async def test_a_list_of_parts_goes_on_where_it_ended(gateway: GatewayUnderTest) -> None:
    upload = await begin(gateway)
    for number, data in ((1, LARGE), (2, b"two"), (3, b"three")):
        await part(gateway, upload, number, data)
    found, marker = [], "0"
    while True:
        query = f"max-parts=2&part-number-marker={marker}&uploadId={upload}"
        status, _, body = await oss(gateway, "GET", "a", query)
        assert status == 200
        text = body.decode()
        found += re.findall("<PartNumber>(.*?)</PartNumber>.*?<Size>(.*?)</Size>", text)
        marker = re.findall("<NextPartNumberMarker>(.*)</NextPartNumberMarker>", text)[0]
        if "<IsTruncated>false" in text:
            break
    assert found == [("1", str(5 * MB)), ("2", "3"), ("3", "5")]


async def test_an_upload_that_is_aborted_takes_its_parts_along(gateway: GatewayUnderTest, store: FakeStore) -> None:
    upload = await begin(gateway)
    await part(gateway, upload, 1, b"one")
    assert (await oss(gateway, "DELETE", "a", f"uploadId={upload}"))[0] == 204
    assert (store.objects, store.uploads.running) == ({}, {})
    for method, body in (("GET", b""), ("DELETE", b""), ("POST", listed('"00"'))):
        assert code(await oss(gateway, method, "a", f"uploadId={upload}", body=body)) == (404, "NoSuchUpload")


async def test_an_upload_that_forbids_overwriting_ends_with_that_condition(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    upload = await begin(gateway)
    tag = await part(gateway, upload, 1, b"one")
    complete = ("POST", "a", f"uploadId={upload}")
    store.objects["/demo/a"] = b"there"
    answer = await oss(gateway, *complete, body=listed(tag), x_oss_forbid_overwrite="true")
    assert code(answer) == (409, "FileAlreadyExists")
    del store.objects["/demo/a"]
    assert (await oss(gateway, *complete, body=listed(tag), x_oss_forbid_overwrite="true"))[0] == 200
    (last,) = [seen for seen in store.seen if seen.method == "POST" and "uploadId" in seen.raw_path]
    assert last.headers["if-none-match"] == "*"


async def test_without_the_setting_parts_go_to_the_store_as_they_are(store: FakeStore) -> None:
    async with running_gateway(store.endpoint, multipart={"small_parts": False}) as gateway:
        upload = await begin(gateway)
        tags = [await part(gateway, upload, number, data) for number, data in ((1, b"one"), (2, b"two"))]
        assert store.objects == {}
        answer = await oss(gateway, "POST", "a", f"uploadId={upload}", body=listed(*tags))
        assert code(answer) == (400, "EntityTooSmall")


@pytest.mark.parametrize("query", ["", "list-type=2", "versions", "prefix=.gateway"])
async def test_an_s3_client_s_listing_lacks_hidden_keys_and_nothing_else(
    gateway: GatewayUnderTest, store: FakeStore, query: str
) -> None:
    row = f"<Contents><Key>{HIDDEN}</Key></Contents>"
    store.answers["GET /demo"] = (
        200,
        (LISTING % "").replace("<Contents>", row + "<Contents>", 1).encode(),
        {"x-a": "1"},
    )
    url = gateway.s3_url("/demo", query)
    status, headers, body = await gateway.request("GET", url, headers={"Accept-Encoding": "gzip"})
    assert (status, headers["x-a"], body.decode()) == (200, "1", LISTING % "")
    assert headers["Content-Length"] == str(len(body))
    assert "accept-encoding" not in store.seen[0].headers


async def test_an_oss_client_s_listing_lacks_hidden_keys(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects = {f"/demo/{HIDDEN}": b"1", "/demo/.a": b"2", "/demo/b": b"3"}
    _, _, body = await oss(gateway, "GET", query="list-type=2")
    assert re.findall("<Key>(.*?)</Key>", body.decode()) == [".a", "b"]
    assert b"<KeyCount>2</KeyCount>" in body


async def test_a_store_s_refusal_of_a_listing_reaches_an_s3_client_as_it_is(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.faults["/demo"] = "error:503:SlowDown"
    status, _, body = await gateway.get(gateway.s3_url("/demo"))
    assert (status, b"the store says SlowDown" in body) == (503, True)
