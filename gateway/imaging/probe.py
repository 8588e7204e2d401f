"""Reads a picture's header from a stream of bytes. Pure and sans-I/O; must not know decoders or sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.imaging.header_bmp import read_bmp
from gateway.imaging.header_gif import read_gif
from gateway.imaging.header_heif import read_heif
from gateway.imaging.header_jpeg import read_jpeg
from gateway.imaging.header_jxl import read_jxl
from gateway.imaging.header_png import read_png
from gateway.imaging.header_tiff import read_tiff
from gateway.imaging.header_webp import read_webp
from gateway.imaging.reading import MAX_HEADER_BYTES, Reading, Step, damaged, not_an_image, peek, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.imaging.facts import Facts

_MAGIC_BYTES = 12

_READERS: tuple[tuple[bytes, int, bytes, Callable[[], Reading[Facts]]], ...] = (  # (start, offset, more, parser)
    (b"\xff\xd8\xff", 0, b"", read_jpeg),
    (b"\x89PNG\r\n\x1a\n", 0, b"", read_png),
    (b"RIFF", 8, b"WEBP", read_webp),
    (b"GIF87a", 0, b"", read_gif),
    (b"GIF89a", 0, b"", read_gif),
    (b"II*\0", 0, b"", read_tiff),
    (b"MM\0*", 0, b"", read_tiff),
    (b"II+\0", 0, b"", read_tiff),
    (b"MM\0+", 0, b"", read_tiff),
    (b"", 0, b"BM", read_bmp),
    (b"", 4, b"ftyp", read_heif),
    (b"\xff\x0a", 0, b"", read_jxl),
    (b"\0\0\0\x0cJXL \r\n\x87\n", 0, b"", read_jxl),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (  # (magic, what it is); the first match counts
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"<svg", "an SVG file"),
    (b"<?xml", "an SVG or another XML file"),
    (b"\xef\xbb\xbf<?xml", "an SVG or another XML file"),
    (b"%PDF", "a PDF file"),
    (b"8BPS", "a Photoshop (PSD) file"),
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
            raise not_an_image()
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
    for start, offset, more, reader in _READERS:
        if head.startswith(start) and head.startswith(more, offset):
            return (yield from reader())
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise unsupported(what)
    raise not_an_image()


def _begins_like_a_picture(head: bytes) -> bool:
    return len(head) >= 3 and any(start.startswith(head[: len(start)]) for start, _, more, _ in _READERS if not more)
