"""A body whose length nobody told, kept aside until it is known. Knows temporary files; must not know requests."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import IO

    from gateway.errors import ApiError

_IN_MEMORY_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024


@asynccontextmanager
async def spooled(
    chunks: AsyncIterator[bytes], limit_bytes: int, too_large: ApiError
) -> AsyncIterator[tuple[AsyncIterator[bytes], int]]:
    """Read a stream to its end, then yield it again with its length in bytes; what was kept is gone on leaving.

    The first megabyte stays in memory, more goes to an unnamed temporary file. Raises `too_large` as soon as more
    than `limit_bytes` have come.
    """
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
        length = 0
        async for chunk in chunks:
            length += len(chunk)
            if length > limit_bytes:
                raise too_large
            file.write(chunk)
        file.seek(0)
        yield _reread(file), length


async def _reread(file: IO[bytes]) -> AsyncIterator[bytes]:
    while data := file.read(_READ_BYTES):
        yield data
