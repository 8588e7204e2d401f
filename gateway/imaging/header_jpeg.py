"""JPEG's header: markers up to the first scan. Pure; must not know other formats or pixels.

Source: ITU-T T.81 annex B; Exif 2.32 section 4.5.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.imaging.exif import orientation
from gateway.imaging.facts import Facts
from gateway.imaging.reading import MAX_PIECES, Reading, check_size, damaged, skip, take, unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOI, _EOI, _SOS, _DQT, _APP1 = 0xD8, 0xD9, 0xDA, 0xDB, 0xE1
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and the restart markers carry no length
_FRAMES: Mapping[int, str] = {  # start-of-frame marker -> why it cannot be decoded here, "" when it can
    **dict.fromkeys((0xC0, 0xC1, 0xC2), ""),
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB), "an arithmetic-coded JPEG"),
}
_PROGRESSIVE = 0xC2
_MAX_PADDING = 4096  # fill bytes and rubbish in all; decoders skip them, so a little is tolerated


@dataclass(frozen=True, slots=True)
class _Frame:
    """The start-of-frame segment; `components` are (horizontal, vertical, table id)."""

    width: int
    height: int
    progressive: bool
    components: tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class _Seen:
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    frame: _Frame | None = None
    orientation: int = 1
    between: int = 0  # bytes between segments: the 0xFF of each marker, fill bytes, rubbish


def read_jpeg() -> Reading[Facts]:
    """Read from SOI to the first SOS. Raises IMAGE_DAMAGED, or NOT_AN_IMAGE for a JPEG of an unsupported kind."""
    yield skip(2)
    seen = _Seen()
    for _ in range(MAX_PIECES):
        marker = yield from _next_marker(seen)
        if marker == _SOS:
            return _facts(seen)
        if marker in (_SOI, _EOI):
            raise damaged("its header ends before the picture begins")
        if marker not in _STANDALONE:
            yield from _segment(marker, seen)
    raise damaged("its header has too many segments")


def _next_marker(seen: _Seen) -> Reading[int]:
    previous = 0
    while seen.between <= MAX_PIECES + _MAX_PADDING:
        current = (yield take(1))[0]
        if previous == 0xFF and current not in (0x00, 0xFF):
            return current
        seen.between += 1
        previous = current
    raise damaged("its header is full of rubbish")


def _segment(marker: int, seen: _Seen) -> Reading[None]:
    length = int.from_bytes((yield take(2)), "big") - 2
    if length < 0:
        raise damaged("a header segment has an impossible length")
    if marker == _DQT:
        seen.tables.update(_tables((yield take(length))))
    elif marker in _FRAMES:
        seen.frame = _frame(marker, (yield take(length)))
    elif marker == _APP1:
        body = yield take(length)
        if body.startswith(b"Exif\0") and seen.orientation == 1:
            seen.orientation = orientation(body[6:])
    else:
        yield skip(length)


def _tables(body: bytes) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    at = 0
    while at < len(body):
        size, identifier = 1 + (body[at] >> 4 & 1), body[at] & 15
        steps = body[at + 1 : at + 1 + 64 * size]
        if len(steps) < 64 * size:
            raise damaged("a quantisation table is cut short")
        found[identifier] = tuple(int.from_bytes(steps[i : i + size], "big") for i in range(0, 64 * size, size))
        at += 1 + 64 * size
    return found


def _frame(marker: int, body: bytes) -> _Frame:
    if _FRAMES[marker]:
        raise unsupported(_FRAMES[marker])
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise damaged("its frame header is cut short")
    if body[0] != 8:
        raise unsupported(f"a JPEG with {body[0]} bits per sample")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    check_size(width, height)
    rows = [body[6 + 3 * i : 9 + 3 * i] for i in range(body[5])]
    components = tuple((row[1] >> 4, row[1] & 15, row[2]) for row in rows)
    if len(components) not in (1, 3, 4) or any(not (1 <= h <= 4 and 1 <= v <= 4) for h, v, _ in components):
        raise damaged("its frame header names impossible components")
    return _Frame(width, height, marker == _PROGRESSIVE, components)


def _facts(seen: _Seen) -> Facts:
    frame = seen.frame
    if frame is None:
        raise damaged("its header declares no size")
    luma, chroma = frame.components[0], frame.components[min(1, len(frame.components) - 1)]
    used = (luma[2], chroma[2]) if len(frame.components) > 1 else (luma[2],)
    return Facts(
        format="jpeg",
        width=frame.width,
        height=frame.height,
        orientation=seen.orientation,
        bands=len(frame.components),
        interlaced=frame.progressive,
        # A table may follow after the first scan header in a progressive file: then nothing is known about it.
        quantisation=tuple(seen.tables[i] for i in used) if all(i in seen.tables for i in used) else (),
        sampling=(max(1, luma[0] // chroma[0]), max(1, luma[1] // chroma[1])),
    )
