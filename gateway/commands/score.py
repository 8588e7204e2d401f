"""`gateway score`: files, folders and s3://bucket/prefix through the same scorers that serve requests."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Literal

from gateway.commands.console import UsageError, cannot_write
from gateway.commands.score_file import begin, style_of
from gateway.commands.score_output import csv_rows, json_lines, printable, table, width
from gateway.commands.score_run import read_ahead, scored_in_order
from gateway.commands.score_sheet import ContactSheet
from gateway.commands.score_sources import Position, is_remote, local_files, sources
from gateway.errors import ApiError
from gateway.imaging.pool import ScorerClient
from gateway.processes import StartError
from gateway.settings import load
from gateway.supervisor import run_with_scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.commands.score_file import OutputFile
    from gateway.commands.score_output import Scored
    from gateway.commands.score_sources import Source
    from gateway.settings import Settings

Style = Literal["table", "json", "csv"]

_BAR_WIDTH = 30
_LISTED_AHEAD = 2000  # two pages of a store's listing
_MAX_PATH_WIDTH = 60
_LOOKED_AT = 200  # so many paths decide how wide their column is
_REMOTE_PATH_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Options:
    """How results are told and where the work is done.

    `sheet` is a file that a contact sheet of all pictures is written to. With `output` the results go to a file of that
    name, which a later call with `resume` goes on with. `engine` is `local` or `dask`; `scheduler` is the address of a
    Dask scheduler, `""` for workers on this machine.
    """

    style: Style = "table"
    sheet: Path | None = None
    output: Path | None = None
    resume: bool = False
    engine: Literal["local", "dask"] = "local"
    scheduler: str = ""


def score(paths: list[str], *, config: Path | None, options: Options) -> int:
    """Score everything that the paths name, tell one line each; 1 when any failed.

    Raises UsageError, SettingsError, and StartError when a file cannot be written or gone on with, or a package is
    missing.
    """
    _check(options)
    remote = any(map(is_remote, paths))
    settings = load(
        config, os.environ, None if config or remote else {"upstream": {"unused": {"endpoint": "http://-"}}}
    )
    if options.sheet is not None:
        _check_writable(options.sheet)
    output = None
    if options.engine == "dask" and find_spec("distributed") is None:
        raise StartError("Dask needs an optional package: pip install 's3-score-gateway[distributed]'.")
    if options.output is not None:
        style = style_of(options.output, options.style)
        output = begin(options.output, style, paths, resume=options.resume)
        if output is None:
            print(f"{printable(str(options.output))} is complete.", file=sys.stderr)
            return 0
    if options.engine == "dask":
        return asyncio.run(_run("", paths, settings, config, options, output))
    run = partial(_run, paths=paths, settings=settings, config=config, options=options, output=output)
    return run_with_scorers(settings.server, lambda address: asyncio.run(run(address)))


def _check(options: Options) -> None:
    """Refuse words of which one would do nothing. Raises UsageError."""
    if options.sheet and (options.resume or options.engine != "local"):
        raise UsageError("--sheet goes neither with --resume nor with --engine dask.")
    if options.resume and options.output is None:
        raise UsageError("--resume goes on with a file: say which with --output.")
    if options.scheduler and options.engine != "dask":
        raise UsageError("--scheduler needs --engine dask.")


async def _run(
    address: str,
    paths: list[str],
    settings: Settings,
    config: Path | None,
    options: Options,
    output: OutputFile | None,
) -> int:
    async with AsyncExitStack() as stack:
        cards = stack.enter_context(ContactSheet.begun()) if options.sheet else None
        start = Position(output.state.argument, output.state.path) if output else Position()
        found = read_ahead(sources(paths, settings, stack, start), _LISTED_AHEAD)
        done = _by_engine(address, found, settings, config, options, remote=any(map(is_remote, paths)))
        try:
            tell = output.add if output else _printer(options, paths)
            progress = _Progress(0 if any(map(is_remote, paths)) or not sys.stderr.isatty() else _count(paths))
            async for scored in done:
                progress.hide()
                if output and scored.cut_short:
                    return _interrupted(output, scored)
                tell(scored)
                if cards:
                    cards.add(scored)
                progress.step(failed=isinstance(scored.result, ApiError))
        except StartError as error:
            print(error, file=sys.stderr)
            return 1
        progress.hide()
        total, failed = (output.state.done, output.state.failed) if output else (progress.done, progress.failed)
        if not total:
            print(f"There is no picture in {', '.join(map(printable, paths))}.", file=sys.stderr)
        if output:
            output.finish()
        written = cards is None or options.sheet is None or _write(cards, options.sheet)
    return 0 if written and total and not failed else 1


def _interrupted(output: OutputFile, scored: Scored) -> int:
    """Leave the file to be gone on with: what comes behind a listing that broke off would be out of its place."""
    output.save()
    output.close()
    why = f"{scored.result.kind.code}: {scored.result.message}" if isinstance(scored.result, ApiError) else ""
    print(f"{printable(scored.path)} could not be listed: {printable(why)} Go on with --resume.", file=sys.stderr)
    return 1


def _by_engine(
    address: str,
    found: AsyncIterator[Source],
    settings: Settings,
    config: Path | None,
    options: Options,
    *,
    remote: bool,
) -> AsyncIterator[Scored]:
    if options.engine == "dask":
        from gateway.commands.score_dask import scored_by_dask  # noqa: PLC0415 # an optional dependency

        return scored_by_dask(found, settings, config, options.scheduler)
    parallel = settings.server.scorers or len(os.sched_getaffinity(0))
    scorer = ScorerClient(address, settings.limits)
    return scored_in_order(scorer, found, parallel, thumbnails=options.sheet is not None, remote=remote)


def _printer(options: Options, paths: list[str]) -> Callable[[Scored], None]:
    form = {"table": lambda: table(_path_width(paths)), "json": json_lines, "csv": csv_rows}[options.style]()
    go_on = options.sheet is not None
    if form.header:
        _say(form.header, form.end, go_on=go_on)
    return lambda scored: _say(form.line(scored), form.end, go_on=go_on)


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
    except OSError as error:
        raise cannot_write(error) from None


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
