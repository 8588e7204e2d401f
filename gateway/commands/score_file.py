"""The file that `gateway score --output` writes: JSON Lines, CSV or Parquet, and how far it has come.

Beside a file that is being written stands `FILE.state`; it goes when the file is complete. Parquet cannot be appended
to, so its rows wait in `FILE.partial`, as JSON Lines. Must not know how results come about.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO, Literal

from gateway.commands.console import UsageError
from gateway.commands.score_output import csv_rows, json_lines, printable
from gateway.errors import ApiError
from gateway.imaging.registry import MODEL_VERSION
from gateway.processes import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.commands.score_output import Form, Scored

FileStyle = Literal["json", "csv", "parquet"]
_SUFFIXES: dict[str, FileStyle] = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
_SAVE_EVERY_S = 1.0  # what a crash costs


@dataclass(frozen=True, slots=True)
class State:
    """How far a file has come: `done` results, `failed` of them errors, in its first `bytes` bytes.

    The last of them was of `path`, found at the argument of that number (from 0). `asked` is what the run was for.
    """

    asked: tuple[str, ...]
    argument: int = 0
    path: str = ""
    bytes: int = 0
    done: int = 0
    failed: int = 0


class OutputFile:
    """A file that results are added to, in the order of the sources."""

    def __init__(self, target: Path, style: FileStyle, file: BinaryIO, state: State) -> None:
        self._target = target
        self._style = style
        self._file = file
        self._form = _form(style)
        self._saved_at = monotonic()
        self.state = state
        if not state.done and self._form.header:
            self._write(self._form.header)
            file.flush()  # whoever forks now must not have it in two buffers

    def add(self, scored: Scored) -> None:
        """Write one result; every now and then note that all so far are written."""
        self._write(self._form.line(scored))
        self.state = replace(
            self.state,
            argument=scored.argument,
            path=scored.path,
            done=self.state.done + 1,
            failed=self.state.failed + isinstance(scored.result, ApiError),
        )
        if monotonic() - self._saved_at >= _SAVE_EVERY_S:
            self.save()

    def _write(self, line: str) -> None:
        self._file.write(f"{line}{self._form.end}".encode("utf-8", "backslashreplace"))

    def save(self) -> None:
        """Bring all that was added to the disk, then the note of it: what the note says is always there."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.state = replace(self.state, bytes=self._file.tell())
        _write_state(self._target, self.state)
        self._saved_at = monotonic()

    def close(self) -> None:
        """Leave the file as it is, to be gone on with."""
        self._file.close()

    def finish(self) -> None:
        """Complete the file."""
        self.save()
        self.close()
        if self._style == "parquet":
            from gateway.commands.score_parquet import convert  # noqa: PLC0415 # an optional dependency

            convert(_partial_place(self._target), self._target)
            _partial_place(self._target).unlink()
        _state_place(self._target).unlink()


def style_of(target: Path, style: str) -> FileStyle:
    """Return the form of a file: what was asked for (`json`, `csv`), else what its suffix says.

    Raises UsageError when neither says it, StartError without the package that it needs.
    """
    known = {"json": "json", "csv": "csv"}.get(style) or _SUFFIXES.get(target.suffix.lower())
    if known == "parquet" and find_spec("pyarrow") is None:
        raise StartError("Parquet needs an optional package: pip install 's3-score-gateway[parquet]'.")
    if known is None:
        raise UsageError(f"{printable(str(target))}: say --json or --csv, or end the name in .jsonl, .csv or .parquet.")
    return known  # type: ignore[return-value] # of the three


def begin(target: Path, style: FileStyle, paths: Sequence[str], *, resume: bool) -> OutputFile | None:
    """Open the file, at its end when an interrupted run is to be resumed; None when it is complete already.

    Raises StartError when it cannot be written, was made for something else, or would be lost.
    """
    asked = (style, MODEL_VERSION, *paths)
    data = _partial_place(target) if style == "parquet" else target
    try:
        state = _read_state(target)
        if state is None and resume and target.exists():
            return None
        if state is None or not state.done:
            state = State(asked)
            file = _open_new(data, target, state)
        elif not resume:
            raise StartError(
                f"{printable(str(target))} is half written: go on with --resume, or delete its .state file."
            )
        elif state.asked != asked:
            raise StartError(f"{printable(str(target))} was begun for other paths, or with another model or form.")
        else:
            file = data.open("r+b")
            file.truncate(state.bytes)
            file.seek(state.bytes)
    except OSError as error:
        raise StartError(f"Cannot write {printable(str(target))}: {error.strerror}.") from None
    return OutputFile(target, style, file, state)


def _open_new(data: Path, target: Path, state: State) -> BinaryIO:
    _write_state(target, state)  # first: without it, what a crash leaves would pass for a complete file
    try:
        return data.open("wb")
    except OSError:
        _state_place(target).unlink()
        raise


def _read_state(target: Path) -> State | None:
    with suppress(FileNotFoundError):
        try:
            document = json.loads(_state_place(target).read_text())
            return State(**{**document, "asked": tuple(document["asked"])})
        except (ValueError, TypeError, KeyError):
            raise StartError(f"{printable(str(_state_place(target)))} is not what this program wrote.") from None
    return None


def _write_state(target: Path, state: State) -> None:
    place = _state_place(target)
    fresh = place.with_name(f"{place.name}.new")
    fresh.write_text(json.dumps(asdict(state)))
    fresh.replace(place)


def _form(style: FileStyle) -> Form:
    return csv_rows() if style == "csv" else json_lines()


def _state_place(target: Path) -> Path:
    return target.with_name(f"{target.name}.state")


def _partial_place(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")
