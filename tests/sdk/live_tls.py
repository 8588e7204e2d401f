"""A TLS terminator in front of a plain port, with a certificate of its own: what SDKs do over https only."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from tests.own_thread import in_own_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@contextmanager
def tls_in_front_of(port: int, chain: Path) -> Iterator[int]:
    """Decrypt what arrives on a free port of 127.0.0.1 and pass it on as it is; yields that port.

    `chain` holds the certificate and its private key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forward(reader, writer, port)

    @asynccontextmanager
    async def serving() -> AsyncIterator[int]:
        async with await asyncio.start_server(one, "127.0.0.1", 0, ssl=context) as server:
            yield server.sockets[0].getsockname()[1]

    with in_own_thread(serving()) as tls_port:
        yield tls_port


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    with suppress(ConnectionError):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the sender ends, then end towards the receiver."""
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
