"""Results that several gateways share, on a real Redis."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.credentials import Secret
from gateway.stores.cache import MemoryResults, SharedResults
from gateway.stores.cache_settings import CacheSettings
from tests.harness import running_gateway
from tests.journeys.test_analyse import OSS, assess
from tests.journeys.test_examine import PHOTO, decoded, score_of
from tests.stores.test_cache import Work

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator

    import pytest

    from tests.fake_store import FakeStore

__all__ = ["decoded"]
GONE = "unix:///nonexistent/redis.sock"


@asynccontextmanager
async def shared(url: str, *events: list[str], **settings: Any) -> AsyncIterator[SharedResults]:
    noted = events[0].append if events else lambda _: None
    results = SharedResults(MemoryResults(100_000, 60, noted), CacheSettings(url=Secret(url), **settings))
    try:
        yield results
    finally:
        await results.close()


async def test_what_one_gateway_puts_another_gets(redis_url: str) -> None:
    async with shared(redis_url) as one, shared(redis_url) as other:
        await one.put("a", b"\x00\xff")
        assert (await other.get("a"), await other.get("b")) == (b"\x00\xff", None)


async def test_a_brief_value_is_shared_briefly(redis_url: str) -> None:
    async with shared(redis_url, negative_s=0.05) as one, shared(redis_url) as other:
        await one.put("brief", b"1", brief=True)
        await one.put("long", b"2")
        await asyncio.sleep(0.1)
        assert (await other.get("brief"), await other.get("long")) == (None, b"2")


async def test_one_task_of_all_gateways_has_the_lease_at_a_time(redis_url: str) -> None:
    async with shared(redis_url) as one, shared(redis_url) as other:
        first, second = Work(one), Work(other)
        working = asyncio.create_task(first.many(10))
        await asyncio.sleep(0)
        second.go.set()
        waiting = [asyncio.create_task(second.one()) for _ in range(10)]
        await asyncio.gather(working, *waiting)
        assert (first.leased, second.leased) == (1, 1), "the other gateway's one looks again, and finds the result"


async def test_the_lease_of_a_gateway_that_has_died_ends_by_itself(redis_url: str) -> None:
    async with shared(redis_url, lease_s=0.3) as one, shared(redis_url) as other:
        await one._lock("a", "a token of nobody")
        started = time.monotonic()
        async with other.lease("a") as lease:
            assert lease is not None
        assert time.monotonic() - started >= 0.25


async def test_a_lease_that_has_passed_on_is_not_given_up_for_its_new_owner(redis_url: str) -> None:
    async with shared(redis_url, lease_s=0.05) as slow, shared(redis_url) as next_one:
        async with slow.lease("a"):
            await asyncio.sleep(0.1)
            await next_one._lock("a", "next")
        assert await next_one._redis.get("gateway:lease:a") == b"next"


async def test_without_a_server_it_is_as_if_it_were_empty(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    async with shared(GONE, events) as results:
        assert await results.get("a") is None
        await results.put("a", b"1")
        assert await results.get("a") == b"1", "memory still serves"
        work = Work(results)
        assert sorted(map(str, await work.many(5))) == [*["waited"] * 4, "worked"]
    assert events == ["shared_failed"], "after a failure it is left alone for a moment"
    assert caplog.text.count("does not answer") == 1


async def test_a_server_that_is_silent_costs_its_timeout_once() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    events: list[str] = []
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with shared(url, events, timeout_s=0.05) as results:
        for name in "abcdef":
            assert await results.get(name) is None
    assert events == ["shared_failed"]
    await gone.wait()
    server.close()


async def test_a_cancelled_command_leaves_no_answer_for_the_next_one(redis_url: str) -> None:
    async with shared(redis_url) as results:
        for number in range(50):
            await results._redis.set(f"gateway:result:{number}", b"%d" % number)
        for number in range(0, 50, 2):
            asking = asyncio.create_task(results.get(f"{number}"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert await results.get(f"{number + 1}") == b"%d" % (number + 1)


# --- gateways -------------------------------------------------------------------------------------------------------


async def test_200_questions_to_two_gateways_cost_one_decode(
    store: FakeStore, scorer_address: str, redis_url: str, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    cache = {"url": redis_url, "timeout_s": 20}
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(running_gateway(store.endpoint, scorer_address, cache=cache))
            for _ in range(2)
        ]
        store.open_gate.clear()
        asking = [asyncio.create_task(assess(gateways[number % 2], "a.jpg", OSS)) for number in range(200)]
        await asyncio.sleep(0.5)
        store.open_gate.set()
        answers = await asyncio.gather(*asking)
    assert {status for status, _, _ in answers} == {200}
    assert len({score_of(body)["OverallQualityScore"] for _, _, body in answers}) == 1
    assert (decoded["score"], store.answered[200], store.answered[304]) == (1, 1, 199)


async def test_rubbish_in_the_shared_cache_is_as_nothing(
    store: FakeStore, scorer_address: str, redis_url: str, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(
        store.endpoint, scorer_address, cache={"url": redis_url, "memory_bytes": 0, "timeout_s": 20}
    ) as gateway:
        assert (await assess(gateway, "a.jpg", OSS))[0] == 200
        async with shared(redis_url) as results:
            (name,) = await results._redis.keys("gateway:result:*")
            await results._redis.set(name, b"\x80\x04pickle")
        assert [(await assess(gateway, "a.jpg", OSS))[0] for _ in range(2)] == [200, 200]
    assert (decoded["score"], store.answered) == (2, {200: 2, 304: 1})


async def test_a_shared_cache_that_goes_away_is_counted_and_costs_no_answer(
    store: FakeStore, scorer_address: str
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with running_gateway(store.endpoint, scorer_address, cache={"url": GONE}) as gateway:
        assert (await assess(gateway, "a.jpg", OSS))[0] == 200
        assert (await assess(gateway, "a.jpg", OSS))[0] == 200
        assert 'gateway_results_total{event="shared_failed"}' in gateway.telemetry.exposition()
