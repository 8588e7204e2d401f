"""A download for the imaging tests: its pieces, how it ends, and how far it was read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Body:
    """A download. Behind the last piece `end` is raised, or waited for, or, if it is bytes, sent again and again.

    `pause` is waited for before the last piece.
    """

    def __init__(
        self,
        data: bytes,
        size: int = 16_384,
        end: Exception | asyncio.Event | bytes | None = None,
        pause: asyncio.Event | None = None,
    ) -> None:
        self.pieces = [data[i : i + size] for i in range(0, len(data), size)]
        self.end = end
        self.pause = pause
        self.read = 0
        self.read_bytes = 0

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        for number, piece in enumerate(self.pieces, start=1):
            if self.pause and number == len(self.pieces):
                await self.pause.wait()
            yield await self._next(piece)
        while isinstance(self.end, bytes):
            yield await self._next(self.end)
        if isinstance(self.end, Exception):
            raise self.end
        if self.end is not None:
            await self.end.wait()

    async def _next(self, piece: bytes) -> bytes:
        await asyncio.sleep(0)
        self.read += 1
        self.read_bytes += len(piece)
        return piece
