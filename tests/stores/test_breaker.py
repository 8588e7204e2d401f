"""An address that fails again and again is left alone but for one request now and then; second tries are bounded."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.app import utc_now
from gateway.credentials import Secret
from gateway.dialects.base import StoreRequest
from gateway.errors import UPSTREAM_BROKEN, UPSTREAM_LEFT_ALONE, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, ApiError
from gateway.stores.breaker import _MOST_SAVED, Breaker, RetryBudget
from gateway.stores.endpoints import Endpoints
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.upstream import Body, Upstream
from gateway.stores.upstream_settings import UpstreamSettings
from tests.fake_store import fake_store
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.errors import ErrorKind
    from gateway.stores.breaker import StoreEvent

A, B = URL("http://a"), URL("http://b")
READ = StoreRequest("GET", "a", "", ())


def test_it_opens_at_the_limit_of_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(3, 2.0)
    assert [breaker.failed(0.0), breaker.failed(0.0), breaker.answered()] == [False, False, False]
    assert [breaker.failed(1.0) for _ in range(4)] == [False, False, True, False]
    assert (breaker.is_open, breaker.admits(2.9), breaker.admits(3.0)) == (True, False, True)


def test_one_request_a_pause_tries_it_until_one_is_answered() -> None:
    breaker = Breaker(1, 2.0)
    breaker.failed(0.0)
    admitted = 0
    for tenths in range(1, 101):
        if breaker.admits(tenths / 10):
            breaker.asked(tenths / 10)
            breaker.failed(tenths / 10)
            admitted += 1
    assert admitted == 5, "in ten seconds"
    assert breaker.answered()
    assert breaker.admits(10.0)
    assert not breaker.answered(), "it had not been open again"


def test_one_that_is_seen_may_be_tried_at_once_but_stays_open() -> None:
    breaker = Breaker(1, 100.0)
    breaker.failed(0.0)
    breaker.seen()
    assert (breaker.admits(1.0), breaker.is_open) == (True, True)
    breaker.asked(1.0)
    assert not breaker.admits(2.0)


def test_a_limit_of_zero_never_opens() -> None:
    breaker = Breaker(0, 2.0)
    assert not any(breaker.failed(0.0) for _ in range(100))
    assert breaker.admits(0.0)


@given(st.lists(st.sampled_from("fas"), max_size=60), st.integers(1, 5))
def test_it_is_open_only_after_so_many_failures_in_a_row(events: list[str], limit: int) -> None:
    breaker, in_a_row = Breaker(limit, 1.0), 0
    for event in events:
        if event == "f":
            breaker.failed(0.0)
            in_a_row += 1
        elif event == "a":
            breaker.answered()
            in_a_row = 0
        else:
            breaker.seen()
        assert breaker.is_open == (in_a_row >= limit)


@given(st.lists(st.floats(0, 5), max_size=300), st.floats(0.01, 1))
def test_second_tries_are_a_share_of_the_requests_and_a_few(waits: list[float], share: float) -> None:
    budget, now, spent = RetryBudget(share), 0.0, 0
    for wait in waits:
        now += wait
        budget.earn(now)
        spent += budget.spend()
    assert spent <= _MOST_SAVED + share * len(waits) + now / 10 + 1e-6


def test_a_share_of_zero_means_no_second_try() -> None:
    budget = RetryBudget(0.0)
    budget.earn(0.0)
    assert not budget.spend()


def test_who_asks_rarely_gets_a_second_try_all_the_same() -> None:
    budget = RetryBudget(0.01)
    budget.earn(0.0)
    while budget.spend():
        pass
    budget.earn(11.0)
    assert budget.spend()


def test_the_order_leaves_an_open_address_to_a_harmless_request() -> None:
    endpoints = Endpoints((A, B), failures=1, pause_s=2.0)
    assert endpoints.failed(A, 0.0)
    assert {endpoints.order(1.0)[0] for _ in range(4)} == {B}
    assert not endpoints.take(A, 1.0)
    assert {endpoints.order(2.0, harmless=False)[0] for _ in range(4)} == {B}
    assert endpoints.order(2.0)[0] == A
    assert [endpoints.take(A, 2.0), endpoints.take(A, 2.0)] == [True, False], "one tries it, no other"
    assert {endpoints.order(2.0)[0] for _ in range(4)} == {B}


def test_a_503_costs_a_second_try_and_opens_nothing() -> None:
    endpoints = Endpoints((A, B))
    for _ in range(int(_MOST_SAVED)):
        endpoints.slow_down()
    assert not endpoints.may_retry()
    assert endpoints.take(A, 0.0)


# --- at a store -------------------------------------------------------------------------------------------------


class Asking:
    """A store's client, and what it was told."""

    def __init__(self, upstream: Upstream, events: Counter[StoreEvent]) -> None:
        self.upstream, self.events = upstream, events

    async def get(self, request: StoreRequest = READ, body: Body | None = None) -> int | ErrorKind:
        try:
            async with self.upstream.open("demo", request, body) as answer:
                await answer.read(100)
                return answer.status
        except ApiError as error:
            return error.kind


@asynccontextmanager
async def asking(
    *addresses: str, failures: int = 3, pause_s: float = 60.0, share: float = 0.1
) -> AsyncIterator[Asking]:
    row = UpstreamSettings(
        addresses[0],
        addresses[1:],
        response_timeout_s=0.2,
        idle_timeout_s=0.2,
        breaker_failures=failures,
        breaker_pause_s=pause_s,
        retry_share=share,
    )
    events: Counter[StoreEvent] = Counter()
    key = StaticKey(UpstreamKey("up", Secret("any")))
    upstream = Upstream(row, key, utc_now, on_event=lambda event, _: events.update([event]))
    try:
        yield Asking(upstream, events)
    finally:
        await upstream.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("reset", UPSTREAM_BROKEN), ("silent", UPSTREAM_TIMEOUT)],
)
async def test_a_store_that_fails_again_and_again_is_asked_no_more(fault: str, kind: ErrorKind) -> None:
    async with fake_store() as store, asking(store.endpoint) as client:
        store.objects["/demo/a"], store.faults["/demo/a"] = b"hello", fault
        assert [await client.get() for _ in range(3)] == [kind] * 3
        seen = len(store.seen)
        assert [await client.get() for _ in range(20)] == [UPSTREAM_LEFT_ALONE] * 20
        assert len(store.seen) == seen
        assert client.events == {"opened": 1, "refused": 20}
        del store.faults["/demo/a"]
        assert await client.upstream.failure() == ""
        assert list(await asyncio.gather(client.get(), client.get())) == [200, UPSTREAM_LEFT_ALONE], "one tries it"
        assert [await client.get() for _ in range(5)] == [200] * 5
        assert client.events["closed"] == 1


async def test_a_store_that_is_not_there_is_not_connected_to_again_and_again() -> None:
    async with asking(f"http://127.0.0.1:{free_port()}") as client:
        got = [await client.get() for _ in range(10)]
    assert got == [UPSTREAM_UNREACHABLE] * 3 + [UPSTREAM_LEFT_ALONE] * 7


@pytest.mark.parametrize("fault", ["error:404:NoSuchKey", "error:503:SlowDown", "error:500:InternalError"])
async def test_what_a_store_answers_opens_nothing(fault: str) -> None:
    async with fake_store() as store, asking(store.endpoint, failures=1) as client:
        store.faults["/demo/a"] = fault
        assert {await client.get() for _ in range(5)} == {int(fault.split(":")[1])}
        assert client.events == {}


async def test_an_upload_that_broke_off_says_nothing_against_the_store() -> None:
    async def bytes_of_it() -> AsyncIterator[bytes]:
        yield b"hello"

    async with fake_store() as store, asking(store.endpoint, failures=1) as client:
        store.faults["/demo/a"] = "reset"
        put = StoreRequest("PUT", "a", "", ())
        assert [await client.get(put, Body(bytes_of_it(), 5)) for _ in range(3)] == [UPSTREAM_BROKEN] * 3
        assert client.events == {}


async def test_while_one_address_is_left_alone_all_go_to_the_other() -> None:
    async with fake_store() as good, fake_store() as bad, asking(bad.endpoint, good.endpoint, failures=2) as client:
        good.objects["/demo/a"], bad.faults["/demo/a"] = b"hello", "reset"
        assert [await client.get() for _ in range(20)] == [200] * 20
        assert client.events == {"opened": 1, "retry": 2}


async def test_second_tries_end_when_their_budget_is_spent() -> None:
    addresses = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    async with asking(*addresses, failures=0, share=0.001) as client:
        assert {await client.get() for _ in range(60)} == {UPSTREAM_UNREACHABLE}
        assert 10 <= client.events["retry"] < 60
        assert client.events["retry_denied"] == 60 - client.events["retry"]
