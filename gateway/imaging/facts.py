"""What a picture's header says, as plain data. Pure; must not know how headers are parsed or who asks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Format = Literal["jpeg", "png", "webp", "gif", "tiff", "bmp", "avif", "heic", "jxl"]

# HEIC and JPEG XL are not promised: they depend on how libvips was built (see `decode`).
SUPPORTED = "JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF"


@dataclass(frozen=True, slots=True)
class Facts:
    """The header of one picture.

    `width` and `height` are pixels as stored, both 0 for a TIFF whose directory stands too far behind its pixels.
    `orientation` is EXIF's 1..8 and says how to turn them (WebP keeps it behind the pixels, so it is 1 there whatever
    the file says; AVIF, HEIC and JPEG XL are turned by their decoders, so their sides are upright ones). `frames` is
    what the header tells: exact for PNG, 2 where it only says "several" (WebP, AVIF, TIFF's pages), 1 for the rest.
    `bands` counts channels, alpha and CMYK included; `bits` are per channel; 0 where the header does not tell.
    `interlaced` also stands for progressive JPEG.

    `quantisation` holds a JPEG's tables of 64 steps in zigzag order: that of the first component (luma), then
    that of the second (chroma) if there is one. `sampling` is (horizontal, vertical): luma samples per chroma
    sample. `quantiser` is a lossy WebP's mean VP8 index, 0..127, higher is coarser. `lossless` says that the
    pixels are as they were when saved. `header_bytes` is where the parser stopped.
    """

    format: Format
    width: int
    height: int
    orientation: int = 1
    frames: int = 1
    bands: int = 0
    bits: int = 8
    interlaced: bool = False
    quantisation: tuple[tuple[int, ...], ...] = ()
    sampling: tuple[int, int] = (1, 1)
    quantiser: float | None = None
    lossless: bool = False
    header_bytes: int = 0

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def held_whole(self) -> bool:
        """Tell whether a decoder must hold the whole picture or file: no line is complete before the last byte."""
        return self.interlaced or self.format not in ("jpeg", "png")


_NAMES = tuple(item.name for item in fields(Facts))


def to_json(facts: Facts) -> dict[str, Any]:
    """Return the facts as a JSON-ready dict; `from_json` is its inverse."""
    return {name: getattr(facts, name) for name in _NAMES}  # `asdict` copies each number of the tables


def from_json(document: Mapping[str, Any]) -> Facts:
    """Rebuild facts from `to_json`'s dict, also after it has been through JSON (which has no tuples)."""
    horizontal, vertical = document["sampling"]
    tables = tuple(tuple(table) for table in document["quantisation"])
    return Facts(**{**document, "quantisation": tables, "sampling": (horizontal, vertical)})
