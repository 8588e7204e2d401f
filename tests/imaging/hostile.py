"""Hostile files, made here from nothing: each is small, and asks for much or is not what it says."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from zlib import compress

from PIL import Image

from gateway.errors import IMAGE_DAMAGED, IMAGE_FILE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_TOO_LARGE, NOT_AN_IMAGE
from tests.imaging.pictures import encode, jpeg_header, photo_like, png_chunk, png_header, segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.errors import ErrorKind

MIB = 2**20
PIECE_BYTES = 16_384
HEADER_BYTES = 8 * MIB  # what the probe reads at most
FIRST_PIECE = PIECE_BYTES


@dataclass(frozen=True)
class Hostile:
    """One file. `kind` is the refusal that it must meet, None for a score or any named refusal of a picture.

    `words` stand in the refusal's message. `endless` is sent again and again behind `data`. At most `read_bytes` may
    be read before the answer.
    """

    name: str
    data: bytes
    kind: ErrorKind | None = None
    words: tuple[str, ...] = ()
    endless: bytes = b""
    read_bytes: int = 2**40


def catalogue() -> Iterator[Hostile]:
    """Every file that was thought of; the order is always the same."""
    for files in (no_pictures, bombs, liars, endless, animations, jpegs, pngs, webps, gifs):
        yield from files()


def no_pictures() -> Iterator[Hostile]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as folder:
        folder.writestr("picture.jpg", bytes(1000))
    for name, data in {
        "0 bytes": b"",
        "1 byte": b"\xff",
        "1 letter": b"a",
        "text": b"It was a bright cold day in April, and the clocks were striking thirteen.\n" * 9,
        "HTML": b"<!doctype html><title>x</title><img src=x onerror=alert(1)>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>',
        "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n",
        "zip": archive.getvalue(),
        "PSD": b"8BPS\0\1" + bytes(999),
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "MVG": b"push graphic-context\nimage over 0,0 0,0 'msl:/etc/passwd'\n",
        "zeros": bytes(5000),
        "RIFF audio": b"RIFF\x24\0\0\0WAVEfmt " + bytes(999),
        "video": b"\0\0\0\x20ftypisom" + bytes(999),
    }.items():
        yield Hostile(name, data, NOT_AN_IMAGE, ("supported formats are",))
    yield Hostile("text for ever", b"", NOT_AN_IMAGE, ("supported formats are",), b"all work " * 999, FIRST_PIECE)


def bombs() -> Iterator[Hostile]:
    """Small files that ask for many pixels: refused by their first bytes, or decoded line by line."""
    zeros = png_chunk(b"IDAT", compress(bytes(MIB)))
    for name, data, figures in (
        ("PNG 30,000 x 30,000", png_header(30_000, 30_000) + zeros, ("900,000,000", "250,000,000")),
        ("PNG 65,535 x 65,535", png_header(65_535, 65_535) + zeros, ("65,535 x 65,535", "250,000,000")),
        ("PNG 70,000 wide", png_header(70_000, 1) + zeros, ("70,000 x 1", "65,535")),
        ("PNG 2^31-1 high", png_header(1, 2**31 - 1) + zeros, ("2,147,483,647", "65,535")),
        ("interlaced PNG", png_header(15_000, 15_000, interlace=1) + zeros, ("225,000,000", "64,000,000")),
        ("JPEG 65,535 x 65,535", jpeg_header(65_535, 65_535), ("65,535 x 65,535", "250,000,000")),
        ("progressive JPEG", jpeg_header(15_000, 15_000, frame=0xC2), ("225,000,000", "64,000,000")),
        ("GIF 65,535 x 65,535", gif(65_535, 65_535, [GIF_FRAME]), ("65,535 x 65,535", "250,000,000")),
        ("WebP 16,384 x 16,384", webp(vp8x(16_384, 16_384), chunk(b"VP8L", vp8l(16_384, 16_384))), ("16,384",)),
        ("WebP 2^24 x 200", webp(vp8x(2**24, 200), chunk(b"VP8L", vp8l(9, 9))), ("16,777,216 x 200", "65,535")),
        ("animated WebP canvas", webp(vp8x(16_000, 16_000, 2), chunk(b"VP8L", vp8l(9, 9))), ("256,000,000",)),
    ):
        kind = IMAGE_SIDE_TOO_LONG if figures[-1] == "65,535" else IMAGE_TOO_LARGE
        yield Hostile(name, data, kind, figures, bytes(9999), 2 * PIECE_BYTES)
    yield Hostile("PNG of 225 million zeros", zero_png(15_000, 15_000))
    yield Hostile("JPEG of 249 million zeros", zero_jpeg(65_500, 3_800))
    yield Hostile("GIF of 64 million transparent pixels", gif(8_000, 8_000, [GIF_FRAME]))
    yield Hostile("GIF frame beyond its screen", gif(1, 1, [gif_frame(60_000, 60_000)]))


def liars() -> Iterator[Hostile]:
    """Headers that promise more or less than follows."""
    jpeg, png = photo("JPEG"), photo("PNG")
    at = jpeg.index(b"\xff\xc0") + 5
    for name, height, width in (("more", 3000, 4000), ("less", 10, 10), ("wider", 240, 640), ("narrower", 240, 16)):
        size = struct.pack(">HH", height, width)
        yield Hostile(f"JPEG that promises {name}", jpeg[:at] + size + jpeg[at + 4 :])
        header = png_header(width, height).removesuffix(png_chunk(b"IDAT", b""))
        kind = IMAGE_DAMAGED if name in ("more", "wider") else None
        yield Hostile(f"PNG that promises {name}", header + png[33:], kind)
    lossy, lossless = photo("WEBP"), photo("WEBP", lossless=True)
    yield Hostile("WebP on a larger canvas", webp(vp8x(4000, 3000), lossy[12:]))
    yield Hostile("WebP on a smaller canvas", webp(vp8x(10, 10), lossless[12:]))
    yield Hostile("lossy WebP that promises more", lossy.replace(size_of_vp8(320, 240), size_of_vp8(4000, 3000)))
    yield Hostile("lossless WebP that promises more", lossless[:20] + vp8l(4000, 3000)[:5] + lossless[25:])
    yield Hostile("RIFF of 4 GiB", lossy[:4] + b"\xff\xff\xff\xff" + lossy[8:])
    yield Hostile("RIFF of nothing", lossy[:4] + bytes(4) + lossy[8:])
    yield Hostile("JPEG of 65,500 x 3,800 that ends at once", zero_jpeg(65_500, 3_800)[:5000], IMAGE_DAMAGED)


def endless() -> Iterator[Hostile]:
    """Streams without an end, behind a picture, inside one, and inside a header."""
    limit = ("100,000 bytes or more", "limit is")
    jpeg = photo("JPEG")
    scan = jpeg.index(b"\xff\xda")
    for name, data, more in (
        ("zeros behind a JPEG", jpeg, bytes(9999)),
        ("pictures behind a picture", jpeg, jpeg),
        ("zeros behind a PNG", photo("PNG"), bytes(9999)),
        ("zeros behind a WebP", photo("WEBP"), bytes(9999)),
        ("frames of a GIF", gif(64, 64, [GIF_FRAME])[:-1], GIF_FRAME * 99),
        ("scans of a progressive JPEG", jpeg_header(3000, 2000, frame=0xC2), segment(0xDA, bytes(10)) + bytes(99)),
        ("data of a JPEG", jpeg_header(60_000, 4000), bytes(9999)),
    ):
        yield Hostile(f"endless {name}", data, IMAGE_FILE_TOO_LARGE if "behind" in name else None, (), more)
    del limit
    for name, data, more, words in (
        ("comments of a JPEG", jpeg[:2], segment(0xFE, bytes(60_000)), "header is longer than 8,388,608"),
        ("small comments of a JPEG", jpeg[:2], segment(0xFE, b"") * 99, "too many segments"),
        ("fill bytes of a JPEG", jpeg[:scan], b"\xff" * 999, "rubbish"),
        ("text of a PNG", png_header(9, 9)[:33], png_chunk(b"tEXt", bytes(60_000)), "header is longer than 8,388,608"),
        ("small chunks of a PNG", png_header(9, 9)[:33], png_chunk(b"tEXt", b"") * 99, "too many chunks"),
        ("chunks of a WebP", webp()[:12], chunk(b"ABCD", bytes(60_000)), "header is longer than 8,388,608"),
        ("small chunks of a WebP", webp()[:12], chunk(b"ABCD", b"") * 99, "too many chunks"),
    ):
        yield Hostile(f"endless {name}", data, IMAGE_DAMAGED, (words,), more, HEADER_BYTES + 2 * 65_536)


def animations() -> Iterator[Hostile]:
    frame = chunk(b"VP8L", photo("WEBP", 8, 8, lossless=True)[20:])
    still = photo("PNG")
    yield Hostile("GIF of 10,000 frames", gif(64, 64, [GIF_FRAME] * 10_000))
    anmf = chunk(b"ANMF", bytes(6) + b"\7\0\0\7\0\0" + bytes(4) + frame)
    yield Hostile("WebP of 10,000 frames", webp(vp8x(8, 8, 2), chunk(b"ANIM", bytes(6)), *[anmf] * 10_000))
    for count, kind in ((10_000, None), (10_001, IMAGE_TOO_LARGE), (2**32 - 1, IMAGE_TOO_LARGE)):
        control = png_chunk(b"acTL", struct.pack(">II", count, 0))
        words = (f"{count:,} frames", "10,000 frames") if kind else ()
        yield Hostile(f"APNG that promises {count:,} frames", still[:33] + control + still[33:], kind, words)
    more = b"".join(
        png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * n, 8, 8, 0, 0, 1, 9, 0, 0))
        + png_chunk(b"fdAT", struct.pack(">I", 2 * n + 1) + compress(bytes(8 * 25)))
        for n in range(10_000)
    )
    control = png_chunk(b"acTL", struct.pack(">II", 10_000, 0))
    yield Hostile("APNG of 10,000 frames", still[:33] + control + still[33:-12] + more + still[-12:])


def jpegs() -> Iterator[Hostile]:
    jpeg, progressive = photo("JPEG"), photo("JPEG", progressive=True)
    tables = jpeg.index(b"\xff\xdb")
    many = segment(0xFE, b"x") * 60_000
    yield Hostile("JPEG of 60,000 segments", jpeg[:2] + many + jpeg[2:], IMAGE_DAMAGED, ("too many segments",))
    first, last = progressive.index(b"\xff\xda"), progressive.rindex(b"\xff\xda")
    yield Hostile("JPEG of hundreds of scans", progressive[:-2] + progressive[last:-2] * 500 + progressive[-2:])
    yield Hostile("JPEG that begins hundreds of times", progressive[:-2] + progressive[first:last] * 300 + b"\xff\xd9")
    yield Hostile("JPEG of 300 scans of 16 million pixels", scan_bomb(4000, 4000, 300))
    profile = b"ICC_PROFILE\0" + bytes([1, 1])
    for name, more, kind in (
        ("an ICC profile of rubbish", segment(0xE2, profile + b"rubbish" * 9000), None),
        ("7 MiB of ICC profile", b"".join(icc(112)), None),
        ("16 MiB of ICC profile", b"".join(icc(255)), IMAGE_DAMAGED),
        ("an EXIF block of rubbish", segment(0xE1, b"Exif\0\0" + b"\xff" * 65_000), None),
        (
            "an EXIF directory that leads to itself",
            segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<IHI", 8, 0, 8)),
            None,
        ),
        ("EXIF of 65,535 entries", segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(60_000)), None),
        ("XMP that names a file", segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<!DOCTYPE a SYSTEM 'x'><a/>"), None),
    ):
        yield Hostile(f"JPEG with {name}", jpeg[:2] + more + jpeg[2:], kind)
    yield Hostile("JPEG without its quantisation tables", without(jpeg, 0xDB))
    yield Hostile("JPEG without its Huffman tables", without(jpeg, 0xC4))
    yield Hostile("JPEG with steps of zero", jpeg[: tables + 5] + bytes(64) + jpeg[tables + 69 :])
    yield Hostile("JPEG without a frame", without(jpeg, 0xC0), IMAGE_DAMAGED, ("declares no size",))
    yield Hostile("JPEG that ends before its scan", jpeg[:2] + b"\xff\xd9" + jpeg[2:], IMAGE_DAMAGED)
    yield Hostile("JPEG of no pixels", jpeg_header(0, 0), IMAGE_DAMAGED, ("0 x 0",))
    yield Hostile("JPEG of 12 bits", jpeg_header(9, 9, bits=12), NOT_AN_IMAGE, ("12 bits",))
    yield Hostile("JPEG with an empty segment length", jpeg[:2] + b"\xff\xe0\0\0" + jpeg[2:], IMAGE_DAMAGED)
    yield Hostile("JPEG of one byte more than its magic", jpeg[:4], IMAGE_DAMAGED)


def pngs() -> Iterator[Hostile]:
    png, palette = photo("PNG"), encode(photo_like(64, 48).quantize(256), "PNG")
    start = palette.index(b"PLTE") - 4
    pixels = png_chunk(b"IDAT", compress((b"\0" + bytes([255] * 64)) * 48))
    header = png_header(64, 48, colour=3).removesuffix(png_chunk(b"IDAT", b""))
    end = png_chunk(b"IEND", b"")
    yield Hostile("PNG of colours beyond its palette", header + png_chunk(b"PLTE", bytes(6)) + pixels + end)
    yield Hostile("PNG without its palette", palette[:start] + palette[palette.index(b"IDAT") - 4 :])
    yield Hostile("PNG with a palette of 5 bytes", header + png_chunk(b"PLTE", bytes(5)) + pixels + end)
    yield Hostile("PNG of a chunk of 4 GiB", png[:33] + b"\xff\xff\xff\xffIDAT" + bytes(99))
    yield Hostile("PNG with a wrong checksum", png[:29] + bytes(4) + png[33:], IMAGE_DAMAGED, ("IHDR",))
    yield Hostile("PNG whose data is not compressed", header + png_chunk(b"IDAT", bytes(5000)) + end)
    yield Hostile("PNG that compresses a gigabyte", png_header(9, 9) + png_chunk(b"IDAT", compress(bytes(10**8))) + end)
    for name in (b"iCCP", b"zTXt", b"iTXt"):
        bomb = png_chunk(name, b"x\0" + (b"\0\0\0\0" if name == b"iTXt" else b"\0") + compress(bytes(10**8)))
        yield Hostile(f"PNG with a {name.decode()} bomb", png[:33] + bomb + png[33:])
    yield Hostile("PNG that ends in its header", png[:40], IMAGE_DAMAGED)
    yield Hostile("PNG of no pixels", png_header(0, 9), IMAGE_DAMAGED, ("0 x 9",))
    yield Hostile("PNG of 3 bits", png_header(9, 9, bits=3), IMAGE_DAMAGED, ("impossible",))
    yield Hostile("PNG without pixels", png[:33] + end, IMAGE_DAMAGED)


def webps() -> Iterator[Hostile]:
    alpha = encode(photo_like(64, 48).convert("RGBA"), "WEBP", exact=True)
    lossless = photo("WEBP", lossless=True)
    yield Hostile(
        "WebP whose alpha is rubbish", webp(vp8x(320, 240, 16), chunk(b"ALPH", b"\1" * 99), photo("WEBP")[12:])
    )
    yield Hostile("WebP of 16 million pixels of one colour", one_colour_webp())
    yield Hostile("lossless WebP of rubbish", webp(chunk(b"VP8L", vp8l(320, 240)[:5] + b"\xff" * 5000)))
    yield Hostile("WebP in two halves", lossless[: len(lossless) // 2] + alpha)
    yield Hostile("WebP without a frame", webp(vp8x(9, 9)), IMAGE_DAMAGED)
    yield Hostile("WebP in a WebP", webp(vp8x(64, 48), alpha, alpha[12:]))
    yield Hostile(
        "WebP with an ICC profile of rubbish", webp(vp8x(320, 240, 32), chunk(b"ICCP", b"a" * MIB), lossless[12:])
    )


def gifs() -> Iterator[Hostile]:
    whole = photo("GIF")
    yield Hostile("GIF of no frames", gif(64, 64, []))
    yield Hostile("GIF whose codes have 12 bits", gif(64, 64, [gif_frame(64, 64, b"\x0c\xff" + b"\xff" * 255 + b"\0")]))
    yield Hostile("GIF whose codes have 0 bits", gif(64, 64, [gif_frame(64, 64, b"\0\xff" + b"\xff" * 255 + b"\0")]))
    yield Hostile("GIF of a frame without data", gif(64, 64, [gif_frame(64, 64, b"\2\0")]))
    yield Hostile("GIF of 100,000 comments", gif(64, 64, [b"!\xfe\1x\0"] * 100_000 + [GIF_FRAME]))
    yield Hostile("GIF of no pixels", gif(0, 9, [GIF_FRAME]), IMAGE_DAMAGED, ("0 x 9",))
    yield Hostile("GIF without its colours", whole[:10] + b"\0" + whole[11:13] + whole[13 + 768 :])
    yield Hostile("GIF that was cut", whole[: len(whole) // 2])


# --- parts -----------------------------------------------------------------------------------------------------


@cache
def photo(kind: str, width: int = 320, height: int = 240, **options: bool) -> bytes:
    return encode(photo_like(width, height), kind, **options)


def without(jpeg: bytes, marker: int) -> bytes:
    """Take the first segment with this marker out."""
    at = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def icc(count: int) -> Iterator[bytes]:
    for number in range(1, count + 1):
        yield segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + bytes(65_000))


def zero_png(width: int, height: int) -> bytes:
    """A whole PNG of black pixels, one bit each."""
    rows = compress(bytes((1 + (width + 7) // 8) * height))
    header = png_header(width, height, bits=1, colour=0).removesuffix(png_chunk(b"IDAT", b""))
    return header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def _grey_jpeg(width: int, height: int, frame: int) -> bytes:
    """The header of a grey JPEG whose Huffman tables have one code each: 0, "no difference" and "end of block(s)"."""
    one_code = bytes([1, *[0] * 15])
    last = 0xE0 if frame == 0xC2 else 0x00
    return (
        b"\xff\xd8"
        + segment(0xDB, bytes([0, *[1] * 64]))
        + segment(frame, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
        + segment(0xC4, b"\0" + one_code + b"\0")
        + segment(0xC4, b"\x10" + one_code + bytes([last]))
    )


def zero_jpeg(width: int, height: int) -> bytes:
    """A whole grey JPEG of two zero bits a block."""
    blocks = -(-width // 8) * -(-height // 8)
    return _grey_jpeg(width, height, 0xC0) + segment(0xDA, b"\1\1\0\0\x3f\0") + bytes(blocks // 4 + 1) + b"\xff\xd9"


def scan_bomb(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG of tiny scans, each of which a decoder carries through the whole picture.

    It needs at least 16,384 blocks: a scan says no more than "end of block" for runs of 16,384 to 32,767 blocks.
    """
    blocks = -(-width // 8) * -(-height // 8)
    count = -(-blocks // 32_767)
    runs = [blocks // count + (number < blocks % count) for number in range(count)]
    bits = "".join(f"0{run - 16_384:014b}" for run in runs)
    length = -(-len(bits) // 8)
    packed = int(bits.ljust(8 * length, "1"), 2).to_bytes(length, "big").replace(b"\xff", b"\xff\0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8 + 1)
    return _grey_jpeg(width, height, 0xC2) + first + (segment(0xDA, b"\1\1\0\1\x3f\0") + packed) * scans + b"\xff\xd9"


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int, height: int, flags: int = 0) -> bytes:
    return chunk(
        b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )


def vp8l(width: int, height: int) -> bytes:
    return b"\x2f" + (((width - 1) & 0x3FFF) | ((height - 1) & 0x3FFF) << 14).to_bytes(4, "little") + bytes(50)


def size_of_vp8(width: int, height: int) -> bytes:
    return b"\x9d\x01\x2a" + struct.pack("<HH", width, height)


@cache
def one_colour_webp() -> bytes:
    return encode(Image.new("RGB", (4000, 4000), (9, 9, 9)), "WEBP", lossless=True, method=0, quality=0)


def gif(width: int, height: int, blocks: list[bytes]) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6) + b"".join(blocks) + b";"


def gif_frame(width: int, height: int, data: bytes = b"\2\2\x44\1\0") -> bytes:
    return b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0" + data


GIF_FRAME = gif_frame(1, 1)
