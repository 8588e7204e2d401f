"""Boxes, the containers of ISO media files: HEIF, AVIF and JPEG XL. Pure; must not know what is in them.

Source: ISO/IEC 14496-12 section 4.2.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.imaging.reading import Reading, damaged, take

_TO_THE_END = 2**62  # of a box without a length of its own: it ends with the file


class Box(NamedTuple):
    """The head of a box: its name, the bytes of its body, and those of the head itself, already read."""

    name: bytes
    body: int
    head: int


def read_box(room: int = _TO_THE_END) -> Reading[Box]:
    """Read the head of a box that has `room` bytes at most, head included. Raises IMAGE_DAMAGED."""
    prefix = yield take(8)
    name, size, head = prefix[4:], int.from_bytes(prefix[:4], "big"), 8
    if size == 1 and room >= 16:
        size, head = int.from_bytes((yield take(8)), "big"), 16
    elif size == 0:
        size = room
    if not head <= size <= room:
        raise damaged("a box has an impossible length")
    return Box(name, size - head, head)
