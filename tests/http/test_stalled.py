"""A client that asks and then reads nothing, or reads slowly."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from tests.harness import running_gateway

if TYPE_CHECKING:
    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest

BIG = bytes(48_000_000)  # more than every buffer on the way can hold
SILENCE_S = 0.6
IMPATIENT = {"silence_s": SILENCE_S}
OPEN = {"demo": {"anonymous": "configured", "anonymous_prefixes": [""]}}


async def asking(gateway: GatewayUnderTest) -> socket.socket:
    """Connect with a small receive buffer and ask for the big object."""
    host, _, port = gateway.authority.partition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    connection.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (host, int(port)))
    await loop.sock_sendall(connection, f"GET /demo/big HTTP/1.1\r\nHost: {gateway.authority}\r\n\r\n".encode())
    return connection


async def test_a_client_that_reads_nothing_is_cut_and_so_is_the_store(store: FakeStore) -> None:
    store.objects["/demo/big"] = BIG
    async with running_gateway(store.endpoint, server=IMPATIENT, buckets=OPEN) as gateway:
        with await asking(gateway):
            await asyncio.wait_for(store.aborted.wait(), 20)
    assert not any(seen.method != "GET" for seen in store.seen)


async def test_a_client_that_reads_slowly_is_not_cut(store: FakeStore) -> None:
    store.objects["/demo/big"] = BIG
    loop = asyncio.get_running_loop()
    async with running_gateway(store.endpoint, server=IMPATIENT, buckets=OPEN) as gateway:
        with await asking(gateway) as connection:
            until = loop.time() + 4 * SILENCE_S
            while loop.time() < until:
                assert await loop.sock_recv(connection, 65_536)
                await asyncio.sleep(0.1)
            assert not store.aborted.is_set()
