"""A body whose length nobody told, kept aside until it is known. Knows temporary files; must not know requests."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import DISK_FULL, REQUEST_TIMEOUT, SLOW_DOWN, ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from typing import IO

_IN_MEMORY_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """A stream from its first byte on. `length` is in bytes; None when the stream is longer than what was kept."""

    chunks: AsyncIterator[bytes]
    length: int | None


@dataclass(slots=True)
class Room:
    """How many bytes one process keeps aside for all those together who have not proven yet who they are."""

    max_bytes: int
    taken: int = 0

    def take(self, length: int) -> None:
        """Take room for so many bytes. Raises SLOW_DOWN when there is not so much left."""
        if self.taken + length > self.max_bytes:
            message = "Too many uploads are on their way whose sender is not known yet. Please try again later."
            raise ApiError(SLOW_DOWN, "no room for unproven bodies", message=message)
        self.taken += length

    def give_back(self, length: int) -> None:
        """Return what was taken."""
        self.taken -= length


@asynccontextmanager
async def kept_aside(chunks: AsyncIterator[bytes], limit_bytes: int) -> AsyncIterator[Kept]:
    """Read a stream to its end, or until more than `limit_bytes` have come, then yield it again, whole.

    The first megabyte stays in memory, more goes to an unnamed temporary file, which is gone on leaving. Raises
    DISK_FULL.
    """
    with _temporary() as file:
        length = 0
        ended = True
        async for chunk in chunks:
            _write(file, chunk)
            length += len(chunk)
            if length > limit_bytes:
                ended = False
                break
        _rewind(file)
        yield Kept(_reread(file), length) if ended else Kept(_chained(_reread(file), chunks), None)


@asynccontextmanager
async def spooled(
    chunks: AsyncIterator[bytes], limit_bytes: int, too_large: ApiError
) -> AsyncIterator[tuple[AsyncIterator[bytes], int]]:
    """Read a stream to its end, then yield it again with its length in bytes; what was kept is gone on leaving.

    Raises `too_large` as soon as more than `limit_bytes` have come.
    """
    async with kept_aside(chunks, limit_bytes) as kept:
        if kept.length is None:
            raise too_large
        yield kept.chunks, kept.length


async def pieces(chunks: AsyncIterator[bytes], piece_bytes: int) -> AsyncGenerator[tuple[AsyncIterator[bytes], int]]:
    """Cut a stream into pieces of `piece_bytes`, the last of them shorter, each with its length in bytes.

    One piece at a time is kept aside, and is gone when the next one is asked for. Raises DISK_FULL.
    """
    with _temporary() as file:
        async for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[_write(file, rest[: piece_bytes - file.tell()]) :]
                if file.tell() == piece_bytes:
                    _rewind(file)
                    yield _reread(file), piece_bytes
                    file.seek(0)
                    file.truncate()
        if length := file.tell():
            _rewind(file)
            yield _reread(file), length


async def in_time(chunks: AsyncIterator[bytes], idle_s: float) -> AsyncIterator[bytes]:
    """Yield a stream as it comes. Raises REQUEST_TIMEOUT when nothing comes for `idle_s` seconds."""
    while True:
        try:
            async with asyncio.timeout(idle_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise ApiError(REQUEST_TIMEOUT, f"nothing came for {idle_s:g} s") from None
        if chunk is None:
            return
        yield chunk


@contextmanager
def _temporary() -> Iterator[IO[bytes]]:
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 # closed below
    try:
        yield file
    finally:
        with suppress(OSError):  # closing writes what is left; on a full disk that fails once more
            file.close()


def _write(file: IO[bytes], data: bytes | memoryview) -> int:
    """Append to a temporary file. Raises DISK_FULL."""
    try:
        return file.write(data)
    except OSError as error:
        raise ApiError(DISK_FULL, f"temporary file: {error.strerror}") from error


def _rewind(file: IO[bytes]) -> None:
    """Go back to the start, which writes what is left. Raises DISK_FULL."""
    try:
        file.seek(0)
    except OSError as error:
        raise ApiError(DISK_FULL, f"temporary file: {error.strerror}") from error


async def _reread(file: IO[bytes]) -> AsyncIterator[bytes]:
    while data := file.read(_READ_BYTES):
        yield data


async def _chained(*streams: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for stream in streams:
        async for chunk in stream:
            yield chunk
