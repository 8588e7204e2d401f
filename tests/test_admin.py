from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.admin import admin_handler, not_ready
from gateway.app import utc_now
from gateway.credentials import Secret
from gateway.scoreboard import SCORERS_RUNNING, Page
from gateway.settings import load, masked
from gateway.store_watch import StoreWatch
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.upstream import Upstream
from gateway.telemetry import Telemetry
from gateway.telemetry_settings import TelemetrySettings
from tests.fake_store import FakeStore, served
from tests.ports import free_port
from tests.test_telemetry import fetched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest


def page(scorers: int) -> Page:
    made = Page()
    made.write(Counter({(SCORERS_RUNNING,): scorers}))
    return made


def test_readiness_needs_a_store_that_answers_a_living_scorer_and_no_end_in_sight() -> None:
    assert not_ready(Telemetry(ready=True), [Page()]) == []
    assert not_ready(Telemetry(ready=True, stores={"a": False, "b": True}), [page(1), Page()]) == []
    lost = Telemetry(ready=False, stores={"b": False, "a": False})
    assert not_ready(lost, [page(0)]) == [
        "not serving: starting, or draining",
        "no store answers: a, b",
        "no scorer process lives",
    ]


def test_a_pod_that_has_been_ready_stays_so_without_its_store_unless_it_is_told_otherwise() -> None:
    gone = {"a": False}
    assert not_ready(Telemetry(ready=True, stores=gone), [page(1)]) == []
    strict = TelemetrySettings(unready_without_store=True)
    assert not_ready(Telemetry(ready=True, settings=strict, stores=gone), [page(1)]) == ["no store answers: a"]
    assert not_ready(Telemetry(ready=True, settings=strict, stores={"a": False, "b": True}), [page(1)]) == []


async def test_readiness_says_why_not() -> None:
    telemetry = Telemetry(ready=False, stores={"main": False})
    async with served(web.Server(admin_handler(telemetry, Page(), [page(0)]), access_log=None)) as url:
        status, _, text = await fetched(f"{url}/readyz")
        assert (status, text) == (
            503,
            "not serving: starting, or draining\nno store answers: main\nno scorer process lives\n",
        )


async def test_the_settings_in_force_are_shown_without_their_secrets() -> None:
    base = {"upstream": {"main": {"endpoint": "http://x", "access_key": "up", "secret": "hush-hush"}}}
    shown = masked(load(None, {}, {**base, "tasks": {"url": "redis://:hush-hush@x/0"}}))
    async with served(web.Server(admin_handler(Telemetry(), Page(), shown=lambda: shown), access_log=None)) as url:
        status, kind, text = await fetched(f"{url}/debug/config")
    assert (status, kind, json.loads(text)["upstream"]["main"]["access_key"]) == (200, "application/json", "up")
    assert "hush" not in text


@asynccontextmanager
async def watched(endpoint: str, reachable: dict[str, bool]) -> AsyncIterator[StoreWatch]:
    row = load(None, {}, {"upstream": {"main": {"endpoint": endpoint, "connect_timeout_s": 0.2}}}).upstream["main"]
    upstream = Upstream(row, StaticKey(UpstreamKey("up", Secret("hush"))), utc_now)
    watch = StoreWatch({"main": upstream}, reachable, 0.01)
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await upstream.close()


async def until(reachable: dict[str, bool], *, is_there: bool) -> None:
    async with asyncio.timeout(10):
        while reachable.get("main") is not is_there:  # noqa: ASYNC110 # a dictionary tells nobody
            await asyncio.sleep(0.005)


async def test_a_store_that_goes_and_comes_back_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port, reachable = free_port(), dict[str, bool]()
    async with watched(f"http://127.0.0.1:{port}", reachable) as watch:
        await until(reachable, is_there=False)
        assert not watch.answered.is_set()
        server = web.Server(FakeStore().handle)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", port)
        await until(reachable, is_there=True)
        assert watch.answered.is_set()
        listener.close()
        await server.shutdown(0)
        await until(reachable, is_there=False)
    said = [each.getMessage() for each in caplog.records if "store main" in each.getMessage()]
    assert [each.partition(": ")[0] for each in said] == [
        "store main does not answer",
        "store main answers again",
        "store main does not answer",
    ]
    assert said[0].endswith(", waiting for it")
    assert not said[2].endswith(", waiting for it")


async def test_a_store_that_refuses_everything_is_there_and_a_silent_one_is_not(store: FakeStore) -> None:
    for fault, is_there in (("error:503:SlowDown", True), ("error:403:AccessDenied", True), ("silent", False)):
        store.faults["/"], reachable = fault, dict[str, bool]()
        async with watched(store.endpoint, reachable):
            await until(reachable, is_there=is_there)


async def test_with_0_the_stores_are_not_asked(store: FakeStore) -> None:
    watch = StoreWatch({}, {}, 0)
    await watch.run()
    assert watch.answered.is_set()
    assert store.seen == []
