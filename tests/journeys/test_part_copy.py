"""Parts that OSS clients copy out of stored objects, some too small for S3, through the whole gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake_uploads import etag
from tests.harness import GatewayUnderTest, running_gateway
from tests.journeys.part_uploads import hidden_objects
from tests.journeys.test_rewrite import code, oss
from tests.journeys.test_vendor_upload import begin, listed, part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_store import FakeStore
    from tests.journeys.test_rewrite import Answer

MB = 1024 * 1024
COPIED: tuple[int, bytes, dict[str, str]] = (
    200,
    b"<CopyPartResult><ETag>&quot;large&quot;</ETag></CopyPartResult>",
    {},
)


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    async with running_gateway(store.endpoint) as running:
        yield running


async def copied(gateway: GatewayUnderTest, upload: str, number: int, **more: str) -> Answer:
    query = f"partNumber={number}&uploadId={upload}"
    return await oss(gateway, "PUT", "a", query, body=b"", x_oss_copy_source="/demo/source%20a", **more)


async def test_a_small_part_may_be_copied_before_others(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/source%20a"] = b"copied"
    upload = await begin(gateway)
    status, _, body = await copied(gateway, upload, 1)
    assert status == 200
    assert etag(b"copied").replace('"', "&quot;") in body.decode().replace('"', "&quot;")
    last = await part(gateway, upload, 2, b", sent")
    answer = await oss(gateway, "POST", "a", f"uploadId={upload}", body=listed(etag(b"copied"), last))
    assert answer[0] == 200
    assert (store.objects["/demo/a"], hidden_objects(store)) == (b"copied, sent", [])


async def test_a_small_range_may_be_copied(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/source%20a"] = b"-copied-"
    store.answers["GET /demo/source%20a"] = (206, b"copied", {"ETag": etag(b"-copied-")})
    upload = await begin(gateway)
    status, _, _ = await copied(gateway, upload, 1, x_oss_copy_source_range="bytes=1-6")
    assert status == 200
    (asked,) = [seen for seen in store.seen if seen.method == "GET" and "source" in seen.raw_path]
    assert (asked.headers["range"], asked.headers["if-match"]) == ("bytes=1-6", etag(b"-copied-"))
    assert [store.objects[path] for path in hidden_objects(store)] == [b"copied"]


@pytest.mark.parametrize("span", ["bytes=0-7", "bytes=3-1", "bytes=0-", "none"])
async def test_a_range_that_makes_no_sense_is_the_store_s_to_refuse(
    gateway: GatewayUnderTest, store: FakeStore, span: str
) -> None:
    store.objects["/demo/source%20a"] = b"seven b"
    upload = await begin(gateway)
    store.faults["/demo/a"] = "error:416:InvalidRange"
    assert code(await copied(gateway, upload, 1, x_oss_copy_source_range=span)) == (416, "InvalidRange")
    assert hidden_objects(store) == []


async def test_a_store_that_overlooks_the_range_makes_the_copy_itself(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects["/demo/source%20a"] = b"-copied-"
    upload = await begin(gateway)
    store.honours_ranges = False
    store.answers["PUT /demo/a"] = COPIED
    assert (await copied(gateway, upload, 1, x_oss_copy_source_range="bytes=1-6"))[0] == 200
    assert hidden_objects(store) == []


async def test_a_large_part_is_copied_by_the_store(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/source%20a"] = b"l" * (5 * MB)
    upload = await begin(gateway)
    store.answers["PUT /demo/a"] = COPIED
    status, _, body = await copied(gateway, upload, 1)
    assert (status, b"large" in body) == (200, True)
    assert not [seen for seen in store.seen if seen.method == "GET" and "source" in seen.raw_path]


async def test_what_the_source_s_conditions_refuse_is_not_copied(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.answers["HEAD /demo/source%20a"] = (412, b"", {})
    upload = await begin(gateway)
    store.faults["/demo/a"] = "error:412:PreconditionFailed"
    answer = await copied(gateway, upload, 1, x_oss_copy_source_if_match='"other"')
    assert code(answer) == (412, "PreconditionFailed")
    (asked,) = [seen for seen in store.seen if seen.method == "HEAD"]
    assert asked.headers["if-match"] == '"other"'


async def test_a_part_of_an_upload_that_is_not_there_is_not_copied(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/source%20a"] = b"copied"
    assert code(await copied(gateway, "none", 1)) == (404, "NoSuchUpload")
    assert hidden_objects(store) == []
