from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from yarl import URL

from gateway.app import utc_now
from gateway.credentials import Secret
from gateway.dialects.base import StoreRequest
from gateway.errors import UPSTREAM_BROKEN, ApiError
from gateway.stores.breaker import _MOST_SAVED
from gateway.stores.endpoints import Endpoints
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.upstream import Upstream
from gateway.stores.upstream_settings import UpstreamSettings
from tests.fake_store import FakeStore, fake_store

A, B, C = (URL(f"http://{name}") for name in "abc")


def test_the_addresses_take_turns() -> None:
    endpoints = Endpoints((A, B, C))
    assert Counter(endpoints.order(0.0)[0] for _ in range(9)) == {A: 3, B: 3, C: 3}
    assert all(set(endpoints.order(0.0)) == {A, B, C} for _ in range(3))


def test_one_that_failed_comes_last_until_it_has_rested_or_answered() -> None:
    endpoints = Endpoints((A, B, C))
    endpoints.rest(B, 100.0)
    assert all(endpoints.order(104.9)[-1] == B for _ in range(6))
    assert {endpoints.order(105.0)[0] for _ in range(3)} == {A, B, C}
    endpoints.rest(B, 200.0)
    endpoints.answered(B)
    assert {endpoints.order(200.0)[0] for _ in range(3)} == {A, B, C}


def test_while_all_rest_all_are_asked() -> None:
    endpoints = Endpoints((A, B))
    for each in (A, B):
        endpoints.rest(each, 0.0)
    assert set(endpoints.order(1.0)) == {A, B}


def test_retries_are_a_tenth_of_the_requests_once_the_savings_are_spent() -> None:
    endpoints = Endpoints((A, B))
    assert sum(endpoints.may_retry() for _ in range(100)) == _MOST_SAVED
    retried = 0
    for _ in range(1000):
        endpoints.order(0.0)
        retried += endpoints.may_retry()
    assert retried in (99, 100)


@pytest.mark.parametrize(("method", "fails"), [("GET", 0), ("HEAD", 0), ("DELETE", 2), ("POST", 2)])
async def test_what_broke_off_goes_elsewhere_only_if_it_does_no_harm_twice(method: str, fails: int) -> None:
    outcomes: Counter[str] = Counter()

    def told(outcome: str, _: float | None) -> None:
        outcomes[outcome] += 1

    async with fake_store() as good, fake_store() as bad:
        good.objects["/demo/a"], bad.faults["/demo/a"] = b"hello", "reset"
        good.answers["POST /demo/a"] = (200, b"", {})
        row = UpstreamSettings(bad.endpoint, endpoints=(good.endpoint,))
        upstream = Upstream(row, StaticKey(UpstreamKey("up", Secret("any"))), utc_now, on_outcome=told)
        failed = []
        for _ in range(4):
            good.objects["/demo/a"] = b"hello"
            try:
                async with upstream.open("demo", StoreRequest(method, "a", "", ())) as answer:
                    assert answer.status in (200, 204)
            except ApiError as error:
                failed.append(error.kind)
        await upstream.close()
    assert (failed, outcomes["broken"]) == ([UPSTREAM_BROKEN] * fails, 2)


async def test_a_look_at_the_addresses_takes_the_dead_ones_out_of_turn() -> None:
    async with fake_store() as good:
        row = UpstreamSettings("http://127.0.0.1:9", endpoints=(good.endpoint,))
        outcomes: list[str] = []
        key = StaticKey(UpstreamKey("up", Secret("any")))
        upstream = Upstream(row, key, utc_now, on_outcome=lambda outcome, _: outcomes.append(outcome))
        assert await upstream.failure() == ""
        good.objects["/demo/a"] = b"hello"
        for _ in range(4):
            async with upstream.open("demo", StoreRequest("GET", "a", "", ())) as answer:
                assert answer.status == 200
        await upstream.close()
    assert outcomes == ["200"] * 4
    assert isinstance(good, FakeStore)


async def test_a_store_that_answers_a_look_with_more_than_a_head_is_there() -> None:
    """What Ceph RGW says to `HEAD /`: the empty chunk that ends a body must not come."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: Keep-Alive\r\n\r\n0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    row = UpstreamSettings(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    upstream = Upstream(row, StaticKey(UpstreamKey("up", Secret("any"))), utc_now)
    assert [await upstream.failure() for _ in range(5)] == [""] * 5
    await upstream.close()
    server.close()
