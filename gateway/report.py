"""What the processors say about a picture, as plain data. Must not know numpy, pyvips or any vendor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Flags:
    """Tencent's five yes-or-no findings, by their published definitions."""

    long_image: bool  # long side / short side >= 3
    black_and_white: bool  # R = G = B in every pixel
    small_image: bool  # long side < 179 px
    big_image: bool  # short side > 1000 px
    pure_image: bool  # one plain colour, or plain text


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The raw findings; only an adapter rounds, renames or zeroes them for its vendor.

    `score` and every value of `sub_scores` lie in 0..1, higher is better. `measures` are the figures behind
    them, in the units their functions state. `clarity`, `aesthetic` and `content` lie in 0..100. `confidence` lies in
    0..1: how much the model's members agree on this picture. `width` and `height` are pixels after orientation.
    """

    score: float
    sub_scores: Mapping[str, float]
    measures: Mapping[str, float]
    flags: Flags
    clarity: int
    aesthetic: int
    content: int
    confidence: float
    reasons: tuple[str, ...]
    width: int
    height: int
    format: str
    model_version: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a picture's header says. `width` and `height` are pixels as stored, before orientation.

    `file_bytes` and `frames` are None where they are not known. `tags` are EXIF's, by their names in Exif 2.32.
    """

    format: str
    width: int
    height: int
    file_bytes: int | None
    frames: int | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AverageColour:
    """The mean colour of a picture in sRGB, each 0..255."""

    red: int
    green: int
    blue: int

    @property
    def hexadecimal(self) -> str:
        """The colour as both vendors write it: `0x736246`."""
        return f"0x{self.red:02x}{self.green:02x}{self.blue:02x}"


Result = QualityReport | ImageInfo | AverageColour


_NAMES = tuple(item.name for item in fields(QualityReport))


def to_json(report: QualityReport) -> dict[str, Any]:
    """Return the report as a JSON-ready dict; `from_json` is its inverse."""
    told = {name: getattr(report, name) for name in _NAMES}  # `asdict` would make a hundred calls of it
    copied = {"sub_scores": dict(report.sub_scores), "measures": dict(report.measures), "flags": asdict(report.flags)}
    return {**told, **copied, "reasons": list(report.reasons)}


def from_json(document: Mapping[str, Any]) -> QualityReport:
    """Rebuild a report from `to_json`'s dict."""
    return QualityReport(**{**document, "flags": Flags(**document["flags"]), "reasons": tuple(document["reasons"])})
