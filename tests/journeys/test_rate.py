from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.credentials import EVERYTHING, Credential, Identity
from gateway.imaging.registry import MODEL_VERSION
from tests.harness import KEY_ID, SECRET, GatewayUnderTest, running_gateway
from tests.journeys.test_analyse import OSS, bomb, photo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.fake_store import FakeStore

RATED = "RATED"
CLIENTS = {
    KEY_ID: Credential(KEY_ID, SECRET, Identity("plain", EVERYTHING)),
    RATED: Credential(RATED, SECRET, Identity("rated", EVERYTHING, score_headers=True)),
}


@pytest.fixture
async def gateway(store: FakeStore, scorer_address: str) -> AsyncIterator[GatewayUnderTest]:
    store.objects |= {"/demo/a.jpg": photo(), "/demo/text": b"no pixels", "/shy/a.jpg": photo()}
    limits, buckets = {"max_pixels": 4_000_000}, {"demo": {}, "shy": {"scoring": False}}
    async with running_gateway(store.endpoint, scorer_address, CLIENTS, limits=limits, buckets=buckets) as running:
        yield running


def told(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-image-score")}


async def read(gateway: GatewayUnderTest, path: str, key_id: str = RATED, method: str = "GET", **options: Any) -> Any:
    return await gateway.request(method, gateway.s3_url(path, key_id=key_id, method=method), **options)


async def test_who_asks_for_it_gets_the_score_with_the_bytes_and_on_head(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    status, headers, body = await read(gateway, "/demo/a.jpg")
    assert (status, body) == (200, store.objects["/demo/a.jpg"])
    score = told(headers)["x-image-score"]
    assert told(headers) == {"x-image-score": score, "x-image-score-model": MODEL_VERSION}
    _, again, nothing = await read(gateway, "/demo/a.jpg", method="HEAD")
    assert (told(again), nothing, again["Content-Length"]) == (told(headers), b"", str(len(body)))
    _, _, alone = await gateway.get(gateway.oss_url("demo", "a.jpg", OSS))
    assert f'"OverallQualityScore":{score}'.encode() in alone
    _, translated, _ = await gateway.get(gateway.oss_url("demo", "a.jpg", key_id=RATED))
    assert told(translated) == told(headers)


async def test_nobody_else_waits_or_hears_of_it(gateway: GatewayUnderTest, store: FakeStore) -> None:
    _, headers, _ = await read(gateway, "/demo/a.jpg", KEY_ID)
    assert (told(headers), len(store.seen)) == ({}, 1)
    _, headers, _ = await read(gateway, "/shy/a.jpg")
    assert (told(headers), len(store.seen)) == ({}, 2)


async def test_what_is_no_picture_comes_as_it_is(gateway: GatewayUnderTest) -> None:
    status, headers, body = await read(gateway, "/demo/text")
    assert (status, told(headers), body) == (200, {}, b"no pixels")
    assert (await read(gateway, "/demo/none"))[0] == 404


async def test_a_picture_that_cannot_be_scored_comes_whole_with_the_reason(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects |= {"/demo/bomb": bomb(50_000), "/demo/cut.jpg": photo()[:9000]}
    for key, code in (("bomb", "ImageTooLarge"), ("cut.jpg", "InvalidArgument")):
        status, headers, body = await read(gateway, f"/demo/{key}")
        assert (status, body) == (200, store.objects[f"/demo/{key}"])
        assert told(headers) == {"x-image-score-error": code}


async def test_no_scorer_costs_the_score_and_not_the_answer(store: FakeStore) -> None:
    store.objects["/demo/a.jpg"] = photo()
    async with running_gateway(store.endpoint, "/nonexistent", CLIENTS) as gateway:
        status, headers, body = await read(gateway, "/demo/a.jpg")
    assert (status, body, told(headers)) == (200, photo(), {"x-image-score-error": "InternalError"})


async def test_parts_listings_and_writing_are_not_rated(gateway: GatewayUnderTest, store: FakeStore) -> None:
    await read(gateway, "/demo/a.jpg", headers={"Range": "bytes=0-9"})
    await gateway.get(gateway.s3_url("/demo/a.jpg", "partNumber=1", key_id=RATED))
    await gateway.get(gateway.s3_url("/demo/a.jpg", "tagging", key_id=RATED))
    await gateway.get(gateway.s3_url("/demo", "list-type=2", key_id=RATED))
    await read(gateway, "/demo/new", method="PUT", data=b"x")
    assert len(store.seen) == 5


async def test_the_version_that_is_read_is_the_one_that_is_rated(gateway: GatewayUnderTest, store: FakeStore) -> None:
    query = "response-content-type=image%2Fx&versionId=v%2B1"
    _, headers, _ = await gateway.get(gateway.s3_url("/demo/a.jpg", query, key_id=RATED))
    assert "x-image-score" in told(headers)
    assert [seen.raw_path for seen in store.seen] == ["/demo/a.jpg?versionId=v%2B1", f"/demo/a.jpg?{query}"]
