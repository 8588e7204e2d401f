"""Server-side request forgery: a table of URLs that must be refused, and the proof that nothing was connected to.

An audit hook sees each `connect` that Python makes, whoever makes it; it lets the test's own loopback servers be
reached and nothing else, so that no run of this file sends a packet to the addresses in the table.
"""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.errors import URL_NOT_ALLOWED, URL_UNREACHABLE, ApiError
from gateway.stores.fetch import Fetcher
from gateway.stores.fetch_rules import FetchSettings, fetch_rules
from tests.fake_store import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

TABLE: list[dict[str, Any]] = json.loads((Path(__file__).parent / "forbidden_urls.json").read_text())
SYSTEM = {"localhost": ["127.0.0.1"], "samples.test": ["127.0.0.1"]}


@dataclass
class _Watch:
    """What was connected to while `on`."""

    on: bool = False
    connected: list[tuple[Any, ...]] = field(default_factory=list)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "socket.connect" and isinstance(arguments[1], tuple):
            self.connected.append(arguments[1][:2])
            if arguments[1][0] != "127.0.0.1":
                raise ConnectionRefusedError("the test lets nobody out")


WATCH = _Watch()
sys.addaudithook(WATCH.hook)  # stays for the process; it looks at nothing unless it is switched on


@dataclass
class Network:
    """A hop that may be fetched from and redirects wherever it is told, and a canary that nobody may touch."""

    hop: int
    canary: int
    touched: list[str]
    asked: list[str] = field(default_factory=list)

    def fetcher(self, answers: Sequence[list[str]]) -> Fetcher:
        """A fetcher for the whole internet, with a resolver of the test's own; `answers` are for unknown names."""
        queue = list(answers)

        async def resolve(host: str, _port: int) -> Sequence[str]:
            self.asked.append(host)
            if host in SYSTEM:
                return SYSTEM[host]
            if not queue:
                raise OSError("no such name")
            return queue.pop(0) if len(queue) > 1 else queue[0]

        ports = ("80", "443", str(self.canary))
        settings = FetchSettings(remote=True, ports=ports, allow=(f"127.0.0.1:{self.hop}",), timeout_s=20)
        return Fetcher(fetch_rules(settings), resolve)


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    touched: list[str] = []

    async def canary(request: web.BaseRequest) -> web.Response:
        touched.append(request.raw_path)
        return web.Response(body=b"secret", content_type="image/png")

    async def hop(request: web.BaseRequest) -> web.Response:
        assert "Authorization" not in request.headers
        to = request.raw_path.partition("?to=")[2].replace("%5C", "\\")
        return web.Response(status=302, headers={"Location": to}) if to else web.Response(content_type="image/png")

    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(served(web.Server(handler, access_log=None))) for handler in (hop, canary)
        ]
        hop_port, canary_port = (int(url.rpartition(":")[2]) for url in urls)
        WATCH.connected.clear()
        WATCH.on = True
        yield Network(hop_port, canary_port, touched)
        WATCH.on = False


async def refused(fetcher: Fetcher, url: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        async with fetcher.open(url):
            pass
    return caught.value


@pytest.mark.parametrize("row", TABLE, ids=[row["why"] for row in TABLE])
async def test_a_forbidden_url_is_refused_and_nothing_is_connected_to(network: Network, row: dict[str, Any]) -> None:
    url = row["url"].replace("{canary}", str(network.canary)).replace("{hop}", str(network.hop))
    error = await refused(network.fetcher([row["resolves"]] if "resolves" in row else []), url)
    assert error.kind is URL_NOT_ALLOWED
    assert error.message == URL_NOT_ALLOWED.message
    assert set(WATCH.connected) <= {("127.0.0.1", network.hop)}
    assert network.touched == []


@pytest.mark.parametrize("row", TABLE, ids=[row["why"] for row in TABLE])
async def test_no_message_is_brought_to_a_forbidden_url(network: Network, row: dict[str, Any]) -> None:
    url = row["url"].replace("{canary}", str(network.canary)).replace("{hop}", str(network.hop))
    fetcher = network.fetcher([row["resolves"]] if "resolves" in row else [])
    if row["url"].startswith("http://samples.test"):  # its redirect is told, and not followed
        assert await fetcher.post(url, b"x", ()) == 302
    else:
        with pytest.raises(ApiError) as caught:
            await fetcher.post(url, b"x", ())
        assert caught.value.kind is URL_NOT_ALLOWED
    assert set(WATCH.connected) <= {("127.0.0.1", network.hop)}
    assert network.touched == []


async def test_a_name_that_changes_its_address_after_the_check_is_not_looked_up_again(network: Network) -> None:
    fetcher = network.fetcher([["93.184.216.34"], ["127.0.0.1"]])
    error = await refused(fetcher, f"http://rebinding.test:{network.canary}/")
    assert error.kind is URL_UNREACHABLE
    assert (network.asked, network.touched) == (["rebinding.test"], [])
    assert set(WATCH.connected) == {("93.184.216.34", network.canary)}


async def test_a_name_that_changes_its_address_between_two_hops_is_checked_at_both(network: Network) -> None:
    SYSTEM["turning.test"] = ["127.0.0.1"]
    try:
        fetcher = network.fetcher([["169.254.169.254"]])
        to = f"http://turned.test:{network.canary}/"
        error = await refused(fetcher, f"http://turning.test:{network.hop}/?to={to}")
    finally:
        del SYSTEM["turning.test"]
    assert error.kind is URL_NOT_ALLOWED
    assert network.asked == ["turning.test", "turned.test"]
    assert WATCH.connected == [("127.0.0.1", network.hop)]


async def test_every_address_of_a_name_is_tried_and_no_other(network: Network) -> None:
    fetcher = network.fetcher([["93.184.216.34", "1.1.1.1", "2606:4700::1111"]])
    error = await refused(fetcher, "https://several.test/")
    assert error.kind is URL_UNREACHABLE
    assert {host for host, _ in WATCH.connected} <= {"93.184.216.34", "1.1.1.1", "2606:4700::1111"}
    assert WATCH.connected


def test_the_table_is_as_long_as_was_promised_and_names_no_url_twice() -> None:
    assert len({row["why"] for row in TABLE}) == len(TABLE) >= 60
