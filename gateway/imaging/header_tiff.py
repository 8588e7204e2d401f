"""TIFF's header: its first directory. Pure; must not know other formats or pixels.

The directory may stand anywhere, and most writers put it behind the pixels. Within `MAX_HEADER_BYTES` it is read; one
that stands further back is left to the decoder, which finds the sides and is checked against the limits then.

Sources: TIFF revision 6.0 (Adobe, 1992), sections 2, 8, 18, 21 and 22; "BigTIFF Design" (libtiff documentation);
Adobe's Digital Negative specification 1.7, chapter 4 (DNGVersion, NewSubFileType).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.imaging.facts import Facts
from gateway.imaging.reading import (
    MAX_HEADER_BYTES,
    MAX_PIECES,
    Reading,
    check_size,
    damaged,
    peek,
    skip,
    take,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_ORIENTATION, _EXTRA_SAMPLES, _SUBSAMPLING, _DNG_VERSION = 274, 338, 530, 50706
_TYPES = {1: 1, 3: 2, 4: 4, 16: 8}  # BYTE, SHORT, LONG, LONG8 -> bytes of one value
_PREVIEW = 1  # bit of NewSubfileType
_ALPHA = (1, 2)  # associated, unassociated; 0 is any other channel, such as a saved selection
_BANDS = {0: 1, 1: 1, 2: 3, 3: 3, 5: 4, 6: 3}  # photometric interpretation -> channels without alpha
_YCBCR = 6
_UNDECODABLE: Mapping[int, str] = {  # photometric interpretation -> why
    **dict.fromkeys((8, 9, 10), "a TIFF file in CIE L*a*b* colours"),
    **dict.fromkeys((32803, 34892), "a camera's raw file"),
    **dict.fromkeys((32844, 32845), "a TIFF file in logarithmic (LogLuv) colours"),
}
_LOSSLESS = frozenset({1, 2, 3, 4, 5, 8, 32773, 32946})  # none, CCITT, LZW, Deflate, PackBits
_RAW_MARK = b"CR\x02\0"  # Canon's raw files are TIFF with this behind the header, and a preview first


@dataclass(frozen=True, slots=True)
class _Layout:
    """What differs between classic TIFF and BigTIFF: bytes of a count, of an entry, and of an offset or value."""

    order: Literal["little", "big"]
    count: int
    entry: int
    offset: int

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, self.order)


_Tags = dict[int, tuple[int, ...]]  # tag -> its values, none where they stand outside the directory


def read_tiff() -> Reading[Facts]:
    """Read to the end of the first directory. Raises IMAGE_DAMAGED, or NOT_AN_IMAGE for what is TIFF only in form."""
    layout, offset, position = yield from _file_header()
    if offset > MAX_HEADER_BYTES - layout.entry * MAX_PIECES - 16:
        return Facts(format="tiff", width=0, height=0, bits=0)
    if offset < position:
        raise damaged("its directory lies inside its header")
    yield skip(offset - position)
    count = layout.number((yield take(layout.count)))
    if not 0 < count <= MAX_PIECES:
        raise damaged(f"its directory has {count:,} entries")
    body = yield take(count * layout.entry)
    more = layout.number((yield take(layout.offset)))
    tags = _tags(body, layout)
    _refuse_raw(tags)
    return _facts(tags, pages=2 if more else 1)


def _file_header() -> Reading[tuple[_Layout, int, int]]:
    """Return the layout, the first directory's place, and how many bytes are read."""
    head = yield take(8)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    if int.from_bytes(head[2:4], order) == 42:
        if (yield peek(4)) == _RAW_MARK:
            raise unsupported("a camera's raw file")
        return _Layout(order, 2, 12, 4), int.from_bytes(head[4:], order), 8
    if int.from_bytes(head[4:6], order) != 8:
        raise damaged("its BigTIFF header names impossible values")
    return _Layout(order, 8, 20, 8), int.from_bytes((yield take(8)), order), 16


def _tags(body: bytes, layout: _Layout) -> _Tags:
    found: _Tags = {}
    for at in range(0, len(body), layout.entry):
        entry = body[at : at + layout.entry]
        size = _TYPES.get(layout.number(entry[2:4]), 0)
        count = layout.number(entry[4 : 4 + layout.offset])
        value = entry[4 + layout.offset :]
        inside = size * count if size * count <= layout.offset else 0
        numbers = (layout.number(value[i : i + size]) for i in range(0, inside, size or 1))
        found.setdefault(layout.number(entry[:2]), tuple(numbers))
    return found


def _first(tags: _Tags, tag: int, absent: int = 0) -> int:
    """Return the tag's first value, 0 where the entry does not hold it."""
    return (*tags.get(tag, (absent,)), 0)[0]


def _refuse_raw(tags: _Tags) -> None:
    """Refuse a directory that holds no finished picture: cameras' raw files begin with a preview."""
    photometric = _first(tags, _PHOTOMETRIC)
    if photometric in _UNDECODABLE:
        raise unsupported(_UNDECODABLE[photometric])
    if _DNG_VERSION in tags or _first(tags, _SUBFILE) & _PREVIEW:
        raise unsupported("a TIFF file that begins with a preview, as a camera's raw file does")


def _facts(tags: _Tags, pages: int) -> Facts:
    width, height = (_first(tags, tag) for tag in (_WIDTH, _HEIGHT))
    check_size(width, height)
    photometric = _first(tags, _PHOTOMETRIC)
    bands = _BANDS.get(photometric, 0)
    horizontal, vertical = (*tags.get(_SUBSAMPLING, (2, 2)), 1, 1)[:2] if photometric == _YCBCR else (1, 1)
    turned = _first(tags, _ORIENTATION)
    return Facts(
        format="tiff",
        width=width,
        height=height,
        orientation=turned if 1 <= turned <= 8 else 1,
        frames=pages,
        bands=bands and bands + (_first(tags, _EXTRA_SAMPLES) in _ALPHA),
        bits=_first(tags, _BITS, absent=1),
        sampling=(min(4, max(1, horizontal)), min(4, max(1, vertical))),
        lossless=_first(tags, _COMPRESSION, absent=1) in _LOSSLESS,
    )
