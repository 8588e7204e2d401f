"""Uploads that stand still, are refused before they come, or carry bytes that text cannot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.harness import GatewayUnderTest, impatient, running_gateway
from tests.journeys.test_forward import signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_store import FakeStore


@asynccontextmanager
async def deaf_store() -> AsyncIterator[str]:
    """A store that accepts connections and never reads from them."""
    gone = asyncio.Event()

    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0, limit=1)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        gone.set()
        server.close()


@asynccontextmanager
async def connected(gateway: GatewayUnderTest) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.authority.partition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


def put(
    gateway: GatewayUnderTest, length: int, *, signature: dict[str, str] | None = None, extra: bytes = b""
) -> bytes:
    headers = signature or signed(gateway, "PUT", "/demo/new")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"PUT /demo/new HTTP/1.1\r\nHost: {gateway.authority}\r\nContent-Length: {length}\r\n{lines}"
    return start.encode() + extra + b"\r\n"


async def test_a_store_that_stops_reading_is_a_504() -> None:
    async with (
        deaf_store() as endpoint,
        running_gateway(endpoint, upstream=impatient(endpoint)) as gateway,
        connected(gateway) as (reader, writer),
    ):
        writer.write(put(gateway, 50_000_000))
        sending = asyncio.create_task(flood(writer))
        answer = await asyncio.wait_for(reader.readline(), 10)
        sending.cancel()
    assert answer == b"HTTP/1.1 504 Gateway Timeout\r\n"


async def flood(writer: asyncio.StreamWriter) -> None:
    for _ in range(50):
        writer.write(bytes(1_000_000))
        await writer.drain()


async def test_a_client_that_stops_sending_is_a_400_and_leaves_no_object(store: FakeStore) -> None:
    async with (
        running_gateway(store.endpoint, upstream=impatient(store.endpoint)) as gateway,
        connected(gateway) as (reader, writer),
    ):
        writer.write(put(gateway, 1000) + b"z" * 999)
        answer = await asyncio.wait_for(reader.read(4000), 10)
        await asyncio.wait_for(store.aborted.wait(), 5)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"<Code>RequestTimeout</Code>" in answer
    assert store.objects == {}


async def test_an_upload_that_keeps_moving_is_not_hurried(store: FakeStore) -> None:
    async with (
        running_gateway(store.endpoint, upstream=impatient(store.endpoint)) as gateway,
        connected(gateway) as (reader, writer),
    ):
        writer.write(put(gateway, 6))
        for _ in range(6):
            await asyncio.sleep(0.15)
            writer.write(b"z")
        assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 200 OK\r\n"
    assert store.objects["/demo/new"] == b"zzzzzz"


async def test_a_refused_upload_that_never_came_ends_the_connection(store: FakeStore) -> None:
    """Whether its body still comes nobody can tell, and the next request must not be taken for it."""
    async with running_gateway(store.endpoint) as gateway, connected(gateway) as (reader, writer):
        good = signed(gateway, "PUT", "/demo/new")
        bad = {**good, "authorization": good["authorization"].replace("Signature=", "Signature=0")[:-1]}
        writer.write(put(gateway, 1000, signature=bad, extra=b"Expect: 100-continue\r\n"))
        answer = await asyncio.wait_for(reader.readuntil(b"</Error>"), 5)
        writer.write(f"GET /demo/a HTTP/1.1\r\nHost: {gateway.authority}\r\n\r\n".encode())
        assert await asyncio.wait_for(reader.read(), 15) == b"", "nothing more is answered here"
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"Connection: close\r\n" in answer


async def test_metadata_that_is_not_utf_8_comes_back_as_the_store_sent_it() -> None:
    head = b"HTTP/1.1 200 OK\r\nx-amz-meta-n: caf\xe9\r\nContent-Length: 5\r\n\r\nhello"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, running_gateway(endpoint) as gateway, connected(gateway) as (reader, writer):
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed(gateway, "GET", "/demo/a").items())
        writer.write(f"GET /demo/a HTTP/1.1\r\nHost: {gateway.authority}\r\n{lines}\r\n".encode())
        received = await asyncio.wait_for(reader.readuntil(b"hello"), 5)
    assert b"x-amz-meta-n: caf\xe9\r\n" in received


async def test_a_header_that_could_not_be_sent_on_is_refused(store: FakeStore) -> None:
    async with running_gateway(store.endpoint) as gateway, connected(gateway) as (reader, writer):
        writer.write(put(gateway, 0, extra=b"X-Foo: caf\xe9\r\n"))
        assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 400 Bad Request\r\n"
    assert store.seen == []


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
async def test_a_silent_connection_is_closed(store: FakeStore, start: bytes) -> None:
    async with (
        running_gateway(store.endpoint, server={"silence_s": 0.4}) as gateway,
        connected(gateway) as (reader, writer),
    ):
        writer.write(start)
        assert await asyncio.wait_for(reader.read(), 5) == b""
