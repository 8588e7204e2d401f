"""Reads a picture's header from a stream of bytes. Pure and sans-I/O; must not know decoders or sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.errors import NOT_AN_IMAGE, ApiError
from gateway.imaging.facts import SUPPORTED, Facts
from gateway.imaging.header_gif import read_gif
from gateway.imaging.header_jpeg import read_jpeg
from gateway.imaging.header_png import read_png
from gateway.imaging.header_webp import read_webp
from gateway.imaging.reading import Reading, Step, damaged, peek, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

# Camera JPEGs carry depth maps, previews and profiles of a few MiB before the frame header.
MAX_HEADER_BYTES = 8 * 2**20
_MAGIC_BYTES = 12

_READERS: tuple[tuple[int, bytes, Callable[[], Reading[Facts]]], ...] = (  # (offset, magic, parser)
    (0, b"\xff\xd8\xff", read_jpeg),
    (0, b"\x89PNG\r\n\x1a\n", read_png),
    (8, b"WEBP", read_webp),
    (0, b"GIF87a", read_gif),
    (0, b"GIF89a", read_gif),
)
_REFUSED: tuple[tuple[int, bytes, str], ...] = (  # (offset, magic, what it is); the first match counts
    (0, b"II*\0", "a TIFF file"),
    (0, b"MM\0*", "a TIFF file"),
    (0, b"II+\0", "a BigTIFF file"),
    (0, b"MM\0+", "a BigTIFF file"),
    (0, b"BM", "a BMP file"),
    (4, b"ftypavif", "an AVIF file"),
    (4, b"ftypavis", "an AVIF file"),
    (4, b"ftyphe", "a HEIC file"),
    (4, b"ftypmif1", "a HEIC or AVIF file"),
    (4, b"ftypmsf1", "a HEIC or AVIF file"),
    (4, b"ftyp", "a video or another ISO media file"),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (0, b"<svg", "an SVG file"),
    (0, b"<?xml", "an SVG or another XML file"),
    (0, b"\xef\xbb\xbf<?xml", "an SVG or another XML file"),
    (0, b"%PDF", "a PDF file"),
    (0, b"8BPS", "a Photoshop (PSD) file"),
)


class Probe:
    """Takes a file's bytes piece by piece until its header is complete.

    Holds at most the piece being looked at (64 KiB) beside what one `feed` brought. Gives up after 8 MiB.
    """

    def __init__(self) -> None:
        self._parser = _recognise()
        self._step: Step = next(self._parser)
        self._buffer = bytearray()
        self._position = 0
        self._facts: Facts | None = None

    def feed(self, data: bytes) -> Facts | None:
        """Take the next bytes; return the facts once they are complete, None while more bytes are needed.

        Raises NOT_AN_IMAGE for anything but a supported format, IMAGE_DAMAGED for a header that contradicts
        itself or does not end. Once the facts are there, more bytes change nothing.
        """
        if self._facts is None:
            self._buffer += data
            while self._facts is None and self._ready():
                self._advance()
        return self._facts

    def finish(self) -> Facts:
        """Say that the file has ended. Raises NOT_AN_IMAGE or IMAGE_DAMAGED when its header was not complete."""
        if self._facts is not None:
            return self._facts
        if self._position == 0 and not _begins_like_a_picture(bytes(self._buffer)):
            raise _not_an_image()
        raise damaged("it ends inside its header")

    def _ready(self) -> bool:
        if self._step.use != "skip":
            return len(self._buffer) >= self._step.count
        dropped = min(self._step.count, len(self._buffer))
        self._move(dropped)
        self._step = Step("skip", self._step.count - dropped)
        return self._step.count == 0

    def _advance(self) -> None:
        step = self._step
        piece = b"" if step.use == "skip" else bytes(self._buffer[: step.count])
        if step.use == "take":
            self._move(step.count)
        try:
            self._step = self._parser.send(piece)
        except StopIteration as stop:
            self._facts = replace(stop.value, header_bytes=self._position)
            self._buffer.clear()
            return
        if self._position + self._step.count > MAX_HEADER_BYTES:
            raise damaged(f"its header is longer than {MAX_HEADER_BYTES:,} bytes")

    def _move(self, count: int) -> None:
        del self._buffer[:count]
        self._position += count


def _recognise() -> Reading[Facts]:
    head = yield peek(_MAGIC_BYTES)
    for offset, magic, reader in _READERS:
        if head.startswith(magic, offset) and (offset == 0 or head.startswith(b"RIFF")):
            return (yield from reader())
    for offset, magic, what in _REFUSED:
        if head.startswith(magic, offset):
            raise unsupported(what)
    raise _not_an_image()


def _begins_like_a_picture(head: bytes) -> bool:
    return len(head) >= 3 and any(magic.startswith(head[: len(magic)]) for offset, magic, _ in _READERS if offset == 0)


def _not_an_image() -> ApiError:
    return ApiError(NOT_AN_IMAGE, message=f"The object is not an image; supported formats are {SUPPORTED}.")
