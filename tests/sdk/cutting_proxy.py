"""A TCP proxy that cuts every connection in the middle of an upload, and sees which parts were sent and answered."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.own_thread import in_own_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_READ_BYTES = 64 * 1024
_LINE_BYTES = 4096  # longer than any request line here
_PART = re.compile(rb"PUT \S*[?&]partNumber=(\d+)\S* HTTP/1\.1\r\n")
_ANSWERED = re.compile(rb"HTTP/1\.1 200 ")


@dataclass
class CuttingProxy:
    """Passes bytes on until `cut_after` parts have been answered and `more_bytes` have come; None: for ever.

    A cut closes what is open; then nobody gets through until `heal`, or, where it `heals_itself`, the next one does.
    """

    target: int
    port: int = 0
    cut_after: int | None = None
    more_bytes: int = 50_000
    heals_itself: bool = False
    is_cut: bool = False
    cuts: int = 0
    sent: list[int] = field(default_factory=list)  # part numbers, as their requests began
    answered: list[int] = field(default_factory=list)  # as their answers began
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def heal(self, target: int) -> None:
        """Let everybody through again, to this port, and count anew."""
        self.target, self.is_cut, self.cut_after = target, False, None
        self.sent, self.answered = [], []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection."""
        if self.is_cut:
            writer.transport.abort()
            return
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ends, asked = {writer, far_writer}, _Asked()
            self._open |= ends
            try:
                ways = (self._up(reader, far_writer, asked), self._down(far_reader, writer, asked))
                await asyncio.gather(*ways)
            finally:
                self._open -= ends
                for end in ends:
                    end.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked) -> None:
        tail = b""
        while data := await reader.read(_READ_BYTES):
            text = tail + data
            for found in _PART.finditer(text):
                asked.part = int(found[1])
                self.sent.append(asked.part)
            ends = [found.end() for found in _PART.finditer(text)]
            tail = text[max(ends[-1] if ends else 0, len(text) - _LINE_BYTES) :]
            if self._is_enough(len(data)):
                self._cut()
                return
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked) -> None:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
            if asked.part and _ANSWERED.search(data):
                self.answered.append(asked.part)
                asked.part = 0
        writer.write_eof()

    def _is_enough(self, count: int) -> bool:
        if self.cut_after is None or len(self.answered) < self.cut_after:
            return False
        self.more_bytes -= count
        return self.more_bytes < 0

    def _cut(self) -> None:
        self.is_cut, self.cut_after = not self.heals_itself, None
        self.cuts += 1
        for end in self._open:
            end.transport.abort()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen on a free port; in the end, close everything and wait until it is closed."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield
        server.close()
        for end in self._open:
            end.transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)


@dataclass
class _Asked:
    """The part that a connection is about; 0 when its answer has come."""

    part: int = 0


@contextmanager
def cutting(target: int, cut_after: int | None = None, *, heals_itself: bool = False) -> Iterator[CuttingProxy]:
    """Run a proxy in front of a port of this machine, in a thread of its own."""
    proxy = CuttingProxy(target, cut_after=cut_after, heals_itself=heals_itself)
    with in_own_thread(proxy.listening()):
        yield proxy
