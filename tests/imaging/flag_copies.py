"""One picture in all the forms in which a flag must come out the same."""

from __future__ import annotations

import os
from threading import Thread
from typing import TYPE_CHECKING

from gateway.imaging.decode import load
from gateway.imaging.flags import find_flags
from tests.imaging.pictures import encode, exif, probe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from gateway.report import Flags

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
TURNING = ("PNG", "JPEG", "WEBP")  # GIF has no EXIF
_ORIENTATIONS = range(2, 9)
_CHUNK = 997
_FAST = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}, "JPEG": {}, "GIF": {}}


def find(data: bytes, chunk: int = 0) -> Flags:
    """Return the flags of a file, given as a whole, or through a pipe in chunks of so many bytes."""
    if not chunk:
        descriptor = os.memfd_create("picture")
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return _find(descriptor, data)
    descriptor, entry = os.pipe()
    writer = Thread(target=_feed, args=(entry, data, chunk))
    writer.start()
    try:
        return _find(descriptor, data)
    finally:
        writer.join()


def _find(descriptor: int, data: bytes) -> Flags:
    facts = probe(data)
    try:
        return find_flags(load(descriptor, facts, max_pixels=10**9), facts)
    finally:
        os.close(descriptor)


def _feed(entry: int, data: bytes, chunk: int) -> None:
    try:
        for begin in range(0, len(data), chunk):
            os.write(entry, data[begin : begin + chunk])
    except BrokenPipeError:  # the decoder has its pixels and does not wait for the rest
        pass
    finally:
        os.close(entry)


def of_copies(image: Image.Image, formats: Iterable[str] = FORMATS) -> dict[str, Flags]:
    """Return the flags of copies in each format, through a chunked source, and turned by each EXIF orientation.

    Orientation is declared, not compensated: the picture seen is turned or mirrored, which no flag may notice.
    """
    found = {}
    for kind in formats:
        options = _FAST[kind]
        data = encode(image, kind, **options)
        found[kind] = find(data)
        found[f"{kind} in chunks"] = find(data, _CHUNK)
        for orientation in _ORIENTATIONS if kind in TURNING else ():
            found[f"{kind} turned by {orientation}"] = find(encode(image, kind, exif=exif(orientation), **options))
    return found


def wrong(found: dict[str, Flags], flag: str, *, expected: bool) -> list[str]:
    """Return the copies whose flag is not as expected."""
    return [name for name, flags in found.items() if getattr(flags, flag) is not expected]
