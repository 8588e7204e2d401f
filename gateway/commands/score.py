"""`gateway score`: files, folders and s3://bucket/prefix through the same scorers that serve requests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from contextlib import AsyncExitStack, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Literal

from gateway.commands.score_output import Form, Scored, csv_rows, json_lines, printable, table, width
from gateway.commands.score_sheet import ContactSheet
from gateway.commands.score_sources import is_remote, local_files, sources
from gateway.errors import INVALID_REQUEST, SCORERS_BUSY, ApiError
from gateway.imaging.pool import ScorerClient
from gateway.processes import StartError
from gateway.settings import load
from gateway.supervisor import run_with_scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.commands.score_sources import Source
    from gateway.settings import Settings

Style = Literal["table", "json", "csv"]

_BAR_WIDTH = 30
_AHEAD = 8  # results of so many pictures a scorer may wait for a slow one before them
_BUSY_PAUSE_S = 0.25
_BUSY_FOR_S = 600.0
_MAX_THUMBNAIL_BYTES = 128 * 1024
_MAX_PATH_WIDTH = 60
_LOOKED_AT = 200  # so many paths decide how wide their column is
_REMOTE_PATH_WIDTH = 40


def score(paths: list[str], *, config: Path | None, style: Style = "table", sheet: Path | None = None) -> int:
    """Score everything that the paths name, print one line each; 1 when any failed.

    `sheet` is a file that a contact sheet of all pictures is written to. Raises SettingsError, and StartError when
    the sheet cannot be written.
    """
    remote = any(map(is_remote, paths))
    settings = load(
        config, os.environ, None if config or remote else {"upstream": {"unused": {"endpoint": "http://-"}}}
    )
    if sheet is not None:
        _check_writable(sheet)
    form = {"table": lambda: table(_path_width(paths)), "json": json_lines, "csv": csv_rows}[style]()
    return run_with_scorers(settings.server, lambda address: asyncio.run(_run(address, paths, settings, form, sheet)))


async def _run(address: str, paths: list[str], settings: Settings, form: Form, sheet: Path | None) -> int:
    scorer = ScorerClient(address, settings.limits)
    parallel = settings.server.scorers or len(os.sched_getaffinity(0))
    if form.header:
        _say(form.header, form.end, go_on=sheet is not None)
    progress = _Progress(0 if any(map(is_remote, paths)) or not sys.stderr.isatty() else _count(paths))
    async with AsyncExitStack() as stack:
        cards = stack.enter_context(ContactSheet.begun()) if sheet else None
        found = sources(paths, settings, stack)
        async for scored in _scored(scorer, found, parallel, thumbnails=cards is not None):
            progress.hide()
            _say(form.line(scored), form.end, go_on=sheet is not None)
            if cards:
                cards.add(scored)
            progress.step(failed=isinstance(scored.result, ApiError))
        progress.hide()
        if not progress.done:
            print(f"There is no picture in {', '.join(map(printable, paths))}.", file=sys.stderr)
        written = cards is None or sheet is None or _write(cards, sheet)
    return 0 if written and progress.done and not progress.failed else 1


async def _scored(
    scorer: ScorerClient, found: AsyncIterator[Source], parallel: int, *, thumbnails: bool
) -> AsyncIterator[Scored]:
    """Score the pictures, so many at a time that no scorer is idle; yield the results in the order of the sources."""
    slots = asyncio.Semaphore(parallel + 1)
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
                    return Scored(source.path, error)
            except OSError as error:
                return Scored(source.path, ApiError(INVALID_REQUEST, message=f"Cannot read it: {error.strerror}."))
            await asyncio.sleep(_BUSY_PAUSE_S)


async def _once(scorer: ScorerClient, source: Source, *, thumbnail: bool) -> Scored:
    async with source.open() as (chunks, length):
        if not thumbnail:
            return Scored(source.path, await scorer.score(chunks, declared_bytes=length))
        with _file_in_memory() as descriptor:
            report = await scorer.score(chunks, declared_bytes=length, thumbnail_to=descriptor)
            return Scored(source.path, report, os.pread(descriptor, _MAX_THUMBNAIL_BYTES, 0))


@contextmanager
def _file_in_memory() -> Iterator[int]:
    descriptor = os.memfd_create("thumbnail")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# --- what is said -----------------------------------------------------------------------------------------------


def _say(line: str, end: str, *, go_on: bool) -> None:
    # A file's name may hold bytes that are no text, or letters that the terminal lacks.
    encoding = sys.stdout.encoding
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), end=end, flush=True)
    except BrokenPipeError:  # `gateway score ... | head` has seen enough
        if not go_on:
            os._exit(0)  # the scorers end with this process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Progress:
    """Counts, and draws a bar where somebody watches; `total` 0 stands for a number that nobody knows yet."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._watched = sys.stderr.isatty()
        self.done = self.failed = 0
        self._draw(self._bar())

    def step(self, *, failed: bool) -> None:
        """Count one picture and draw."""
        self.done += 1
        self.failed += failed
        self._draw(self._bar())

    def hide(self) -> None:
        """Make room for a line."""
        self._draw("")

    def _bar(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        if not self._total:
            return f"{self.done} scored{failed}"
        filled = _BAR_WIDTH * self.done // self._total
        return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {self.done}/{self._total}{failed}"

    def _draw(self, text: str) -> None:
        if self._watched:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _count(paths: list[str]) -> int:
    return sum(1 for _ in local_files(paths))


def _path_width(paths: list[str]) -> int:
    longest = max((width(printable(str(file))) for file in islice(local_files(paths), _LOOKED_AT)), default=0)
    if any(map(is_remote, paths)):
        longest = max(longest, _REMOTE_PATH_WIDTH)
    return min(longest, _MAX_PATH_WIDTH)


# --- the contact sheet ------------------------------------------------------------------------------------------


def _check_writable(sheet: Path) -> None:
    """Find out before hours of work rather than after them, and leave what is there as it is. Raises StartError."""
    existed = sheet.exists()
    try:
        sheet.open("ab").close()
    except OSError as error:
        raise StartError(f"Cannot write {printable(str(sheet))}: {error.strerror}.") from None
    if not existed:
        sheet.unlink()


def _write(cards: ContactSheet, sheet: Path) -> bool:
    try:
        with sheet.open("wb") as file:
            cards.write(file)
    except OSError as error:
        print(f"Cannot write {printable(str(sheet))}: {error.strerror}.", file=sys.stderr)
        return False
    return True
