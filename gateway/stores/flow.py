"""A request's body on its way to a store, watched: which side it waits for, and since when. Knows nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Flow:
    """A body on its way, and how long it has stood still, and on whose account."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._moved_at = asyncio.get_running_loop().time()
        self.waits_for_client = False

    def still_for_s(self) -> float:
        """Return the seconds since the last piece came or went."""
        return asyncio.get_running_loop().time() - self._moved_at

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's pieces; the store asks for the next one when it has taken the last."""
        self._moves(waits_for_client=True)
        async for chunk in self._source:
            self._moves(waits_for_client=False)
            yield chunk
            self._moves(waits_for_client=True)
        self._moves(waits_for_client=False)

    def _moves(self, *, waits_for_client: bool) -> None:
        self._moved_at = asyncio.get_running_loop().time()
        self.waits_for_client = waits_for_client
