"""A store that gives its answers in the pieces in which they are written, one to each request."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"HTTP/1.1 200 OK\r\n\r\n"  # its body ends with the connection
CLOSE = b"<close>"
RESET = b"<reset>"


@dataclass
class Store:
    """Gives one answer after the other, in the pieces in which it is written here, each to one request."""

    answers: list[Sequence[bytes]]
    endpoint: str = ""
    heads: list[tuple[int, bytes]] = field(default_factory=list)  # with the connection's number
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)  # connections that the gateway closed, or that were closed here

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        number = len(self.connections)
        try:
            while True:
                self.heads.append((number, await reader.readuntil(b"\r\n\r\n")))
                for piece in self.answers.pop(0):
                    if piece in (CLOSE, RESET):
                        if piece == RESET:
                            linger = (1).to_bytes(4, "little") + bytes(4)
                            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.02)  # the next piece is another packet
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.append(number)
            writer.close()

    @property
    def used(self) -> list[int]:
        """The number of the connection by which each request came."""
        return [number for number, _ in self.heads]


@asynccontextmanager
async def store(*answers: bytes | Sequence[bytes]) -> AsyncIterator[Store]:
    scripted = Store([[each] if isinstance(each, bytes) else each for each in answers])
    async with await asyncio.start_server(scripted.accept, "127.0.0.1", 0) as server:
        scripted.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield scripted
        for writer in scripted.connections:
            writer.transport.abort()
        for task in scripted.tasks:
            task.cancel()
        await asyncio.gather(*scripted.tasks, return_exceptions=True)
