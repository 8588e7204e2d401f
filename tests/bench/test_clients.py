"""What a gateway process holds for many clients; `make bench ARGS=memory-clients` is the longer form."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bench import clients
from bench.servers import signed
from tests.journeys.test_memory import endless_store
from tests.served import serving

if TYPE_CHECKING:
    from pathlib import Path

# What a gateway may hold of one body: two buffers of 256 KiB towards the store, what they make when put together, and
# what of that waits for the client.
BUFFERS_MB = 6 * 256 * 1024 / 1e6
# And for a connection without a request: its protocol, its socket, its parser, its task.
CONNECTION_MB = 0.1


def test_a_slow_reader_costs_a_few_buffers_and_an_idle_client_less_than_one(tmp_path: Path) -> None:
    with endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        place = gateway.place
        small, large = (signed(place.authority, f"/demo/{gb}", place.key_id, place.secret) for gb in (0, 1))
        held = asyncio.run(clients.watch(gateway.pid, small, large, seconds=5, idle=100, readers=20))
    assert (held.idle - held.at_rest) / 100 < CONNECTION_MB
    assert (max(held.over_time.values()) - held.idle) / 20 < BUFFERS_MB


def test_growth_is_the_slope_of_the_last_half() -> None:
    seen = {float(second): 500.0 - second if second < 60 else 100 + 2 * second / 60 for second in range(120)}
    assert clients.growth(seen) == pytest.approx(2)


def test_memory_beyond_the_bar_and_memory_that_grows_are_both_marked() -> None:
    def bars(megabytes: dict[float, float]) -> list[str]:
        return [row.bar for row in clients.told(clients.Held(50, 60, megabytes, 10)) if row.has_bar]

    assert bars(dict.fromkeys((120.0, 240.0, 360.0, 480.0), 100.0)) == ["<= 300", "<= 1"]
    assert bars({120.0: 290, 240.0: 294, 360.0: 298, 480.0: 302}) == ["<= 300 !", "<= 1 !"]


def test_a_short_look_says_nothing_about_growth() -> None:
    rows = clients.told(clients.Held(50, 60, {1.0: 100.0, 2.0: 110.0, 3.0: 120.0, 4.0: 130.0}, 10))
    assert [row.bar for row in rows if row.has_bar] == ["<= 300"]
