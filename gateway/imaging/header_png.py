"""PNG's header: chunks up to the first pixels. Pure; must not know other formats or pixels.

Source: W3C Portable Network Graphics (third edition), sections 5.3, 11.2.1, 11.3.2.4 (acTL) and 11.3.4.5 (eXIf).
"""

from __future__ import annotations

from zlib import crc32

from gateway.imaging.exif import orientation
from gateway.imaging.facts import Facts
from gateway.imaging.reading import MAX_PIECES, Reading, check_size, damaged, skip, take

_BANDS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # colour type -> channels once the palette is applied
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MAX_SIDE = 2**31 - 1
_MAX_EXIF_BYTES = 65_536  # an orientation stands in the first directory; larger blocks carry thumbnails


def read_png() -> Reading[Facts]:
    """Read from the signature to the first IDAT. Raises IMAGE_DAMAGED."""
    yield skip(8)
    header = yield take(25)
    width, height, interlaced, colour, bits = _image_header(header)
    frames, turned = 1, 1
    for _ in range(MAX_PIECES):
        prefix = yield take(8)
        length, name = int.from_bytes(prefix[:4], "big"), prefix[4:]
        if name in (b"IDAT", b"IEND"):
            break
        if name == b"acTL" and length == 8:
            frames = int.from_bytes((yield take(8))[:4], "big")
        elif name == b"eXIf" and length <= _MAX_EXIF_BYTES:
            turned = orientation((yield take(length)))
        else:
            yield skip(length)
        yield skip(4)
    else:
        raise damaged("its header has too many chunks")
    if name == b"IEND":
        raise damaged("it ends before the picture begins")
    return Facts(
        format="png",
        width=width,
        height=height,
        orientation=turned,
        frames=max(1, frames),
        bands=_BANDS[colour],
        bits=bits,
        interlaced=interlaced,
        lossless=True,
    )


def _image_header(chunk: bytes) -> tuple[int, int, bool, int, int]:
    """Return width, height, interlaced, colour type and bit depth of an IHDR chunk (length to checksum)."""
    if chunk[:8] != b"\0\0\0\x0dIHDR" or crc32(chunk[4:21]) != int.from_bytes(chunk[21:], "big"):
        raise damaged("its IHDR chunk is broken")
    width, height = int.from_bytes(chunk[8:12], "big"), int.from_bytes(chunk[12:16], "big")
    check_size(width, height)
    bits, colour, interlace = chunk[16], chunk[17], chunk[20]
    if max(width, height) > _MAX_SIDE or bits not in _DEPTHS.get(colour, ()) or interlace > 1:
        raise damaged("its IHDR chunk names impossible values")
    return width, height, interlace == 1, colour, bits
