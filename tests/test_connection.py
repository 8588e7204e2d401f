from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway import listener
from gateway.dialects.base import Rendered
from gateway.errors import ApiError
from gateway.listener import PublicServer
from gateway.wire import Exchange
from tests.fake_store import served
from tests.test_handler import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.connection import Connection, Incoming

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = (("Content-Length", "10"),)


class Client:
    """One connection, used byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> bytes:
        """Read one answer that has a length; return its body."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        lines = head.decode().lower().split("\r\n")
        (length,) = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
        return await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Read until the connection ends, however it ends."""
        got = b""
        try:
            while piece := await asyncio.wait_for(self.reader.read(65_536), 5):
                got += piece
        except ConnectionResetError:
            pass
        return got


@asynccontextmanager
async def serving(
    handle: Callable[[Exchange], Awaitable[None]], client_buffer_bytes: int | None = None
) -> AsyncIterator[tuple[PublicServer, Client]]:
    """Serve with a handler of exchanges; yield the server, and a client of it, whose kernel may take but so much."""

    async def answer(incoming: Incoming) -> None:
        exchange = Exchange(incoming, 0)
        await handle(exchange)
        exchange.end()

    server = PublicServer(answer, lambda error: Rendered(error.kind.status, (), b"unreadable"))
    async with served(server) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        own = socket.socket()
        own.setblocking(False)  # noqa: FBT003 # the standard library's
        if client_buffer_bytes:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, client_buffer_bytes)
        await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=own)
        try:
            yield server, Client(reader, writer)
        finally:
            writer.close()


def text(body: bytes, status: int = 200) -> Rendered:
    return Rendered(status, (), body)


async def test_what_a_client_asks_ahead_of_the_answers_stays_with_it() -> None:
    go_on, answered = asyncio.Event(), 0

    async def handle(exchange: Exchange) -> None:
        nonlocal answered
        await go_on.wait()
        answered += 1
        await exchange.send(text(b"%d" % answered))

    async with serving(handle) as (server, client):
        client.writer.write(GET * 400)
        (connection,) = await connections(server)
        await eventually(lambda: connection.progress().requests >= 32)
        assert connection.progress().requests <= 33
        go_on.set()
        assert [await client.answer() for _ in range(400)] == [b"%d" % number for number in range(1, 401)]


async def connections(server: PublicServer) -> list[Connection]:
    await eventually(lambda: bool(server.connections))
    return [*server.connections]


def narrow(connection: Connection) -> None:
    """Let the kernel hold little of what its client does not take."""
    assert connection.transport is not None
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def test_a_malformed_chunk_fails_whoever_reads_the_body_at_once() -> None:
    begun = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        try:
            async for _ in exchange.body():
                begun.set()
        except ApiError as error:
            await exchange.send(text(b"broken", error.kind.status))

    async with serving(handle) as (_, client):
        client.writer.write(CHUNKED + b"3\r\nabc\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        client.writer.write(b"no number\r\n")
        assert await client.answer() == b"broken"
        assert await client.rest() == b"", "nothing can be told of what follows"


async def test_an_answer_that_ends_short_of_its_length_is_cut() -> None:
    async def handle(exchange: Exchange) -> None:
        await exchange.begin(200, None, LENGTH)
        await exchange.write(b"half")

    async with serving(handle) as (_, client):
        client.writer.write(GET + GET)
        assert (await client.rest()).count(b"HTTP/1.1 200 OK") <= 1


async def test_a_request_without_any_answer_is_cut() -> None:
    async def handle(exchange: Exchange) -> None:
        assert not exchange.begun

    async with serving(handle) as (_, client):
        client.writer.write(GET)
        assert await client.rest() == b""


async def test_an_answer_without_a_length_comes_in_chunks_and_the_connection_stays() -> None:
    async def handle(exchange: Exchange) -> None:
        await exchange.begin(200, "Fine", (("X-A", "1"),), held=True)
        for piece in (b"one", b"", b"two"):
            await exchange.write(piece)

    async with serving(handle) as (_, client):
        for _ in range(2):
            client.writer.write(GET)
            got = await asyncio.wait_for(client.reader.readuntil(b"0\r\n\r\n"), 5)
            head, _, body = got.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nDate: ")
            assert head.endswith(b"\r\nTransfer-Encoding: chunked")
            assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b"])
async def test_no_header_can_hold_another_one(value: str) -> None:
    async def handle(exchange: Exchange) -> None:
        with pytest.raises(ValueError, match="line break"):
            await exchange.begin(200, None, (("X-A", value),))
        await exchange.send(text(b"refused"))

    async with serving(handle) as (_, client):
        client.writer.write(GET)
        assert await client.answer() == b"refused"


async def test_an_upload_goes_on_while_the_process_drains_and_no_request_follows_it() -> None:
    begun = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        body = b""
        async for piece in exchange.body():
            begun.set()
            body += piece
        await exchange.send(text(body))

    async with serving(handle) as (server, client):
        client.writer.write(CHUNKED + b"3\r\none\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        server.pre_shutdown()
        client.writer.write(b"3\r\ntwo\r\n0\r\n\r\n" + GET)
        assert await client.answer() == b"onetwo"
        assert await client.rest() == b""


async def test_what_overruns_the_drain_is_cut_and_stopped() -> None:
    stopped = asyncio.Event()

    async def handle(_: Exchange) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with serving(handle) as (server, client):
        client.writer.write(GET)
        (connection,) = await connections(server)
        await eventually(lambda: connection.progress().answering)
        server.pre_shutdown()
        await asyncio.wait_for(server.shutdown(0.1), 5)
        assert stopped.is_set()
        assert await client.rest() == b""
        await eventually(lambda: not server.connections)


async def test_what_a_client_has_not_taken_yet_is_waited_for() -> None:
    body = bytes(60_000)  # less than is held back before a handler has to wait

    async def handle(exchange: Exchange) -> None:
        await exchange.send(text(body))

    async with serving(handle, 4096) as (server, client):
        (connection,) = await connections(server)
        narrow(connection)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(GET)
        await eventually(lambda: connection.progress().requests == 1 and connection.task is None)
        server.pre_shutdown()
        stopping = asyncio.create_task(server.shutdown(5))
        await asyncio.sleep(0.2)
        assert not stopping.done()
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await client.answer() == body
        await asyncio.wait_for(stopping, 5)
        assert not server.connections


async def test_what_a_client_never_takes_is_cut_with_the_drain() -> None:
    async def handle(exchange: Exchange) -> None:
        await exchange.send(text(bytes(60_000)))

    async with serving(handle, 4096) as (server, client):
        (connection,) = await connections(server)
        narrow(connection)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(GET)
        await eventually(lambda: connection.progress().untaken_bytes > 0 and connection.task is None)
        server.pre_shutdown()
        await asyncio.wait_for(server.shutdown(0.2), 5)
        await eventually(lambda: not server.connections)


async def test_an_answer_that_is_cut_short_leaves_the_one_before_it_whole() -> None:
    body = bytes(60_000)
    answered: list[int] = []

    async def handle(exchange: Exchange) -> None:
        if not answered:
            answered.append(1)
            await exchange.send(text(body))
            return
        await exchange.begin(200, None, LENGTH)
        exchange.abort()

    async with serving(handle, 4096) as (server, client):
        (connection,) = await connections(server)
        narrow(connection)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(GET + GET)
        await asyncio.sleep(0.2)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await client.answer() == body


async def test_a_connection_on_which_nothing_is_asked_ends_before_one_that_waits_for_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_IDLE_S", 0.2)
    monkeypatch.setattr(listener, "_LOOK_EVERY_S", 0.05)
    go_on = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        await go_on.wait()
        await exchange.send(text(b"late"))

    async with serving(handle) as (server, client):
        walk = asyncio.create_task(server.close_silent(60))
        client.writer.write(GET)
        await asyncio.sleep(0.6)
        go_on.set()
        assert await client.answer() == b"late"
        assert await client.rest() == b""
        walk.cancel()


async def test_a_handler_that_fails_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(_: Exchange) -> None:
        raise RuntimeError

    async with serving(handle) as (_, client):
        client.writer.write(GET)
        assert await client.rest() == b""
    assert "a connection failed" in caplog.text
