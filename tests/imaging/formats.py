"""One file of every format and variant that is scored, and of every one that is refused: what the README lists."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips
from PIL import Image

from tests.imaging.files import HEIC, JXL, bmp, box, heif, ispe, os2_bmp, plain_tags, png, tiff
from tests.imaging.pictures import encode, exif, jpeg_header, photo_like

if TYPE_CHECKING:
    import numpy.typing as npt

PICTURE = photo_like(160, 120)
OTHER = photo_like(160, 120, seed=2)
RGB = np.asarray(PICTURE)
GREY = PICTURE.convert("L")
INDEXED = PICTURE.quantize(16)
BLACK_WHITE = PICTURE.convert("1")
HALF = PICTURE.copy()
HALF.putalpha(128)
WASHED = (RGB.astype(int) * 128 + 255 * 127) // 255
VIPS = pyvips.Image.new_from_array(RGB, interpretation="srgb")
VIPS_16 = (VIPS.cast("ushort") * 257).copy(interpretation="rgb16")
FOUR_BITS = np.asarray(GREY) >> 4
PALETTE = bytes(channel for i in range(256) for channel in (i, 255 - i, i // 2, 0))  # blue, green, red, unused
COLOURS = np.array([(i // 2, 255 - i, i) for i in range(256)], np.uint8)


@dataclass(frozen=True)
class Scored:
    """A file, the pixels (H, W) or (H, W, 3) that it must show, and how far off they may be on average."""

    data: bytes
    pixels: npt.NDArray[Any]
    tolerance: float = 0


def grey(image: Image.Image = GREY) -> npt.NDArray[Any]:
    pixels: npt.NDArray[Any] = np.asarray(image.convert("L"))
    return pixels


def rows(pixels: npt.NDArray[Any]) -> bytes:
    """Return the rows from the bottom to the top, each padded to four bytes, as BMP stores them."""
    lines = [line.tobytes() for line in pixels[::-1]]
    return b"".join(line + bytes(-len(line) % 4) for line in lines)


def packed(values: npt.NDArray[Any], bits: int) -> list[bytes]:
    """Return the lines of values of 2 or 4 bits, the first in a byte's highest bits."""
    per_byte = 8 // bits
    shifts = np.arange(per_byte)[::-1] * bits
    return [(line.reshape(-1, per_byte) << shifts).sum(axis=1).astype(np.uint8).tobytes() for line in values]


def run_lengths(values: npt.NDArray[Any], *, halves: bool) -> bytes:
    """Return BMP's RLE8, or RLE4 of pairs, with runs as short as they get."""
    lines = []
    for line in values[::-1].tolist():
        pairs = zip(line[0::2], line[1::2], strict=True)
        runs = (bytes([2, a << 4 | b]) for a, b in pairs) if halves else (bytes([1, value]) for value in line)
        lines.append(b"".join(runs))
    return b"\0\0".join(lines) + b"\0\1"


def ycck() -> bytes:
    """Return a CMYK JPEG stored as YCCK, of the picture printed without black."""
    ink = Image.fromarray(255 - RGB).convert("YCbCr")
    planes = [Image.fromarray(255 - np.asarray(plane)) for plane in ink.split()]
    data = encode(Image.merge("CMYK", [*planes, Image.new("L", PICTURE.size, 0)]), "JPEG", quality=95, subsampling=0)
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :]


def v4_bitmap() -> bytes:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 160, 120, 1, 32, 3, 0, 0, 0, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 122) + header + rows(np.asarray(HALF)[..., [2, 1, 0, 3]])


def sixteen_bits(*shifts_and_bits: tuple[int, int]) -> npt.NDArray[Any]:
    channels = (RGB[..., i].astype("<u2") >> 8 - bits << shift for i, (shift, bits) in enumerate(shifts_and_bits))
    pixels: npt.NDArray[Any] = np.bitwise_or.reduce(list(channels)).astype("<u2")
    return pixels


def several(kind: str, image: Image.Image = PICTURE, **options: Any) -> bytes:
    return encode(image, kind, save_all=True, append_images=[OTHER], **options)


SCORED: dict[str, Scored] = {
    "JPEG baseline, 4:2:0": Scored(encode(PICTURE, "JPEG", quality=95), RGB, 7),
    "JPEG baseline, 4:4:4": Scored(encode(PICTURE, "JPEG", quality=95, subsampling=0), RGB, 2),
    "JPEG with restart markers": Scored(encode(PICTURE, "JPEG", quality=95, restart_marker_blocks=3), RGB, 7),
    "JPEG progressive": Scored(encode(PICTURE, "JPEG", quality=95, progressive=True), RGB, 7),
    "JPEG grey": Scored(encode(GREY, "JPEG", quality=95), grey(), 2),
    "JPEG stored as RGB": Scored(encode(PICTURE, "JPEG", quality=95, keep_rgb=True), RGB, 2),
    "JPEG CMYK": Scored(encode(PICTURE.convert("CMYK"), "JPEG", quality=95, subsampling=0), RGB, 17),
    "JPEG YCCK": Scored(ycck(), RGB, 17),
    "PNG RGB, 8 bits": Scored(encode(PICTURE, "PNG"), RGB),
    "PNG RGB, 16 bits": Scored(VIPS_16.pngsave_buffer(), RGB),
    "PNG grey, 1 bit": Scored(encode(BLACK_WHITE, "PNG"), grey(BLACK_WHITE)),
    "PNG grey, 2 bits": Scored(png(160, 120, 2, 0, packed(grey() >> 6, 2)), (grey() >> 6) * 85),
    "PNG grey, 4 bits": Scored(png(160, 120, 4, 0, packed(FOUR_BITS, 4)), FOUR_BITS * 17),
    "PNG grey, 8 bits": Scored(encode(GREY, "PNG"), grey()),
    "PNG grey, 16 bits": Scored(encode(Image.fromarray(grey().astype(np.uint16) * 257), "PNG"), grey()),
    "PNG palette": Scored(encode(INDEXED, "PNG"), np.asarray(INDEXED.convert("RGB"))),
    "PNG palette with transparency": Scored(
        encode(INDEXED, "PNG", transparency=bytes([128] * 16)),
        (np.asarray(INDEXED.convert("RGB")).astype(int) * 128 + 255 * 127) // 255,
        1,
    ),
    "PNG interlaced": Scored(VIPS.pngsave_buffer(interlace=True), RGB),
    "PNG alpha": Scored(encode(HALF, "PNG"), WASHED, 1),
    "PNG grey and alpha": Scored(encode(HALF.convert("LA"), "PNG"), WASHED @ [0.299, 0.587, 0.114], 1),
    "PNG one transparent colour": Scored(
        encode(PICTURE, "PNG", transparency=tuple(RGB[0, 0].tolist())),
        np.where((RGB[0, 0] == RGB).all(axis=2, keepdims=True), 255, RGB),
    ),
    "PNG animated, first frame": Scored(several("PNG"), RGB),
    "WebP lossy": Scored(encode(PICTURE, "WEBP", quality=95), RGB, 7),
    "WebP lossless": Scored(encode(PICTURE, "WEBP", lossless=True), RGB),
    "WebP alpha": Scored(encode(HALF, "WEBP", lossless=True), WASHED, 1),
    "WebP animated, first frame": Scored(several("WEBP", lossless=True), RGB),
    "GIF": Scored(encode(INDEXED, "GIF"), np.asarray(INDEXED.convert("RGB"))),
    "GIF interlaced": Scored(encode(INDEXED, "GIF", interlace=True), np.asarray(INDEXED.convert("RGB"))),
    "GIF animated, first frame": Scored(several("GIF", INDEXED), np.asarray(INDEXED.convert("RGB"))),
    "TIFF uncompressed": Scored(encode(PICTURE, "TIFF"), RGB),
    "TIFF big-endian": Scored(tiff(plain_tags(160, 120), RGB.tobytes(), order=">"), RGB),
    "TIFF LZW": Scored(encode(PICTURE, "TIFF", compression="tiff_lzw"), RGB),
    "TIFF Deflate": Scored(VIPS.tiffsave_buffer(compression="deflate", predictor="horizontal"), RGB),
    "TIFF PackBits": Scored(encode(PICTURE, "TIFF", compression="packbits"), RGB),
    "TIFF JPEG": Scored(VIPS.tiffsave_buffer(compression="jpeg", Q=95), RGB, 5),
    "TIFF WebP": Scored(VIPS.tiffsave_buffer(compression="webp", lossless=True), RGB),
    "TIFF CCITT group 3": Scored(encode(BLACK_WHITE, "TIFF", compression="group3"), grey(BLACK_WHITE)),
    "TIFF CCITT group 4": Scored(encode(BLACK_WHITE, "TIFF", compression="group4"), grey(BLACK_WHITE)),
    "TIFF tiles": Scored(VIPS.tiffsave_buffer(compression="lzw", tile=True, tile_width=64, tile_height=64), RGB),
    "TIFF planes": Scored(
        tiff(
            {**plain_tags(160, 120), 284: (3, (2,)), 273: (4, (8, 19_208, 38_408)), 279: (4, (19_200,) * 3)},
            RGB.transpose(2, 0, 1).tobytes(),
        ),
        RGB,
    ),
    "BigTIFF": Scored(VIPS.tiffsave_buffer(bigtiff=True), RGB),
    "TIFF 16 bits": Scored(tiff(plain_tags(160, 120, bits=16), (RGB * np.uint16(257)).tobytes()), RGB),
    "TIFF grey, 1 bit": Scored(encode(BLACK_WHITE, "TIFF"), grey(BLACK_WHITE)),
    "TIFF grey, 4 bits": Scored(
        tiff(plain_tags(160, 120, bits=4, samples=1, photometric=1), b"".join(packed(FOUR_BITS, 4))), FOUR_BITS * 17
    ),
    "TIFF grey, white is zero": Scored(
        tiff(plain_tags(160, 120, samples=1, photometric=0), (255 - grey()).tobytes()), grey()
    ),
    "TIFF palette": Scored(encode(INDEXED, "TIFF"), np.asarray(INDEXED.convert("RGB"))),
    "TIFF CMYK": Scored(encode(PICTURE.convert("CMYK"), "TIFF"), RGB, 17),
    "TIFF alpha": Scored(encode(HALF, "TIFF"), WASHED, 1),
    "TIFF with a channel that is no alpha": Scored(
        tiff({**plain_tags(160, 120, samples=4), 338: (3, (0,))}, np.asarray(HALF).tobytes()), RGB
    ),
    "TIFF several pages, first page": Scored(several("TIFF"), RGB),
    "BMP 24 bits": Scored(bmp(160, 120, 24, rows(RGB[..., ::-1])), RGB),
    "BMP 24 bits, from the top": Scored(bmp(160, -120, 24, rows(RGB[::-1, :, ::-1])), RGB),
    "BMP 32 bits": Scored(bmp(160, 120, 32, rows(np.dstack([RGB[..., ::-1], 0 * RGB[..., 0]]))), RGB),
    "BMP 32 bits with alpha": Scored(v4_bitmap(), WASHED, 1),
    "BMP 16 bits": Scored(bmp(160, 120, 16, rows(sixteen_bits((10, 5), (5, 5), (0, 5)))), RGB, 4),
    "BMP 16 bits, 5-6-5": Scored(
        bmp(
            *(160, 120, 16, rows(sixteen_bits((11, 5), (5, 6), (0, 5)))),
            compression=3,
            masks=struct.pack("<3I", 0xF800, 0x7E0, 0x1F),
        ),
        RGB,
        4,
    ),
    "BMP 8 bits": Scored(bmp(160, 120, 8, rows(grey()), palette=PALETTE), COLOURS[grey()]),
    "BMP 8 bits, run lengths": Scored(
        bmp(160, 120, 8, run_lengths(grey(), halves=False), palette=PALETTE, compression=1), COLOURS[grey()]
    ),
    "BMP 4 bits": Scored(
        bmp(160, 120, 4, b"".join(packed(FOUR_BITS[::-1], 4)), palette=PALETTE[:64]), COLOURS[FOUR_BITS]
    ),
    "BMP 4 bits, run lengths": Scored(
        bmp(160, 120, 4, run_lengths(FOUR_BITS, halves=True), palette=PALETTE[:64], compression=2), COLOURS[FOUR_BITS]
    ),
    "BMP 1 bit": Scored(encode(BLACK_WHITE, "BMP"), grey(BLACK_WHITE)),
    "BMP of OS/2": Scored(os2_bmp(160, 120, 24, rows(RGB[..., ::-1])), RGB),
    "AVIF 8 bits": Scored(encode(PICTURE, "AVIF", quality=95, speed=8), RGB, 5),
    "AVIF 10 bits, 4:4:4": Scored(
        VIPS_16.heifsave_buffer(compression="av1", bitdepth=10, Q=95, subsample_mode="off", effort=1), RGB, 4
    ),
    "AVIF 12 bits": Scored(VIPS_16.heifsave_buffer(compression="av1", bitdepth=12, Q=95, effort=1), RGB, 6),
    "AVIF grey": Scored(encode(GREY, "AVIF", quality=95, speed=8), grey(), 5),
    "AVIF alpha": Scored(encode(HALF, "AVIF", quality=95, speed=8), WASHED, 5),
    "AVIF sequence, first frame": Scored(several("AVIF", quality=95, speed=8), RGB, 5),
}

JUNK = bytes(range(256)) * 300
CANNOT = "this build cannot decode"
REFUSED: dict[str, tuple[bytes, str]] = {  # what -> the file, and words of the sentence that refuses it
    "JPEG 12 bits": (jpeg_header(160, 120, bits=12), "a JPEG with 12 bits per sample"),
    "JPEG arithmetic-coded": (jpeg_header(160, 120, frame=0xC9), "an arithmetic-coded JPEG"),
    "JPEG lossless": (jpeg_header(160, 120, frame=0xC3), "a lossless JPEG"),
    "JPEG hierarchical": (jpeg_header(160, 120, frame=0xC5), "a hierarchical JPEG"),
    "TIFF 32-bit float": (VIPS.cast("float").tiffsave_buffer(), "floating-point"),
    "TIFF 16-bit float": (
        tiff({**plain_tags(16, 16, bits=16, samples=1, photometric=1), 339: (3, (3,))}, JUNK[:512]),
        "floating-point",
    ),
    "TIFF 32-bit integers": (encode(GREY.convert("I"), "TIFF"), "samples of an unusual kind"),
    "TIFF signed": (VIPS.cast("char").tiffsave_buffer(), "samples of an unusual kind"),
    "TIFF 12 bits": (
        tiff(plain_tags(16, 16, bits=12, samples=1, photometric=1), JUNK[:384]),
        "this build cannot decode",
    ),
    "TIFF L*a*b*": (VIPS.colourspace("lab").tiffsave_buffer(), "L*a*b*"),
    **{
        f"TIFF {name}": (tiff(plain_tags(16, 16, compression=number), JUNK[:768]), CANNOT)
        for name, number in (
            *(("Zstandard", 50000), ("LZMA", 34925), ("LERC", 34887), ("JPEG 2000", 34712), ("JPEG XL", 50002)),
            ("unknown compression", 12345),
        )
    },
    "TIFF old-style JPEG": (
        tiff(plain_tags(16, 16, compression=6, photometric=6), JUNK[:768]),
        "this build cannot decode",
    ),
    "camera's raw file": (tiff(plain_tags(16, 16, bits=16, samples=1, photometric=32803), JUNK[:512]), "raw file"),
    "BMP unusual channel masks": (
        bmp(16, 16, 16, JUNK[:512], compression=3, masks=struct.pack("<3I", 0xF000, 0xFF0, 0xF)),
        "a BMP file of a kind that this build cannot decode",
    ),
    "HEIF with other codecs": (heif(b"mif1", [ispe(16, 16), box(b"j2kH", JUNK[:40])]), "neither AV1 nor HEVC"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + JUNK[:200], "a JPEG 2000 file"),
    "video": (box(b"ftyp", b"isom\0\0\0\0mp42") + JUNK[:200], "a video"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "an SVG file"),
    "PDF": (b"%PDF-1.7\n" + JUNK[:200], "a PDF file"),
    "Photoshop": (b"8BPS\0\1" + JUNK[:200], "a Photoshop (PSD) file"),
    "CSV": (b"1,2,3\n4,5,6\n7,8,9\n", "not an image"),
    "Radiance": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 9 +X 9\n" + JUNK[:400], "not an image"),
    "PPM": (b"P6 16 16 255\n" + JUNK[:768], "not an image"),
    "vips": (b"\xb6\xa6\xf2\x08" + JUNK[:400], "not an image"),
}

# What a build of libvips may have or lack: the file, and the words that refuse it where it is lacking.
DEPENDS: dict[str, tuple[bytes, str]] = {
    "HEIC": (HEIC, "a HEIC file, which this build cannot decode (its libvips has no HEVC decoder)"),
    "JPEG XL": (JXL, "a JPEG XL file, which this build cannot decode (its libvips has no JPEG XL decoder)"),
}

TURNED: dict[str, Any] = {  # format -> a file with an orientation of 1..8
    "JPEG": lambda value: encode(PICTURE, "JPEG", quality=95, subsampling=0, exif=exif(value)),
    "PNG": lambda value: encode(PICTURE, "PNG", exif=exif(value)),
    "WebP": lambda value: encode(PICTURE, "WEBP", lossless=True, exif=exif(value)),
    "TIFF": lambda value: encode(PICTURE, "TIFF", tiffinfo={274: value}),
    "AVIF": lambda value: encode(PICTURE, "AVIF", quality=95, subsampling="4:4:4", speed=8, exif=exif(value)),
}
