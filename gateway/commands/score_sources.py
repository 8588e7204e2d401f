"""What `gateway score` finds at a path: files, folders, objects of a store. Must not know scorers or output."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
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
    from contextlib import AbstractAsyncContextManager

    from gateway.stores.answer import StoreAnswer

_REMOTE = "s3://"
_READ_BYTES = 256 * 1024
_PAUSES_S = (0.5, 2.0, 8.0)  # before each new try at what a store could not do: nobody else would come again for it
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl"})


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to score: the name to show, and how to read it (bytes as a stream, and how many they are).

    `argument` is the number of the path that it was found at, from 0. With a `failure` there is nothing to read; it is
    `cut_short` where a listing broke off, so that nobody knows what else there is.
    """

    path: str
    open: Callable[[], AbstractAsyncContextManager[tuple[AsyncIterator[bytes], int | None]]]
    argument: int = 0
    failure: ApiError | None = None
    cut_short: bool = False


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
            yield Source(path, partial(_refuse, error), number, error, cut_short=error.kind is not NO_SUCH_KEY)


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
    async for key in _keys(openers.bucket(name), prefix, split(after)[1]):
        # What ends in a slash is how consoles make a folder, whoever names it.
        if key.lower().endswith(tuple(_SUFFIXES)) or (key == prefix and not key.endswith("/")):
            found = True
            yield openers.source(f"{_REMOTE}{name}/{key}")
    if not found:
        raise ApiError(NO_SUCH_KEY, message="No picture's key begins like this.")


async def _keys(bucket: StoreBucket, prefix: str, after: str) -> AsyncIterator[str]:
    """List keys; a store that gets into trouble on the way is asked again, for what comes behind the last one."""
    failures, last, is_whole = 0, "", False
    while not is_whole:
        try:
            async for listed in list_objects(bucket, prefix, after=last or after):
                failures, last = 0, listed.key
                yield listed.key
            is_whole = True
        except ApiError as error:
            if not last:  # it may never have been a store
                raise
            await _pause(error, failures)
            failures += 1


async def _pause(error: ApiError, failures: int) -> None:
    """Wait before the next try after so many others; raises the error where that is no use."""
    if error.kind.status < 500 or failures == len(_PAUSES_S):
        raise error
    await asyncio.sleep(_PAUSES_S[failures])


@asynccontextmanager
async def _open_file(path: Path) -> AsyncIterator[tuple[AsyncIterator[bytes], int | None]]:
    with path.open("rb") as file:

        async def chunks() -> AsyncIterator[bytes]:
            while data := file.read(_READ_BYTES):
                yield data

        yield chunks(), os.fstat(file.fileno()).st_size


@asynccontextmanager
async def _open_object(bucket: StoreBucket, key: str) -> AsyncIterator[tuple[AsyncIterator[bytes], int | None]]:
    async with AsyncExitStack() as stack:
        answer = await _opened(bucket, key, stack)
        yield answer.chunks(), answer.length


async def _opened(bucket: StoreBucket, key: str, stack: AsyncExitStack) -> StoreAnswer:
    """Ask for an object, again where the store is in trouble. Raises ApiError."""
    request = StoreRequest("GET", percent_encode(key, safe="/"), "", ())
    for failures in count():
        try:
            answer = await stack.enter_async_context(bucket.open(request))
            if answer.status == 200:
                return answer
            raise await store_error(answer)
        except ApiError as error:
            await _pause(error, failures)
    raise AssertionError("unreachable")


def _refuse(error: ApiError) -> NoReturn:
    raise error
