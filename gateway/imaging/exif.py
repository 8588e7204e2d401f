"""EXIF as far as the orientation tag. Pure; must not know where the block was found."""

from __future__ import annotations

from typing import Literal

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def orientation(block: bytes) -> int:
    """Return the orientation (1..8) that a TIFF-structured EXIF block states, 1 when it states none or nonsense.

    `block` begins with the byte-order mark. Source: TIFF 6.0 section 2, Exif 2.32 section 4.6.4.A.
    """
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], order)

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if entry + 12 > len(block):
            return 1
        if number(entry, 2) == _ORIENTATION_TAG and number(entry + 2, 2) == _SHORT:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
