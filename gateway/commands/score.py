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
from typing import TYPE_CHECKING

from gateway.app import utc_now
from gateway.dialects.base import StoreRequest
from gateway.errors import INVALID_REQUEST, ApiError
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from gateway.journeys.forward import store_error
from gateway.report import to_json
from gateway.request import percent_encode
from gateway.settings import Server, Settings, load, route
from gateway.stores.keys import key_source
from gateway.stores.listing import list_keys
from gateway.stores.upstream import StoreBucket, Upstream
from gateway.supervisor import run_with_scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from gateway.report import QualityReport

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
    remote = any(path.startswith("s3://") for path in paths)
    settings = load(config, os.environ) if config or remote else None
    server = settings.server if settings else Server()
    return run_with_scorers(
        server, lambda address: asyncio.run(_run(address, paths, settings, server, as_json=as_json))
    )


async def _run(address: str, paths: list[str], settings: Settings | None, server: Server, *, as_json: bool) -> int:
    scorer = ScorerClient(address, settings.limits if settings else Limits())
    parallel = server.scorers or len(os.sched_getaffinity(0))
    show = _json_line if as_json else _text_line
    failed = done = 0
    async with AsyncExitStack() as stack:
        files = [file for path in paths if not path.startswith("s3://") for file in _files(path)]
        remote = [path for path in paths if path.startswith("s3://")]
        total = len(files) if not remote else 0
        async for path, result in _scored(scorer, _sources(files, remote, settings, stack), parallel):
            _progress("")
            print(show(path, result), flush=True)
            failed += isinstance(result, ApiError)
            done += 1
            _progress(_bar(done, total))
    _progress("")
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


async def _sources(
    files: list[Path], remote: list[str], settings: Settings | None, stack: AsyncExitStack
) -> AsyncIterator[Source]:
    for file in files:
        yield Source(str(file), partial(_open_file, file))
    for url in remote:
        assert settings is not None, "score() loads settings for s3:// paths"  # noqa: S101 # our own promise
        name, _, prefix = url.removeprefix("s3://").partition("/")
        bucket = route(settings, name)
        row = settings.upstream[bucket.upstream]
        upstream = Upstream(row, key_source(row), utc_now)
        stack.push_async_callback(upstream.close)
        place = StoreBucket(upstream, bucket.store_name)
        async for key in list_keys(place, prefix):
            if key.lower().endswith(tuple(_SUFFIXES)) or key == prefix:
                yield Source(f"s3://{name}/{key}", partial(_open_object, place, key))


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


def _json_line(path: str, result: QualityReport | ApiError) -> str:
    if isinstance(result, ApiError):
        return json.dumps({"path": path, "error": {"code": result.kind.code, "message": result.message}})
    whole = to_json(result)
    return json.dumps({"path": path, **{name: whole[name] for name in _SHOWN}})


def _text_line(path: str, result: QualityReport | ApiError) -> str:
    if isinstance(result, ApiError):
        return f"error  {path}  {result.kind.code}: {result.message}"
    return f"{result.score:.3f}  {path}  {result.width}x{result.height} {result.format}  {'; '.join(result.reasons)}"


def _bar(done: int, total: int) -> str:
    if not total:
        return f"{done} scored"
    filled = _BAR_WIDTH * done // total
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done}/{total}"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
