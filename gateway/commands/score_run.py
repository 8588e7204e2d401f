"""How `gateway score` scores many pictures on this machine: in order, on all cores, in bounded memory."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from gateway.commands.score_output import Scored
from gateway.errors import INVALID_REQUEST, SCORERS_BUSY, ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.commands.score_sources import Source
    from gateway.imaging.pool import ScorerClient

_T = TypeVar("_T")

_AHEAD = 8  # results of so many pictures a scorer may wait for a slow one before them
_DOWNLOADS = 4  # a scorer: most of the time of an object of a store is its way here
_BUSY_PAUSE_S = 0.25
_BUSY_FOR_S = 600.0
_MAX_THUMBNAIL_BYTES = 128 * 1024


async def read_ahead(items: AsyncIterator[_T], count: int) -> AsyncIterator[_T]:
    """Yield the items, and have up to `count` of them fetched by the time that they are asked for."""
    queue: asyncio.Queue[_T | None] = asyncio.Queue(count)

    async def fetch() -> None:
        try:
            async for item in items:
                await queue.put(item)
        finally:
            await queue.put(None)

    fetching = asyncio.create_task(fetch())
    try:
        while (item := await queue.get()) is not None:
            yield item
        await fetching
    finally:
        fetching.cancel()


async def scored_in_order(
    scorer: ScorerClient, found: AsyncIterator[Source], parallel: int, *, thumbnails: bool, remote: bool = False
) -> AsyncIterator[Scored]:
    """Score the pictures, so many at a time that no scorer is idle; yield the results in the order of the sources."""
    slots = asyncio.Semaphore(_DOWNLOADS * parallel if remote else parallel + 1)
    pending: deque[asyncio.Task[Scored]] = deque()
    async for source in found:
        pending.append(asyncio.create_task(_one(scorer, source, slots, thumbnail=thumbnails)))
        if len(pending) > _AHEAD * parallel:
            yield await pending.popleft()
    for task in pending:
        yield await task


async def _one(scorer: ScorerClient, source: Source, slots: asyncio.Semaphore, *, thumbnail: bool) -> Scored:
    """Score one picture. A full queue is waited for: nobody else would come again for it."""
    clock = asyncio.get_running_loop().time
    async with slots:
        give_up_at = clock() + _BUSY_FOR_S
        while True:
            try:
                return await _once(scorer, source, thumbnail=thumbnail)
            except ApiError as error:
                if error.kind is not SCORERS_BUSY or clock() > give_up_at:
                    return Scored(source.path, error, argument=source.argument, cut_short=source.cut_short)
            except OSError as error:
                unreadable = ApiError(INVALID_REQUEST, message=f"Cannot read it: {error.strerror}.")
                return Scored(source.path, unreadable, argument=source.argument)
            await asyncio.sleep(_BUSY_PAUSE_S)


async def _once(scorer: ScorerClient, source: Source, *, thumbnail: bool) -> Scored:
    async with source.open() as (chunks, length):
        if not thumbnail:
            report = await scorer.score(chunks, declared_bytes=length)
            return Scored(source.path, report, argument=source.argument)
        with _file_in_memory() as descriptor:
            report = await scorer.score(chunks, declared_bytes=length, thumbnail_to=descriptor)
            thumbnail_bytes = os.pread(descriptor, _MAX_THUMBNAIL_BYTES, 0)
            return Scored(source.path, report, thumbnail_bytes, source.argument)


@contextmanager
def _file_in_memory() -> Iterator[int]:
    descriptor = os.memfd_create("thumbnail")
    try:
        yield descriptor
    finally:
        os.close(descriptor)
