"""What `gateway score` finds at a path: files, folders, objects of a store. Must not know scorers or output."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gateway.app import utc_now
from gateway.dialects.base import StoreRequest
from gateway.errors import NO_SUCH_KEY, ApiError
from gateway.processes import StartError
from gateway.request import percent_encode
from gateway.settings import Settings, route
from gateway.stores.documents import store_error
from gateway.stores.keys import key_source
from gateway.stores.listing import list_objects
from gateway.stores.upstream import StoreBucket, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager, AsyncExitStack

_REMOTE = "s3://"
_READ_BYTES = 256 * 1024
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl"})


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to score: the name to show, and how to read it (bytes as a stream, and how many they are).

    `argument` is the number of the path that it was found at, from 0. With a `failure` there is nothing to read.
    """

    path: str
    open: Callable[[], AbstractAsyncContextManager[tuple[AsyncIterator[bytes], int | None]]]
    argument: int = 0
    failure: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on: behind `path`, among what was found at the argument of this number; `""`: at its beginning."""

    argument: int = 0
    path: str = ""


def is_remote(path: str) -> bool:
    """Tell whether the path is of the form `s3://bucket/prefix`."""
    return path.startswith(_REMOTE)


def local_files(paths: Sequence[str]) -> Iterator[Path]:
    """Yield each file that the local ones of the paths name (whatever its name), and every picture below a folder."""
    for path in paths:
        if not is_remote(path):
            yield from _files(path)


class Openers:
    """Makes sources of paths; connections to stores, one pool a bucket, are closed when the stack is."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._buckets: dict[str, StoreBucket] = {}

    def source(self, path: str) -> Source:
        """Return the source of one file or object."""
        if not is_remote(path):
            return Source(path, partial(_open_file, Path(path)))
        name, key = split(path)
        return Source(path, partial(_open_object, self.bucket(name), key))

    def bucket(self, name: str) -> StoreBucket:
        """Return a bucket by the name that clients know. Raises ApiError."""
        if name not in self._buckets:
            known = route(self._settings, name)
            row = self._settings.upstream[known.upstream]
            upstream = Upstream(row, key_source(row), utc_now)
            self._stack.push_async_callback(upstream.close)
            self._buckets[name] = StoreBucket(upstream, known.store_name)
        return self._buckets[name]


def split(url: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into the two."""
    name, _, key = url.removeprefix(_REMOTE).partition("/")
    return name, key


async def sources(
    paths: Sequence[str], settings: Settings, stack: AsyncExitStack, start: Position = Position()
) -> AsyncIterator[Source]:
    """Yield every picture in the order of the paths, from the start position on.

    Connections to stores are closed when the stack is. Raises StartError when the file to start behind is not there.
    """
    openers = Openers(settings, stack)
    for number, path in enumerate(paths):
        if number < start.argument:
            continue
        after = start.path if number == start.argument else ""
        if not is_remote(path):
            for file in _files_behind(path, after):
                yield replace(openers.source(str(file)), argument=number)
            continue
        try:
            async for source in _objects(path, openers, after):
                yield replace(source, argument=number)
        except ApiError as error:  # of the listing: it fails alone, like a file that cannot be read
            yield Source(path, partial(_refuse, error), number, error)


def _files_behind(path: str, after: str) -> Iterator[Path]:
    files = _files(path)
    if after and not any(str(file) == after for file in files):
        raise StartError(f"{after} is not there any more, so that nobody knows where to go on: begin anew.")
    return files


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


async def _objects(url: str, openers: Openers, after: str) -> AsyncIterator[Source]:
    name, prefix = split(url)
    found = bool(after)
    async for listed in list_objects(openers.bucket(name), prefix, after=split(after)[1]):
        if listed.key.lower().endswith(tuple(_SUFFIXES)) or listed.key == prefix:
            found = True
            yield openers.source(f"{_REMOTE}{name}/{listed.key}")
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
