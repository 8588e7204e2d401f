"""What `gateway score` finds at a path: files, folders, objects of a store. Must not know scorers or output."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gateway.app import utc_now
from gateway.dialects.base import StoreRequest
from gateway.errors import NO_SUCH_KEY, ApiError
from gateway.request import percent_encode
from gateway.settings import Settings, route
from gateway.stores.documents import store_error
from gateway.stores.keys import key_source
from gateway.stores.listing import list_keys
from gateway.stores.upstream import StoreBucket, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager, AsyncExitStack

_REMOTE = "s3://"
_READ_BYTES = 256 * 1024
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl"})


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to score: the name to show, and how to read it (bytes as a stream, and how many they are)."""

    path: str
    open: Callable[[], AbstractAsyncContextManager[tuple[AsyncIterator[bytes], int | None]]]


def is_remote(path: str) -> bool:
    """Tell whether the path is of the form `s3://bucket/prefix`."""
    return path.startswith(_REMOTE)


def local_files(paths: Sequence[str]) -> Iterator[Path]:
    """Yield each file that the local ones of the paths name (whatever its name), and every picture below a folder."""
    for path in paths:
        if not is_remote(path):
            yield from _files(path)


async def sources(paths: Sequence[str], settings: Settings, stack: AsyncExitStack) -> AsyncIterator[Source]:
    """Yield every picture in the order of the paths; connections to stores are closed when the stack is."""
    for path in paths:
        if not is_remote(path):
            for file in _files(path):
                yield Source(str(file), partial(_open_file, file))
            continue
        try:
            async for source in _objects(path, settings, stack):
                yield source
        except ApiError as error:  # of the listing: it fails alone, like a file that cannot be read
            yield Source(path, partial(_refuse, error))


def _files(path: str) -> Iterator[Path]:
    """Walk in the order of the names, holding no more than the names of the folders on the way.

    Links to folders are not followed, or a walk might never end. A folder that cannot be listed stands for itself:
    whoever opens it is told why.
    """
    top = Path(path)
    if not top.is_dir():
        yield top
        return
    pending = [top]
    while pending:
        place = pending.pop()
        if place is top or (place.is_dir() and not place.is_symlink()):
            try:
                pending.extend(sorted(place.iterdir(), reverse=True))
            except OSError:
                yield place
        elif place.suffix.lower() in _SUFFIXES and place.is_file():
            yield place


async def _objects(url: str, settings: Settings, stack: AsyncExitStack) -> AsyncIterator[Source]:
    name, _, prefix = url.removeprefix(_REMOTE).partition("/")
    bucket = route(settings, name)
    row = settings.upstream[bucket.upstream]
    upstream = Upstream(row, key_source(row), utc_now)
    stack.push_async_callback(upstream.close)
    place = StoreBucket(upstream, bucket.store_name)
    found = False
    async for key in list_keys(place, prefix):
        if key.lower().endswith(tuple(_SUFFIXES)) or key == prefix:
            found = True
            yield Source(f"{_REMOTE}{name}/{key}", partial(_open_object, place, key))
    if not found:
        raise ApiError(NO_SUCH_KEY, message="No picture's key begins like this.")


@asynccontextmanager
async def _open_file(path: Path) -> AsyncIterator[tuple[AsyncIterator[bytes], int | None]]:
    with path.open("rb") as file:

        async def chunks() -> AsyncIterator[bytes]:
            while data := file.read(_READ_BYTES):
                yield data

        yield chunks(), os.fstat(file.fileno()).st_size


@asynccontextmanager
async def _open_object(bucket: StoreBucket, key: str) -> AsyncIterator[tuple[AsyncIterator[bytes], int | None]]:
    async with bucket.open(StoreRequest("GET", percent_encode(key, safe="/"), "", ())) as answer:
        if answer.status != 200:
            raise await store_error(answer)
        yield answer.chunks(), answer.length


def _refuse(error: ApiError) -> NoReturn:
    raise error
