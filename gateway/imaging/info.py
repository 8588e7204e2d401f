"""The processor `info`: what a picture's header says, without a pixel decoded. Pure; must not know vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import NOT_IMPLEMENTED, ApiError
from gateway.imaging.exif import tags
from gateway.report import ImageInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.imaging.facts import Facts

_SOI, _SOS, _APP0, _APP1 = 0xD8, 0xDA, 0xE0, 0xE1
_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, _SOI + 1), 0xFF})
_UNKNOWN_FRAMES = frozenset({"gif", "jxl"})  # only the whole file tells


def process(facts: Facts, header: bytes, file_bytes: int | None) -> ImageInfo:
    """Return the information in the first bytes of a file, `header`, whose `facts` are known.

    Raises NOT_IMPLEMENTED where the sides of a TIFF file stand too far behind its pixels.
    """
    if not facts.width:
        raise ApiError(NOT_IMPLEMENTED, "TIFF", message="This TIFF file states its size too far behind its pixels.")
    return ImageInfo(facts.format, facts.width, facts.height, file_bytes, _frames(facts), _tags(facts, header))


def _frames(facts: Facts) -> int | None:
    """Return the number of frames where the header tells it: several may be any number but in PNG."""
    if facts.format in _UNKNOWN_FRAMES or (facts.frames > 1 and facts.format != "png"):
        return None
    return facts.frames


def _tags(facts: Facts, header: bytes) -> dict[str, str]:
    """Return EXIF's tags of a JPEG or TIFF file, else what JFIF says about resolution; other formats have none here."""
    if facts.format == "tiff":
        return tags(header)
    found: dict[str, str] = {}
    for marker, body in _segments(header) if facts.format == "jpeg" else ():
        if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            across, down = (int.from_bytes(body[at : at + 2], "big") for at in (8, 10))
            # JFIF counts none, inch, centimetre from 0, TIFF from 1.
            found |= {"ResolutionUnit": str(body[7] + 1), "XResolution": f"{across}/1", "YResolution": f"{down}/1"}
        elif marker == _APP1 and body.startswith(b"Exif\0"):
            return found | tags(body[6:])
    return found


def _segments(header: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, body) of a JPEG's segments before its first scan. Source: ITU-T T.81 section B.1.1."""
    at = 2
    while at + 4 <= len(header):
        if header[at] != 0xFF or header[at + 1] in _WITHOUT_LENGTH:
            at += 1
            continue
        if header[at + 1] == _SOS:
            return
        length = max(2, int.from_bytes(header[at + 2 : at + 4], "big"))
        yield header[at + 1], header[at + 4 : at + 2 + length]
        at += 2 + length
