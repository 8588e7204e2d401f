"""EXIF: the orientation, and all tags as text. Pure; must not know where the block was found.

Sources: TIFF 6.0 section 2; Exif 2.32 sections 4.6.2 to 4.6.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.imaging.exif_names import CAMERA, GPS, PICTURE, SPELLED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ORIENTATION, _CAMERA_DIRECTORY, _GPS_DIRECTORY = 0x0112, 0x8769, 0x8825
_COORDINATES = frozenset({"GPSLatitude", "GPSLongitude", "GPSDestLatitude", "GPSDestLongitude"})
_TEXT, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SIGNED_RATIONAL = 2, 3, 4, 5, 7, 10
_SIZES = {1: 1, _TEXT: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, 6: 1, _UNDEFINED: 1, 8: 2, 9: 4, _SIGNED_RATIONAL: 8}
_SIGNED = frozenset({6, 8, 9, _SIGNED_RATIONAL})
_FRACTIONS = frozenset({_RATIONAL, _SIGNED_RATIONAL})
_MAX_VALUES = 16  # longer lists are tables and makers' notes
_MAX_TEXT_BYTES = 512
_MAX_ENTRIES = 256


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: int
    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Block:
    """A TIFF structure, and its byte order."""

    data: bytes
    order: Literal["little", "big"]

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], self.order)

    def entries(self, directory: int) -> Iterator[_Entry]:
        """Yield the entries of the directory at an offset whose values lie whole in the block and are not long."""
        count = min(self.number(directory, 2), _MAX_ENTRIES)
        for at in range(directory + 2, min(directory + 2 + 12 * count, len(self.data) - 11), 12):
            kind, size = self.number(at + 2, 2), _SIZES.get(self.number(at + 2, 2), 0)
            length = size * self.number(at + 4, 4)
            start = at + 8 if length <= 4 else self.number(at + 8, 4)
            limit = _MAX_TEXT_BYTES if kind == _TEXT else _MAX_VALUES * size
            if 0 < length <= limit and start + length <= len(self.data):
                yield _Entry(self.number(at, 2), kind, self.data[start : start + length])

    def text(self, entry: _Entry) -> str:
        """Return a value as text: numbers with blanks between them, fractions as `1/60`."""
        if entry.kind == _TEXT:
            return entry.data.partition(b"\0")[0].decode("utf-8", "replace").strip()
        numbers = list(self.numbers(entry))
        if entry.kind in _FRACTIONS:
            return " ".join(f"{over}/{under}" for over, under in zip(numbers[::2], numbers[1::2], strict=True))
        return " ".join(map(str, numbers))

    def numbers(self, entry: _Entry) -> Iterator[int]:
        size = 4 if entry.kind in _FRACTIONS else _SIZES[entry.kind]
        for at in range(0, len(entry.data), size):
            yield int.from_bytes(entry.data[at : at + size], self.order, signed=entry.kind in _SIGNED)


def orientation(block: bytes) -> int:
    """Return the orientation (1..8) that a TIFF-structured EXIF block states, 1 when it states none or nonsense.

    `block` begins with the byte-order mark. Source: Exif 2.32 section 4.6.4.A.
    """
    read = _read(block)
    for entry in read.entries(read.number(4, 4)) if read else ():
        if entry.tag == _ORIENTATION and entry.kind == _SHORT:
            value = int.from_bytes(entry.data[:2], read.order if read else "big")
            return value if 1 <= value <= 8 else 1
    return 1


def tags(block: bytes) -> dict[str, str]:
    """Return the tags of a block by their names in Exif 2.32, as text; none for nonsense.

    Coordinates are told as `30deg 15' 42.12"`. Where the picture and its preview both have a tag, the picture's counts.
    Lists of more than 16 numbers and texts of more than 512 bytes are left out, and so are makers' own tags.
    """
    read = _read(block)
    if read is None:
        return {}
    first = read.number(4, 4)
    preview = read.number(first + 2 + 12 * read.number(first, 2), 4)
    found = (_named(read, preview, PICTURE) if preview else {}) | _named(read, first, PICTURE)
    # A directory that points to others a hundred times is followed once a kind.
    places = {entry.tag: next(read.numbers(entry)) for entry in read.entries(first) if entry.kind == _LONG}
    for tag, names in ((_CAMERA_DIRECTORY, CAMERA), (_GPS_DIRECTORY, GPS)):
        if tag in places:
            found |= _named(read, places[tag], names)
    return found


def _read(block: bytes) -> _Block | None:
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return None
    return _Block(block, "little" if block[:2] == b"II" else "big")


def _named(block: _Block, directory: int, names: Mapping[int, str]) -> dict[str, str]:
    known = [(names[entry.tag], entry) for entry in block.entries(directory) if entry.tag in names]
    found = {name: _coordinate(block, entry) if name in _COORDINATES else block.text(entry) for name, entry in known}
    return {name: SPELLED.get((name, text), text) for name, text in found.items() if text}


def _coordinate(block: _Block, entry: _Entry) -> str:
    """Tell degrees, minutes and seconds, each a fraction, up to the last that is not 0."""
    numbers = list(block.numbers(entry))
    if entry.kind != _RATIONAL or len(numbers) != 6 or not all(numbers[1::2]):
        return block.text(entry)
    parts = [over / under for over, under in zip(numbers[::2], numbers[1::2], strict=True)]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return " ".join(f"{part:.10g}{unit}" for part, unit in zip(parts, ("deg", "'", '"'), strict=False))
