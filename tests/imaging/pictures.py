"""Pictures for the imaging tests: made here, so that no test needs a file that may be absent."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gateway.imaging.assess import assess
from gateway.imaging.probe import Probe

if TYPE_CHECKING:
    import numpy.typing as npt

    from gateway.imaging.facts import Facts
    from gateway.report import QualityReport

IQA = Path(__file__).resolve().parents[2] / ".." / "shared" / "iqa"


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, image_format, **options)
    return target.getvalue()


def photo_like(width: int, height: int, seed: int = 1) -> Image.Image:
    """Return a colourful picture with sharp and smooth areas, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ground = np.stack([80 + 100 * x / width, 60 + 90 * y / height, 150 - 80 * x / width], axis=-1)
    image = Image.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
        side = int(rng.integers(2, max(3, min(width, height) // 5)))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.rectangle((left, top, left + side, top + side // 2), fill=colour)
    return image


def text(
    size: int, ground: tuple[int, int, int] = (255, 255, 255), ink: tuple[int, int, int] = (0, 0, 0)
) -> Image.Image:
    image = Image.new("RGB", (800, 600), ground)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for top in range(30, 580 - size, int(size * 1.6)):
        draw.text((30, top), "The quick brown fox jumps over it", fill=ink, font=font)
    return image


def from_array(pixels: npt.NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def probe(data: bytes) -> Facts:
    parser = Probe()
    return parser.feed(data) or parser.finish()


def score(data: bytes) -> QualityReport:
    descriptor = os.memfd_create("picture")
    try:
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return assess(descriptor, probe(data), max_pixels=10**9)
    finally:
        os.close(descriptor)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc32(name + body))


def png_header(width: int, height: int, *, bits: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """Return a PNG up to its first pixels, for headers that no encoder would write."""
    body = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", body) + png_chunk(b"IDAT", b"")


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_header(width: int, height: int, *, frame: int = 0xC0, bits: int = 8, before: bytes = b"") -> bytes:
    """Return a JPEG up to its first scan."""
    components = bytes([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
    body = struct.pack(">BHHB", bits, height, width, 3) + components
    tables = segment(0xDB, bytes([0, *[1] * 64, 1, *[2] * 64]))
    return b"\xff\xd8" + before + tables + segment(frame, body) + segment(0xDA, bytes(10))


def exif(orientation: int) -> bytes:
    data: bytes = _exif(orientation).tobytes()
    return data


def _exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block
