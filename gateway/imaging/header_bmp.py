"""BMP's header: file header and bitmap header. Pure; must not know other formats or pixels.

Source: Microsoft, "Bitmap Storage" and BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV4HEADER, BITMAPV5HEADER.
"""

from __future__ import annotations

from gateway.imaging.facts import Facts
from gateway.imaging.reading import Reading, check_size, damaged, not_an_image, peek, take, unsupported

_CORE_BYTES = 12  # OS/2 1.x: sides of 16 bits
_HEADER_BYTES = frozenset({_CORE_BYTES, 40, 52, 56, 64, 108, 124})
_DEPTHS = frozenset({1, 4, 8, 16, 24, 32})
_WRAPPED = {4: "a BMP file that wraps a JPEG", 5: "a BMP file that wraps a PNG"}  # compression, for printers only
_LAST_COMPRESSION = 3


def read_bmp() -> Reading[Facts]:
    """Read both headers. Raises IMAGE_DAMAGED, or NOT_AN_IMAGE for what only begins with the letters BM."""
    head = yield peek(18)
    size = int.from_bytes(head[14:18], "little")
    if size not in _HEADER_BYTES:
        raise not_an_image()
    fields = (yield take(14 + size))[18:]
    side = 2 if size == _CORE_BYTES else 4
    signed = side == 4  # rows run downwards where the height is negative
    width = int.from_bytes(fields[:side], "little", signed=signed)
    height = abs(int.from_bytes(fields[side : 2 * side], "little", signed=signed))
    check_size(width, height)
    bits = int.from_bytes(fields[2 * side + 2 : 2 * side + 4], "little")
    compression = int.from_bytes(fields[12:16], "little") if signed else 0
    if compression in _WRAPPED:
        raise unsupported(_WRAPPED[compression])
    if bits not in _DEPTHS or compression > _LAST_COMPRESSION:
        raise damaged("its header names impossible values")
    return Facts(format="bmp", width=width, height=height, bands=3, bits=8, lossless=True)
