"""`gateway score`: files, folders and s3://bucket/prefix through the same scorers that serve requests."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gateway.app import utc_now
from gateway.dialects.base import StoreRequest
from gateway.errors import INVALID_REQUEST, ApiError
from gateway.imaging.pool import ScorerClient
from gateway.journeys.forward import store_error
from gateway.report import to_json
from gateway.request import percent_encode
from gateway.settings import Settings, load, route
from gateway.stores.keys import key_source
from gateway.stores.listing import list_keys
from gateway.stores.upstream import StoreBucket, Upstream
from gateway.supervisor import run_with_scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from gateway.report import QualityReport

_REMOTE = "s3://"
_READ_BYTES = 256 * 1024
_BAR_WIDTH = 30
_SHOWN = (
    "score",
    "model_version",
    "width",
    "height",
    "format",
    "sub_scores",
    "flags",
    "clarity",
    "aesthetic",
    "content",
    "reasons",
)
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl"})


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to score: the name to show, and how to read it (bytes as a stream, and how many they are)."""

    path: str
    open: Callable[[], AbstractAsyncContextManager[tuple[AsyncIterator[bytes], int | None]]]


def score(paths: list[str], *, config: Path | None, as_json: bool) -> int:
    """Score everything that the paths name, print one line each; 1 when any failed. Raises SettingsError."""
    remote = any(map(_is_remote, paths))
    settings = load(
        config, os.environ, None if config or remote else {"upstream": {"unused": {"endpoint": "http://-"}}}
    )
    return run_with_scorers(
        settings.server, lambda address: asyncio.run(_run(address, paths, settings, as_json=as_json))
    )


async def _run(address: str, paths: list[str], settings: Settings, *, as_json: bool) -> int:
    scorer = ScorerClient(address, settings.limits)
    parallel = settings.server.scorers or len(os.sched_getaffinity(0))
    show = _json_line if as_json else _text_line
    failed = done = 0
    async with AsyncExitStack() as stack:
        places = [place for path in paths for place in ([path] if _is_remote(path) else _files(path))]
        total = 0 if any(map(_is_remote, paths)) else len(places)
        async for path, result in _scored(scorer, _sources(places, settings, stack), parallel):
            _progress("")
            _say(show(path, result))
            failed += isinstance(result, ApiError)
            done += 1
            _progress(_bar(done, total))
    _progress("")
    if not done:
        print(f"There is no picture in {', '.join(paths)}.", file=sys.stderr)
    return 1 if failed or not done else 0


async def _scored(
    scorer: ScorerClient, sources: AsyncIterator[Source], parallel: int
) -> AsyncIterator[tuple[str, QualityReport | ApiError]]:
    """Score up to `parallel` pictures at a time; yield the results in the order of the sources."""
    pending: deque[tuple[str, asyncio.Task[QualityReport | ApiError]]] = deque()
    async for source in sources:
        pending.append((source.path, asyncio.create_task(_one(scorer, source))))
        if len(pending) > parallel:
            path, task = pending.popleft()
            yield path, await task
    for path, task in pending:
        yield path, await task


async def _one(scorer: ScorerClient, source: Source) -> QualityReport | ApiError:
    try:
        async with source.open() as (chunks, length):
            return await scorer.score(chunks, declared_bytes=length)
    except ApiError as error:
        return error
    except OSError as error:
        return ApiError(INVALID_REQUEST, message=f"Cannot read it: {error.strerror}.")


async def _sources(places: list[str | Path], settings: Settings, stack: AsyncExitStack) -> AsyncIterator[Source]:
    for place in places:
        if isinstance(place, Path):
            yield Source(str(place), partial(_open_file, place))
            continue
        try:
            async for source in _objects(place, settings, stack):
                yield source
        except ApiError as error:  # of the listing: it fails alone, like a file that cannot be read
            yield Source(place, partial(_refuse, error))


async def _objects(url: str, settings: Settings, stack: AsyncExitStack) -> AsyncIterator[Source]:
    name, _, prefix = url.removeprefix(_REMOTE).partition("/")
    bucket = route(settings, name)
    row = settings.upstream[bucket.upstream]
    upstream = Upstream(row, key_source(row), utc_now)
    stack.push_async_callback(upstream.close)
    place = StoreBucket(upstream, bucket.store_name)
    async for key in list_keys(place, prefix):
        if key.lower().endswith(tuple(_SUFFIXES)) or key == prefix:
            yield Source(f"{_REMOTE}{name}/{key}", partial(_open_object, place, key))


def _is_remote(path: str) -> bool:
    return path.startswith(_REMOTE)


def _files(path: str) -> list[Path]:
    """Return the file itself (whatever its name), or every picture below a folder."""
    place = Path(path)
    if not place.is_dir():
        return [place]
    return sorted(file for file in place.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())


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


def _json_line(path: str, result: QualityReport | ApiError) -> str:
    if isinstance(result, ApiError):
        return json.dumps({"path": path, "error": {"code": result.kind.code, "message": result.message}})
    whole = to_json(result)
    return json.dumps({"path": path, **{name: whole[name] for name in _SHOWN}})


def _text_line(path: str, result: QualityReport | ApiError) -> str:
    if isinstance(result, ApiError):
        return f"error  {path}  {result.kind.code}: {result.message}"
    return f"{result.score:.3f}  {path}  {result.width}x{result.height} {result.format}  {'; '.join(result.reasons)}"


def _say(line: str) -> None:
    # A file's name may hold bytes that are no text, or letters that the terminal lacks.
    encoding = sys.stdout.encoding
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        os._exit(0)  # `gateway score ... | head` has seen enough; the scorers end with this process


def _bar(done: int, total: int) -> str:
    if not total:
        return f"{done} scored"
    filled = _BAR_WIDTH * done // total
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done}/{total}"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
