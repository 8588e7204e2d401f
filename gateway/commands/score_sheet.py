"""A contact sheet: one HTML file with a thumbnail and the findings of each picture, best first.

Knows HTML; must not know how pictures are scored or decoded. The file needs nothing beside itself: no script, no
font, no network, and its policy forbids all of them.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from html import escape
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from gateway.commands.score_output import Scored, flag_words, printable
from gateway.commands.score_sheet_style import STYLE
from gateway.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.report import QualityReport

_HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Picture quality</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>Picture quality</h1>
"""
_LABELS = {
    "jpeg_quality": "JPEG quality",
    "jpeg_chroma": "JPEG chroma",
    "dct": "DCT",
    "chroma_subsampling": "Subsampling",
}


class ContactSheet:
    """Collects cards in a file on disk, so that memory holds a few numbers a picture and nothing else of it."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._cards: list[tuple[float, int, int]] = []  # (score, where the card begins, its bytes)
        self._errors: list[tuple[int, int]] = []
        self._model_version = ""

    @classmethod
    @contextmanager
    def begun(cls) -> Iterator[ContactSheet]:
        """Yield an empty sheet; what it has collected is gone afterwards."""
        with TemporaryFile() as spool:
            yield cls(spool)

    def add(self, scored: Scored) -> None:
        """Take up one picture."""
        if isinstance(scored.result, ApiError):
            self._errors.append(self._keep(_error(scored.path, scored.result)))
        else:
            self._model_version = scored.result.model_version
            self._cards.append((scored.result.score, *self._keep(_card(scored, scored.result))))

    def write(self, target: IO[bytes]) -> None:
        """Write the whole page: pictures from the best to the worst, then what could not be scored."""
        target.write(_HEAD.encode())
        target.write(f"<p>{self._summary()}</p>\n</header>\n<main>\n".encode())
        if self._cards:
            target.write(b'<h2>Pictures, best first</h2>\n<div class="cards">\n')
            for _, start, count in sorted(self._cards, key=lambda card: -card[0]):
                target.write(self._read(start, count))
            target.write(b"</div>\n")
        if self._errors:
            target.write(b'<h2>Not scored</h2>\n<ul class="errors">\n')
            for start, count in self._errors:
                target.write(self._read(start, count))
            target.write(b"</ul>\n")
        target.write(b"</main>\n</body>\n</html>\n")

    def _keep(self, piece: str) -> tuple[int, int]:
        data = piece.encode("utf-8", "backslashreplace")
        start = self._spool.tell()
        self._spool.write(data)
        return start, len(data)

    def _read(self, start: int, count: int) -> bytes:
        self._spool.seek(start)
        return self._spool.read(count)

    def _summary(self) -> str:
        scores = [score for score, _, _ in self._cards]
        told = [_counted(len(scores), "picture")]
        if scores:
            told.append(f"score {min(scores):.3f} to {max(scores):.3f}, {sum(scores) / len(scores):.3f} on average")
        if self._errors:
            told.append(f"{len(self._errors)} could not be scored")
        if self._model_version:
            told.append(f"model {escape(self._model_version)}")
        return " · ".join(told)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _card(scored: Scored, report: QualityReport) -> str:
    folder, slash, name = map(_text, scored.path.rpartition("/"))
    return f"""<article style="--v:{report.score:.3f}">
<div class="frame">{_image(scored, name)}</div>
<h3>{name}</h3>
<p class="facts">{folder}{slash}</p>
<p class="overall"><span class="label">Score</span> <strong>{report.score:.3f}</strong></p>
<p class="facts">{report.width} &times; {report.height} {_text(report.format.upper())}</p>
<p class="facts">Clarity {report.clarity} · Aesthetic {report.aesthetic} · Content {report.content}</p>
{_list("flags", flag_words(report))}<dl>
{"".join(_bar(name, value) for name, value in report.sub_scores.items())}</dl>
{_list("reasons", report.reasons)}</article>
"""


def _image(scored: Scored, name: str) -> str:
    if not scored.thumbnail:
        return '<span class="label">no thumbnail</span>'
    data = base64.b64encode(scored.thumbnail).decode("ascii")
    return f'<img alt="Thumbnail of {name}" src="data:image/jpeg;base64,{data}">'


def _list(kind: str, texts: tuple[str, ...]) -> str:
    rows = "".join(f"<li>{_text(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{rows}</ul>\n' if rows else ""


def _bar(name: str, value: float) -> str:
    label = _LABELS.get(name) or _text(name.replace("_", " ").capitalize())
    return f'<div style="--v:{value:.2f}"><dt>{label}</dt><dd>{value:.2f}</dd></div>\n'


def _error(path: str, error: ApiError) -> str:
    return f"<li><strong>{_text(path)}</strong> {_text(f'{error.kind.code}: {error.message}')}</li>\n"


def _text(text: str) -> str:
    return escape(printable(text))
