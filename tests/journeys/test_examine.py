"""What a repeated question costs: conditional requests, bytes and decodes, counted at a fake store."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gateway.imaging.pool import ScorerClient
from tests.fake_uploads import etag
from tests.harness import GatewayUnderTest, running_gateway
from tests.journeys.test_analyse import COS, OSS, assess, bomb, error_of, photo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.report import Result
    from tests.fake_store import FakeStore

INFO, AVERAGE, COS_INFO = "x-oss-process=image%2Finfo", "x-oss-process=image%2Faverage-hue", "imageInfo"
PHOTO = photo(800, 600)
LIMITS = {"max_bytes": 3_000_000, "max_pixels": 4_000_000}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the jobs that go to processors, by their names."""
    counted: Counter[str] = Counter()
    process = ScorerClient.process

    async def counting(client: ScorerClient, name: str, *rest: Any, **options: Any) -> Result:
        counted[name] += 1
        return await process(client, name, *rest, **options)

    monkeypatch.setattr(ScorerClient, "process", counting)
    return counted


@pytest.fixture
async def gateway(store: FakeStore, scorer_address: str) -> AsyncIterator[GatewayUnderTest]:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(store.endpoint, scorer_address, limits=LIMITS) as running:
        yield running


def score_of(body: bytes) -> Any:
    return json.loads(body)["ImageScore"]


async def test_a_score_that_is_known_costs_one_conditional_request(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    _, first_headers, first = await assess(gateway, "a.jpg", OSS)
    store.seen.clear()
    status, headers, body = await assess(gateway, "a.jpg", OSS)
    assert (status, score_of(body)) == (200, score_of(first))
    assert [(seen.method, seen.headers["if-none-match"]) for seen in store.seen] == [("GET", etag(PHOTO))]
    assert (store.sent, decoded["score"]) == (len(PHOTO), 1)
    kept = ("ETag", "Last-Modified", "Content-Type", "Cache-Control", "x-oss-storage-class")
    assert [headers[name] for name in kept] == [first_headers[name] for name in kept]
    assert json.loads(body)["RequestId"] == headers["x-oss-request-id"] != first_headers["x-oss-request-id"]
    assert (await assess(gateway, "a.jpg", COS))[0] == 200
    assert (decoded["score"], store.answered) == (1, Counter({200: 1, 304: 2})), "one report serves all vendors"
    assert gateway.telemetry.results == Counter(hit=2, computed=1)


async def test_head_and_a_tag_that_is_held_are_answered_from_the_cache(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    _, headers, body = await assess(gateway, "a.jpg", OSS)
    status, told, nothing = await gateway.request("HEAD", gateway.s3_url("/demo/a.jpg", OSS, method="HEAD"))
    assert (status, nothing, told["ETag"], told["Content-Length"]) == (200, b"", headers["ETag"], str(len(body)))
    status, told, nothing = await assess(gateway, "a.jpg", OSS, headers={"If-None-Match": headers["ETag"]})
    assert (status, nothing, told["ETag"]) == (304, b"", headers["ETag"])
    assert (decoded["score"], store.sent, store.answered[304]) == (1, len(PHOTO), 2)


async def test_who_holds_the_score_needs_no_cache_for_a_304(
    store: FakeStore, scorer_address: str, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(store.endpoint, scorer_address, cache={"memory_bytes": 0}) as gateway:
        _, headers, _ = await assess(gateway, "a.jpg", OSS)
        for held in (headers["ETag"], f'"other", W/{headers["ETag"]}'):
            status, told, _ = await assess(gateway, "a.jpg", OSS, headers={"If-None-Match": held})
            assert (status, told["ETag"]) == (304, headers["ETag"])
        assert (store.sent, decoded["score"]) == (len(PHOTO), 1)
        for held in ('"other"', '"other-score-1"', "-score-1", ""):
            assert (await assess(gateway, "a.jpg", OSS, headers={"If-None-Match": held}))[0] == 200


async def test_an_object_that_has_changed_is_scored_from_the_body_that_comes(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    await assess(gateway, "a.jpg", OSS)
    store.objects["/demo/a.jpg"] = changed = photo(400, 300, quality=5)
    store.seen.clear()
    status, headers, body = await assess(gateway, "a.jpg", OSS)
    assert (status, len(store.seen), decoded["score"]) == (200, 1, 2)
    assert headers["ETag"].startswith(etag(changed)[:-1])
    assert score_of((await assess(gateway, "a.jpg", OSS))[2]) == score_of(body)
    assert decoded["score"] == 2


async def test_a_store_that_ignores_conditions_costs_no_second_decode(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    await assess(gateway, "a.jpg", OSS)
    headers = {"ETag": etag(PHOTO), "Last-Modified": "Sat, 21 Nov 2026 05:01:25 GMT"}
    store.answers["GET /demo/a.jpg"] = (200, PHOTO, headers)
    assert (await assess(gateway, "a.jpg", OSS))[0] == 200
    assert decoded["score"] == 1


async def test_versions_and_processors_are_remembered_apart(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    for _ in range(2):
        for process in (OSS, AVERAGE, INFO, f"versionId=v1&{OSS}"):
            assert (await assess(gateway, "a.jpg", process) if "versionId" not in process else (200,))[0] == 200
        assert (await gateway.get(gateway.oss_url("demo", "a.jpg", f"versionId=v1&{OSS}")))[0] == 200
    assert decoded == Counter(score=2, average=1, info=1)
    assert store.answered[304] == 4


@pytest.mark.parametrize(
    ("data", "status"), [(b"no pixels", 400), (bomb(50_000), 400), (photo()[:9000], 400), (bytes(3_000_001), 400)]
)
async def test_what_cannot_be_scored_is_remembered_too(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str], data: bytes, status: int
) -> None:
    store.objects["/demo/bad"] = data
    first = await assess(gateway, "bad", OSS)
    again = await assess(gateway, "bad", OSS)
    assert (first[0], again[0], error_of(again[2])) == (status, status, error_of(first[2]))
    assert (store.answered, decoded["score"]) == (Counter({200: 1, 304: 1}), 1)


async def test_a_refusal_is_remembered_for_a_while_only(
    store: FakeStore, scorer_address: str, decoded: Counter[str]
) -> None:
    store.objects |= {"/demo/bad": b"no pixels", "/demo/a.jpg": PHOTO}
    async with running_gateway(store.endpoint, scorer_address, cache={"negative_s": 0}) as gateway:
        for key in ("bad", "a.jpg"):
            for _ in range(2):
                await assess(gateway, key, OSS)
    assert decoded["score"] == 3


async def test_a_failure_is_not_remembered(store: FakeStore, scorer_address: str) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(store.endpoint, scorer_address) as gateway:
        store.faults["/demo/a.jpg"] = "truncate"
        assert (await assess(gateway, "a.jpg", OSS))[0] == 502
        del store.faults["/demo/a.jpg"]
        assert (await assess(gateway, "a.jpg", OSS))[0] == 200


async def test_what_is_known_is_told_only_with_the_stores_leave(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    await assess(gateway, "a.jpg", OSS)
    for fault, status in (("error:403:AccessDenied", 403), ("error:404:NoSuchKey", 404), ("reset", 502)):
        store.faults["/demo/a.jpg"] = fault
        for options in ({}, {"headers": {"If-None-Match": "*"}}):
            assert (await assess(gateway, "a.jpg", OSS, **options))[0] == status
    assert decoded["score"] == 1


async def test_one_upstream_keys_answers_are_not_anothers(
    store: FakeStore, scorer_address: str, decoded: Counter[str]
) -> None:
    store.objects |= {"/demo/a.jpg": PHOTO, "/theirs/a.jpg": PHOTO}
    upstream = {name: {"endpoint": store.endpoint, "access_key": name, "secret": "s"} for name in ("one", "two")}
    buckets = {"demo": {"upstream": "one"}, "theirs": {"upstream": "two", "store_name": "demo"}}
    async with running_gateway(store.endpoint, scorer_address, upstream=upstream, buckets=buckets) as gateway:
        for bucket in buckets:
            assert (await gateway.get(gateway.oss_url(bucket, "a.jpg", OSS)))[0] == 200
    assert (decoded["score"], "if-none-match" in store.seen[1].headers) == (2, False)


# --- many at once ---------------------------------------------------------------------------------------------------


async def at_once(gateway: GatewayUnderTest, store: FakeStore, count: int, key: str = "a.jpg") -> list[int]:
    """Ask so many times before the store's first body begins."""
    store.open_gate.clear()
    tasks = [asyncio.create_task(assess(gateway, key, OSS)) for _ in range(count)]
    await asyncio.sleep(0.5)
    store.open_gate.set()
    return [status for status, _, _ in await asyncio.gather(*tasks)]


async def test_200_questions_about_one_new_object_cost_one_download_and_one_decode(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    assert await at_once(gateway, store, 200) == [200] * 200
    assert (decoded["score"], store.sent, store.answered) == (1, len(PHOTO), Counter({200: 1, 304: 199}))


async def test_when_the_first_client_holds_the_answer_one_of_the_others_finds_it_out(
    store: FakeStore, scorer_address: str, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(store.endpoint, scorer_address) as before:
        held = (await assess(before, "a.jpg", OSS))[1]["ETag"]
    decoded.clear()
    store.answered.clear()
    async with running_gateway(store.endpoint, scorer_address) as gateway:  # which remembers nothing
        store.open_gate.clear()
        leader = asyncio.create_task(assess(gateway, "a.jpg", OSS, headers={"If-None-Match": held}))
        await asyncio.sleep(0.2)
        asking = asyncio.create_task(at_once(gateway, store, 20))
        assert ((await leader)[0], await asking) == (304, [200] * 20)
    assert (decoded["score"], store.answered[200], store.answered[304]) == (1, 1, 20)


async def test_what_serves_only_the_first_ones_question_is_found_out_once_for_the_others(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    store.objects["/demo/tiny.png"] = photo(160, 120, "PNG")
    store.open_gate.clear()
    leader = asyncio.create_task(assess(gateway, "tiny.png", COS))
    await asyncio.sleep(0.2)
    assert await at_once(gateway, store, 20, "tiny.png") == [200] * 20
    assert ((await leader)[0], decoded["score"]) == (200, 2)


async def test_an_object_that_was_written_again_with_the_same_bytes_tells_when(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    await assess(gateway, "a.jpg", OSS)
    store.told = {"Last-Modified": "Tue, 24 Nov 2026 05:01:25 GMT", "x-amz-storage-class": "STANDARD_IA"}
    _, headers, _ = await assess(gateway, "a.jpg", OSS)
    assert (headers["Last-Modified"], headers["x-oss-storage-class"]) == (store.told["Last-Modified"], "IA")
    assert (decoded["score"], store.answered[304]) == (1, 1)


async def test_many_who_meet_a_changed_object_cost_one_decode(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    await assess(gateway, "a.jpg", OSS)
    store.objects["/demo/a.jpg"] = photo(400, 300)
    assert await at_once(gateway, store, 20) == [200] * 20
    assert decoded["score"] == 2


async def test_many_who_wait_for_a_fault_are_told_it_and_do_not_try_again_one_by_one(
    store: FakeStore, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(store.endpoint, "/nonexistent") as gateway:
        assert await at_once(gateway, store, 20) == [500] * 20
    assert (decoded["score"], len(store.seen)) == (1, 1)


async def test_when_the_first_client_leaves_another_takes_over(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.open_gate.clear()
    first = asyncio.create_task(assess(gateway, "a.jpg", OSS))
    await asyncio.wait_for(store.entered.wait(), 5)
    others = [asyncio.create_task(assess(gateway, "a.jpg", OSS)) for _ in range(3)]
    await asyncio.sleep(0.2)
    first.cancel()
    await asyncio.wait_for(store.aborted.wait(), 5)
    store.open_gate.set()
    assert [status for status, _, _ in await asyncio.gather(*others)] == [200] * 3
    assert (store.sent, store.answered) == (len(PHOTO), Counter({200: 2, 304: 2}))


# --- no more than is needed -----------------------------------------------------------------------------------------


def long_header(count: int) -> bytes:
    """A JPEG whose size stands behind so many segments of 60,000 bytes."""
    segment = b"\xff\xec" + (60_000).to_bytes(2, "big") + bytes(59_998)
    return PHOTO[:2] + segment * count + PHOTO[2:]


@pytest.mark.parametrize("process", [INFO, COS_INFO])
async def test_information_costs_the_first_bytes_of_a_large_object(
    gateway: GatewayUnderTest, store: FakeStore, process: str
) -> None:
    store.objects["/demo/large.jpg"] = PHOTO + bytes(2_000_000)
    answers = [await assess(gateway, "large.jpg", process) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 200]
    assert str(len(PHOTO) + 2_000_000).encode() in answers[0][2]
    assert (store.sent, store.answered) == (65_536, Counter({206: 1, 304: 1}))
    assert answers[0][2] == answers[1][2]


async def test_a_header_that_is_longer_is_read_on(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/late.jpg"] = long_header(3)
    status, _, body = await assess(gateway, "late.jpg", INFO)
    assert (status, json.loads(body)["ImageWidth"]) == (200, {"value": "800"})
    assert [seen.headers["range"] for seen in store.seen] == ["bytes=0-65535", "bytes=65536-"]
    assert store.seen[1].headers["if-match"] == etag(long_header(3))


async def test_a_store_without_ranges_and_an_object_without_bytes_are_taken_as_they_are(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects["/demo/empty"] = b""
    assert (await assess(gateway, "empty", INFO))[0] == 400
    store.honours_ranges = False
    status, _, body = await assess(gateway, "a.jpg", INFO)
    assert (status, json.loads(body)["FileSize"]) == (200, {"value": str(len(PHOTO))})


async def test_an_object_that_changes_between_two_ranges_is_no_answer(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects["/demo/late.jpg"] = long_header(3)
    store.answers["GET /demo/late.jpg"] = (
        206,
        long_header(3)[:65_536],
        {"ETag": '"old"', "Content-Range": f"bytes 0-65535/{len(long_header(3))}", "Content-Length": "65536"},
    )
    answering = asyncio.create_task(assess(gateway, "late.jpg", INFO))
    await asyncio.wait_for(store.entered.wait(), 5)
    store.answers["GET /demo/late.jpg"] = (412, b"", {})
    assert (await answering)[0] == 502


async def test_a_small_picture_is_told_by_its_header_where_nothing_else_is_told(
    gateway: GatewayUnderTest, store: FakeStore, decoded: Counter[str]
) -> None:
    store.objects["/demo/tiny.png"] = photo(160, 120, "PNG")
    for _ in range(2):
        status, _, body = await assess(gateway, "tiny.png", COS)
        assert (status, b"<SmallImage>TRUE</SmallImage>" in body, decoded["score"]) == (200, True, 1)
    for _ in range(2):
        status, _, body = await assess(gateway, "tiny.png", OSS)
        assert (status, score_of(body)["OverallQualityScore"] > 0, decoded["score"]) == (200, True, 2)
    assert ((await assess(gateway, "tiny.png", COS))[0], decoded["score"]) == (200, 2)


async def test_the_rest_of_a_small_picture_is_not_downloaded(store: FakeStore) -> None:
    store.objects["/demo/tiny.png"] = photo(160, 120, "PNG") + bytes(64 * 1024 * 1024)
    async with running_gateway(store.endpoint, "/nonexistent") as gateway:
        assert (await assess(gateway, "tiny.png", COS))[0] == 200
        await asyncio.wait_for(store.aborted.wait(), 5)
    assert store.sent < 24 * 1024 * 1024, "sockets on loopback hold some megabytes, no more"


async def test_a_declared_length_over_the_limit_ends_the_download_at_once(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects["/demo/huge.jpg"] = PHOTO + bytes(64 * 1024 * 1024)
    assert (await assess(gateway, "huge.jpg", OSS))[0] == 400
    await asyncio.wait_for(store.aborted.wait(), 5)
    assert store.sent < 24 * 1024 * 1024, "sockets on loopback hold some megabytes, no more"
