"""The header of HEIF, the container of AVIF and HEIC: the properties of its primary item. Pure; must not know pixels.

A decoder applies the crop and the turning that these properties state, so the sides given here are the upright ones.

Sources: ISO/IEC 23008-12 sections 6.5 and 9.3, ISO/IEC 14496-12 section 8.11, ISO/IEC 14496-15 section 8.3.3 (hvcC),
"AV1 Codec ISO Media File Format Binding" section 2.3.3 (av1C).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.imaging.facts import Facts
from gateway.imaging.header_boxes import read_box
from gateway.imaging.reading import MAX_PIECES, Reading, check_size, damaged, skip, take, unsupported

if TYPE_CHECKING:
    from gateway.imaging.facts import Format

_STILLS = frozenset({b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"mif3"})
_SEQUENCES = frozenset({b"avis", b"hevc", b"hevx", b"msf1"})
_MAX_BRANDS_BYTES = 4096
_MAX_BOX_BYTES = 65_536  # of those that are read, not skipped; that of 4,096 tiles fits
_KEPT = frozenset({b"ispe", b"clap", b"irot", b"pixi", b"av1C", b"hvcC", b"auxC"})
_CODECS: dict[bytes, Format] = {b"av1C": "avif", b"hvcC": "heic"}
_SAMPLING = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}  # chroma format: none, 4:2:0, 4:2:2, 4:4:4


@dataclass(frozen=True, slots=True)
class _Property:
    name: bytes
    body: bytes  # empty for those that do not matter here


@dataclass(slots=True)
class _Seen:
    primary: int = -1
    properties: list[_Property] = field(default_factory=list)
    associations: list[bytes] = field(default_factory=list)
    boxes: int = 0


def read_heif() -> Reading[Facts]:
    """Read to the end of the meta box. Raises IMAGE_DAMAGED, or NOT_AN_IMAGE for other kinds of ISO media file."""
    brands = yield from _brands()
    if not brands & (_STILLS | _SEQUENCES):
        raise unsupported("a video or another ISO media file")
    seen = _Seen()
    while True:
        box = yield from read_box()
        if box.name == b"meta":
            break
        _count(seen)
        yield skip(box.body)
    yield skip(4)
    yield from _walk(box.body - 4, seen)
    return _facts(seen, frames=2 if brands & _SEQUENCES else 1)


def _brands() -> Reading[frozenset[bytes]]:
    box = yield from read_box()
    if box.body > _MAX_BRANDS_BYTES:
        raise damaged("its header names too many brands")
    body = yield take(box.body)
    return frozenset(body[i : i + 4] for i in range(0, len(body), 4))


def _count(seen: _Seen) -> None:
    seen.boxes += 1
    if seen.boxes > MAX_PIECES:
        raise damaged("its header has too many boxes")


def _walk(room: int, seen: _Seen, *, inside: bytes = b"meta") -> Reading[None]:
    """Read the boxes inside a box of `room` bytes."""
    while room >= 8:
        _count(seen)
        box = yield from read_box(room)
        room -= box.head + box.body
        if (inside, box.name) in ((b"meta", b"iprp"), (b"iprp", b"ipco")):
            yield from _walk(box.body, seen, inside=box.name)
        elif inside == b"ipco":
            body = yield from _body(box.body, wanted=box.name in _KEPT)
            seen.properties.append(_Property(box.name, body))
        elif box.name == b"pitm":
            body = yield from _body(box.body)
            seen.primary = int.from_bytes(body[4:8] if body[:1] == b"\1" else body[4:6], "big")
        else:
            body = yield from _body(box.body, wanted=box.name == b"ipma")
            seen.associations.append(body)
    yield skip(room)


def _body(size: int, *, wanted: bool = True) -> Reading[bytes]:
    if not wanted:
        yield skip(size)
        return b""
    if size > _MAX_BOX_BYTES:
        raise damaged("a box of its header is too long")
    return (yield take(size))


def _facts(seen: _Seen, frames: int) -> Facts:
    own = [seen.properties[i - 1] for i in _indices(seen) if 0 < i <= len(seen.properties)]
    width, height = _size(own)
    # A picture made of tiles has no codec of its own: that of its tiles stands beside it.
    codec = next((item for item in (*own, *seen.properties) if item.name in _CODECS and len(item.body) >= 4), None)
    if codec is None:
        raise unsupported("a HEIF file whose pixels are neither AV1 nor HEVC")
    chroma, bits = _av1(codec.body) if codec.name == b"av1C" else _hevc(codec.body)
    alpha = any(item.name == b"auxC" and b"alpha" in item.body for item in seen.properties)
    return Facts(
        format=_CODECS[codec.name],
        width=width,
        height=height,
        frames=frames,
        bands=(3 if chroma else 1) + alpha,
        bits=bits,
        sampling=_SAMPLING[chroma],
    )


def _indices(seen: _Seen) -> list[int]:
    """Return the numbers (from 1) of the primary item's properties, in the order in which they apply."""
    for body in filter(None, seen.associations):
        item_bytes, index_bytes = 2 if body[0] == 0 else 4, 2 if body[3:4] == b"\1" else 1
        at = 8
        for _ in range(int.from_bytes(body[4:8], "big")):
            if at >= len(body):
                break
            item, count = int.from_bytes(body[at : at + item_bytes], "big"), body[at + item_bytes : at + item_bytes + 1]
            at += item_bytes + 1
            end = at + index_bytes * int.from_bytes(count, "big")
            if item == seen.primary:
                essential = 1 << 8 * index_bytes - 1
                rows = (body[i : i + index_bytes] for i in range(at, min(end, len(body)), index_bytes))
                return [int.from_bytes(row, "big") & ~essential for row in rows]
            at = end
    return []


def _size(own: list[_Property]) -> tuple[int, int]:
    """Return width and height after the crop and the turning."""
    width = height = 0
    for item in own:
        match item.name:
            case b"ispe":
                width, height = int.from_bytes(item.body[4:8], "big"), int.from_bytes(item.body[8:12], "big")
            case b"clap":
                width, height = min(width, _rounded(item.body[:8])), min(height, _rounded(item.body[8:16]))
            case b"irot" if item.body[:1] in (b"\1", b"\3"):
                width, height = height, width
    check_size(width, height)
    return width, height


def _rounded(fraction: bytes) -> int:
    numerator, denominator = int.from_bytes(fraction[:4], "big"), int.from_bytes(fraction[4:], "big")
    return round(numerator / denominator) if denominator else 0


def _av1(body: bytes) -> tuple[int, int]:
    """Return chroma format (0 for grey) and bits."""
    high, twelve, grey, horizontal, vertical = (body[2] >> shift & 1 for shift in (6, 5, 4, 3, 2))
    return 0 if grey else 3 - horizontal - vertical, 8 + 2 * high + 2 * (high & twelve)


def _hevc(body: bytes) -> tuple[int, int]:
    """Return chroma format (0 for grey) and bits."""
    if len(body) < 18:
        raise damaged("its codec's configuration is cut short")
    return body[16] & 3, 8 + (body[17] & 7)
