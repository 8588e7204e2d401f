"""JPEG XL's header: the codestream's size and orientation. Pure; must not know other formats or pixels.

Sources: ISO/IEC 18181-1 annex D (SizeHeader, ImageMetadata), ISO/IEC 18181-2 section 9 (boxes).
"""

from __future__ import annotations

from gateway.imaging.facts import Facts
from gateway.imaging.header_boxes import read_box
from gateway.imaging.reading import MAX_PIECES, Reading, check_size, damaged, peek, skip, take

_CODESTREAM = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}  # width to height
_SIDE_BITS = (9, 13, 18, 30)


def read_jxl() -> Reading[Facts]:
    """Read to the codestream's orientation. Raises IMAGE_DAMAGED."""
    if (yield peek(2)) != _CODESTREAM:
        yield from _to_codestream()
    head = yield take(12)
    if head[:2] != _CODESTREAM:
        raise damaged("its codestream does not begin as it should")
    bits = _Bits(head[2:])
    small = bits.number(1)
    height = _side(bits, small=small)
    ratio = bits.number(3)
    width = height * _RATIOS[ratio][0] // _RATIOS[ratio][1] if ratio else _side(bits, small=small)
    check_size(width, height)
    plain = bits.number(1) or not bits.number(1)
    sideways = not plain and bits.number(3) >= 4  # EXIF's orientation less 1; decoders turn the picture
    width, height = (height, width) if sideways else (width, height)
    return Facts(format="jxl", width=width, height=height, bits=0)


def _to_codestream() -> Reading[None]:
    for _ in range(MAX_PIECES):
        box = yield from read_box()
        if box.name == b"jxlc":
            return
        if box.name == b"jxlp":
            yield skip(4)  # the part's number
            return
        yield skip(box.body)
    raise damaged("its header has too many boxes")


def _side(bits: _Bits, *, small: int) -> int:
    if small:
        return 8 * (1 + bits.number(5))
    return 1 + bits.number(_SIDE_BITS[bits.number(2)])


class _Bits:
    """Numbers of some bits each, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def number(self, bits: int) -> int:
        value = self._rest & ((1 << bits) - 1)
        self._rest >>= bits
        return value
