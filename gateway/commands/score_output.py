"""How `gateway score` tells its results: a table, JSON Lines, CSV. Pure; must not know where they come from or go."""

from __future__ import annotations

import csv
import json
import unicodedata
from dataclasses import dataclass, fields
from io import StringIO
from typing import TYPE_CHECKING

from gateway.errors import ApiError
from gateway.report import Flags, QualityReport, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "confidence",
    "reasons",
)
SUB_SCORES = (
    "jpeg_quality",
    "jpeg_chroma",
    "focus",
    "noise",
    "contrast",
    "exposure",
    "saturation",
    "lighting",
    "pixel_score",
    "color_score",
    "dct",
    "blockiness",
    "chroma_subsampling",
    "resolution",
)
FLAGS = tuple(item.name for item in fields(Flags))


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of one picture, found at the argument of that number.

    `thumbnail` is a JPEG, empty when none was wanted or none could be made. `cut_short` marks the error of a listing
    that broke off: then there is no picture, and nobody knows what else there is.
    """

    path: str
    result: QualityReport | ApiError
    thumbnail: bytes = b""
    argument: int = 0
    cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One way to tell results: the first line (`""`: none), and what makes a line. Lines come without their end."""

    header: str
    line: Callable[[Scored], str]
    end: str = "\n"


# --- JSON Lines -------------------------------------------------------------------------------------------------


def json_lines() -> Form:
    """Return the form of one JSON object a line."""
    return Form("", _json_line)


def _json_line(scored: Scored) -> str:
    if isinstance(scored.result, ApiError):
        error = {"code": scored.result.kind.code, "message": scored.result.message}
        return json.dumps({"path": scored.path, "error": error})
    whole = to_json(scored.result)
    return json.dumps({"path": scored.path, **{name: whole[name] for name in _SHOWN}})


# --- CSV --------------------------------------------------------------------------------------------------------

_CSV_END = "\r\n"
_BEFORE = ("path", "score", "model_version", "width", "height", "format")
_AFTER = ("clarity", "aesthetic", "content", "reasons", "error_code", "error_message")


def csv_rows() -> Form:
    """Return the form of a CSV file (RFC 4180): a header, a column for each field, sub-score, flag and error's part.

    What a picture does not have is empty; flags are `true` or `false`, reasons are joined by `; `.
    """
    return Form(_csv_line((*_BEFORE, *SUB_SCORES, *FLAGS, *_AFTER)), lambda each: _csv_line(_cells(each)), _CSV_END)


def _cells(scored: Scored) -> tuple[object, ...]:
    result = scored.result
    if isinstance(result, ApiError):
        empty = ("",) * (len(_BEFORE) - 1 + len(SUB_SCORES) + len(FLAGS) + len(_AFTER) - 2)
        return (scored.path, *empty, result.kind.code, result.message)
    return (
        *(scored.path, result.score, result.model_version, result.width, result.height, result.format),
        *(result.sub_scores.get(name, "") for name in SUB_SCORES),
        *("true" if getattr(result.flags, name) else "false" for name in FLAGS),
        *(result.clarity, result.aesthetic, result.content, joined(result.reasons), "", ""),
    )


def _csv_line(cells: tuple[object, ...]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator=_CSV_END).writerow(cells)  # quotes what could pass for it
    return line.getvalue().removesuffix(_CSV_END)


# --- table ------------------------------------------------------------------------------------------------------

_NUMBERS = "{:<5}  {:>7}  {:>9}  {:>7}  {:<11}  {:<6}"


def table(path_width: int) -> Form:
    """Return the form of a table for people, whose column of paths is so many letters wide; longer ones stick out."""

    def row(path: str, remarks: str, *cells: str) -> str:
        numbers = _NUMBERS.format(*cells, *[""] * (6 - len(cells)))
        gap = " " * (path_width - width(path))
        return f"{numbers}  {path}{gap}  {remarks}".rstrip()

    def line(scored: Scored) -> str:
        result, path = scored.result, printable(scored.path)
        if isinstance(result, ApiError):
            return row(path, printable(f"{result.kind.code}: {result.message}"), "error")
        scores = (f"{result.score:.3f}", *map(str, (result.clarity, result.aesthetic, result.content)))
        return row(
            path,
            joined((*flag_words(result), *result.reasons)),
            *scores,
            f"{result.width}x{result.height}",
            result.format,
        )

    return Form(row("PATH", "REMARKS", "SCORE", "CLARITY", "AESTHETIC", "CONTENT", "SIZE", "FORMAT"), line)


def flag_words(report: QualityReport) -> tuple[str, ...]:
    """Return the flags that are set, in words."""
    return tuple(name.replace("_", " ") for name in FLAGS if getattr(report.flags, name))


def joined(sentences: tuple[str, ...]) -> str:
    """Return the sentences as one text, without their full stops."""
    return "; ".join(sentence.rstrip(".") for sentence in sentences)


def printable(text: str) -> str:
    """Return the text with what is no letter for the eye (control characters, bytes that are no text) as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes: East Asian wide letters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in ("W", "F")) for each in text
    )
