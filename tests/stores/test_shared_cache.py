"""Results that several gateways share, on a real Redis."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.credentials import Secret
from gateway.stores.cache import MemoryResults, SharedResults, _Lock
from gateway.stores.cache_settings import CacheSettings
from tests.harness import running_gateway
from tests.journeys.test_analyse import OSS, assess, photo
from tests.journeys.test_examine import PHOTO, at_once, decoded, score_of
from tests.stores.test_cache import Work

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Callable

    import pytest

    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest

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


async def test_a_brief_value_is_brief_for_those_too_who_have_it_from_others(redis_url: str) -> None:
    async with shared(redis_url, negative_s=0.2) as one, shared(redis_url) as other:
        await one.put("a", b"1", brief=True)
        assert await other.get("a") == b"1"
        await asyncio.sleep(0.3)
        assert await other.get("a") is None


async def test_what_has_turned_out_to_be_old_is_not_got_again(redis_url: str) -> None:
    async with shared(redis_url) as one, shared(redis_url) as other:
        await one.put("a", b"old")
        assert await other.get("a") == b"old"
        assert await other.get("a", unlike=b"old") is None
        await one.put("a", b"new")
        assert await other.get("a", unlike=b"old") == b"new"
        assert other.near("a") == b"new"


@asynccontextmanager
async def far(redis_url: str, delay_s: Callable[[bytes], float]) -> AsyncIterator[str]:
    """Stand before a Redis whose answers come late, by what `delay_s` makes of the commands; yield another URL."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_unix_connection(redis_url.removeprefix("unix://"))
        try:
            while asked := await reader.read(65_536):
                commands.write(asked)
                answer = await answers.read(65_536)
                await asyncio.sleep(delay_s(asked))
                writer.write(answer)
        finally:
            commands.close()
            writer.close()

    links: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(lambda *both: links.append(asyncio.ensure_future(pass_on(*both))), "127.0.0.1")
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)


async def test_a_lease_whose_answer_came_too_late_is_given_back(redis_url: str) -> None:
    late_s = [0.4]

    def once(asked: bytes) -> float:
        return late_s.pop() if late_s and b"NX" in asked else 0.0

    async with far(redis_url, once) as url, shared(url, timeout_s=0.2) as one, shared(redis_url) as other:
        async with one.lease("a") as lease:
            assert lease is not None
            assert await other._redis.exists("gateway:lease:a"), "it has arrived"
        assert not await other._redis.exists("gateway:lease:a")
    assert not late_s


async def test_a_lease_that_cannot_be_given_back_is_given_back_later(redis_url: str) -> None:
    async with shared(redis_url) as other:
        async with shared(redis_url, timeout_s=0.2) as one:
            async with one.lease("a"):
                await other._redis.execute_command("CLIENT", "PAUSE", "600", "WRITE")
            assert one._unlocking, "the server did nothing in time"
        assert not await other._redis.exists("gateway:lease:a"), "who closes waits for it"


async def test_whoever_leaves_while_it_asks_for_the_lease_gives_it_back(redis_url: str) -> None:
    asked = asyncio.Event()

    def slowly(command: bytes) -> float:
        if b"NX" in command:
            asked.set()
        return 0.05

    async def leave() -> None:
        async with one.lease("a"):
            raise AssertionError("it has not come yet")

    async with far(redis_url, slowly) as url, shared(url) as one, shared(redis_url) as other:
        asking = asyncio.create_task(leave())
        await asyncio.wait_for(asked.wait(), 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert not await other._redis.exists("gateway:lease:a")


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
        await one._lock("a", _Lock("gateway:lease:a", "a token of nobody"))
        started = time.monotonic()
        async with other.lease("a") as lease:
            assert lease is not None
        assert time.monotonic() - started >= 0.25


async def test_a_lease_that_has_passed_on_is_not_given_up_for_its_new_owner(redis_url: str) -> None:
    async with shared(redis_url, lease_s=0.05) as slow, shared(redis_url) as next_one:
        async with slow.lease("a"):
            await asyncio.sleep(0.1)
            await next_one._lock("a", _Lock("gateway:lease:a", "next"))
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


@asynccontextmanager
async def several(count: int, store: FakeStore, scorers: str, url: str) -> AsyncIterator[list[GatewayUnderTest]]:
    """Run gateways that share a cache and the score of `/demo/a.jpg`."""
    cache = {"url": url, "timeout_s": 20}
    async with AsyncExitStack() as stack:
        running = [running_gateway(store.endpoint, scorers, cache=cache) for _ in range(count)]
        gateways = [await stack.enter_async_context(each) for each in running]
        for each in gateways:
            assert (await assess(each, "a.jpg", OSS))[0] == 200
        yield gateways


async def test_an_object_that_has_changed_is_scored_by_one_gateway_for_all(
    store: FakeStore, scorer_address: str, redis_url: str, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    async with several(3, store, scorer_address, redis_url) as gateways:
        assert decoded["score"] == 1
        store.objects["/demo/a.jpg"] = photo(820, 600)
        for each in gateways:
            assert (await assess(each, "a.jpg", OSS))[0] == 200
        assert decoded["score"] == 2
        store.objects["/demo/a.jpg"] = photo(600, 820)
        store.open_gate.clear()
        asking = [asyncio.create_task(assess(gateways[number % 3], "a.jpg", OSS)) for number in range(12)]
        await asyncio.sleep(0.5)
        store.open_gate.set()
        assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}
    assert decoded["score"] == 3


async def test_without_memory_one_flight_still_serves_all(
    store: FakeStore, scorer_address: str, redis_url: str, decoded: Counter[str]
) -> None:
    store.objects["/demo/a.jpg"] = PHOTO
    cache = {"url": redis_url, "timeout_s": 20, "memory_bytes": 0}
    async with running_gateway(store.endpoint, scorer_address, cache=cache) as gateway:
        assert await at_once(gateway, store, 30) == [200] * 30
    assert decoded["score"] == 1


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
