from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.stores.exchange import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.stores.exchange import Answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\nb", "a\rb", "a\0b"])
async def test_a_line_break_inside_of_a_header_never_reaches_the_store(value: str) -> None:
    async with aiohttp.TCPConnector() as connector:
        line = Line(connector, aiohttp.ClientTimeout(), 5, 1024)
        with pytest.raises(ValueError, match="a line break"):
            await line.ask("GET", "http://127.0.0.1:1", "/a", (("host", "127.0.0.1:1"), ("range", value)))


async def test_an_interim_answer_is_not_the_answer() -> None:
    assert await asked(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK) == (200, b"ok")


async def test_an_answer_that_is_no_http_is_an_error() -> None:
    with pytest.raises(aiohttp.ClientError):
        await asked(b"SSH-2.0-OpenSSH\r\n\r\n")


async def asked(answer: bytes) -> tuple[int, bytes]:
    async with answered(answer, aiohttp.ClientTimeout()) as found:
        return found.status, await found.content.read()


@asynccontextmanager
async def answered(answer: bytes, limits: aiohttp.ClientTimeout) -> AsyncIterator[Answer]:
    """Ask a server that gives this answer to whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, aiohttp.TCPConnector() as connector:
        port = server.sockets[0].getsockname()[1]
        line = Line(connector, limits, 5, 1024)
        yield await line.ask("GET", f"http://127.0.0.1:{port}", "/a", (("host", f"127.0.0.1:{port}"),))


@pytest.mark.parametrize(("sock_read", "idle_s"), [(None, None), (0, None), (7.5, 7.5)])
async def test_whoever_reads_the_rest_is_told_how_long_a_silence_may_last(
    sock_read: float | None, idle_s: float | None
) -> None:
    async with answered(OK, aiohttp.ClientTimeout(sock_read=sock_read)) as found:
        assert found.idle_s == idle_s
