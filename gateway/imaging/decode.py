"""From a descriptor to a small picture in memory. Knows libvips; must not know scores or sockets.

The full picture is never held: it is decoded line by line and shrunk on the way, except where the format itself
needs the whole (see `Facts.held_whole`). Only the loaders named here are ever called: libvips is never left to find
out for itself what a file is.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyvips

from gateway.errors import IMAGE_DAMAGED, IMAGE_TOO_LARGE, ApiError
from gateway.imaging.bitmap import read_bitmap
from gateway.imaging.leisure import finish
from gateway.imaging.reading import unsupported
from gateway.imaging.render import in_memory, pixels, to_image
from gateway.imaging.strips import strips

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.imaging.facts import Facts, Format
    from gateway.imaging.leisure import Steps

# The long side is brought into [MIN_LONG_SIDE, 2 * MIN_LONG_SIDE): above twice the analysis size of 512 pixels, and
# where JPEG's own shrinking by 2, 4 or 8 saves most of the decoder's work.
MIN_LONG_SIDE = 1280
_LOADERS: Mapping[Format, str] = {  # each gives the first page or frame, HEIF's the primary one
    "jpeg": "jpegload_source",
    "png": "pngload_source",
    "webp": "webpload_source",
    "gif": "gifload_source",
    "tiff": "tiffload_source",
    "avif": "heifload_source",
    "heic": "heifload_source",
    "jxl": "jxlload_source",
}
_HEIF_LACKS = "not been built in|Unsupported codec|No decoding plugin"
_TIFF_LACKS = "not configured|decoding is not implemented|unsupported tiff|not a whole number|samples out of range|labq"
_LACKS: Mapping[Format, str] = {"tiff": _TIFF_LACKS, "avif": _HEIF_LACKS, "heic": _HEIF_LACKS}  # libvips' words
_LACKING: Mapping[Format, str] = {  # ours
    "tiff": "a TIFF file of a kind that this build cannot decode",
    "avif": "an AVIF file, which this build cannot decode (its libvips has no AV1 decoder)",
    "heic": "a HEIC file, which this build cannot decode (its libvips has no HEVC decoder)",
    "jxl": "a JPEG XL file, which this build cannot decode (its libvips has no JPEG XL decoder)",
}
# libjpeg's words for entropy-coded data that breaks off or goes astray. It goes on with grey or shifted blocks; its
# other warnings (a rare JFIF revision, stray bytes between header segments) leave every pixel as it was. It voices
# the first warning only, so that damage in the scan of a file whose header is odd, too, is not seen.
_BROKEN_SCAN = re.compile(
    "bad Huffman code|premature end of data segment|instead of RST|extraneous bytes before marker 0xd[0-7]"
)
_SIZED_BY_DECODER = frozenset({"gif", "avif", "heic", "jxl"})
_TURNED_BY_DECODER = frozenset({"avif", "heic", "jxl"})
_BANDS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "cmyk": 4}  # libvips' colour spaces, without alpha
_EIGHT_BIT = {"grey16": "b-w", "rgb16": "srgb"}
_MAX_JPEG_SHRINK = 8
_MAX_DETAIL = 500  # characters of a decoder's message that go to the log
_WHITE = 255.0
_INK_ONLY = 2  # cyan, magenta and yellow at most this much (of 255): a CMYK picture printed in black alone


@dataclass(frozen=True, slots=True)
class Picture:
    """A shrunken picture in memory.

    `image` has 8 bits and 1 or 3 bands, upright, alpha laid over white, colours still in the space of the profile
    attached to it, if any (see `to_srgb`). `width` and `height` are those of the full picture, upright. `factor` is
    how often the sides of the full picture are longer.
    """

    image: Any
    width: int
    height: int
    factor: int


def load(descriptor: int, facts: Facts, *, max_pixels: int) -> Picture:
    """Decode and shrink the picture that the descriptor brings; the descriptor stays the caller's.

    Raises IMAGE_DAMAGED for what is broken or cut short (libvips would return half a picture), IMAGE_TOO_LARGE
    when the decoder finds more than `max_pixels` although the header said less, NOT_AN_IMAGE for what this build of
    libvips cannot decode.
    """
    return finish(loading(descriptor, facts, max_pixels=max_pixels))


def loading(descriptor: int, facts: Facts, *, max_pixels: int) -> Steps[Picture]:
    """Do the same in steps; other formats than JPEG are decoded in one, by threads of libvips."""
    pyvips.cache_set_max(0)
    logging.getLogger("pyvips").setLevel(logging.ERROR)  # what is wrong with a picture is said to who sent it
    pyvips.vips_lib.vips_error_clear()
    try:
        image, shrunk = _open(descriptor, facts)
        return (yield from _loading(image, facts, shrunk, max_pixels))
    except pyvips.Error as error:
        raise _refusal(" ".join(str(error).split())[:_MAX_DETAIL], facts) from None


def _loading(image: Any, facts: Facts, shrunk: int, max_pixels: int) -> Steps[Picture]:
    """Do what the loader left over; `shrunk` is how often it has shrunk the sides."""
    width, height = _size(image, facts, shrunk, max_pixels)
    factor = shrink_factor(max(width, height))
    small = _flatten(_plain(image, facts))
    if factor > shrunk:
        small = small.shrink(factor // shrunk, factor // shrunk, ceil=True)
    if facts.format == "jpeg":
        found = yield from pixels(small)
        _check_scans()  # before libvips is asked for anything else, which would clear what it said
        small = to_image(found, small)
    else:
        small = small.copy_memory()  # by single rows: regions of several cost a large PNG's decoder 10 MB more
    eight = _to_eight_bits(small)
    small = small if eight is small else in_memory(eight)
    turned = small.get("orientation") if small.get_typeof("orientation") else 1
    if turned != 1 and facts.format not in _TURNED_BY_DECODER:
        width, height = (height, width) if 5 <= turned <= 8 else (width, height)
        small = in_memory(small.autorot())
    return Picture(small, width, height, factor)


def shrink_factor(long_side: int) -> int:
    """Return the power of two by which a picture with this long side (pixels) is shrunk while it is decoded."""
    factor = 1
    while long_side // (2 * factor) >= MIN_LONG_SIDE:
        factor *= 2
    return factor


def _open(descriptor: int, facts: Facts) -> tuple[Any, int]:
    """Return the lazy image, and how often its loader shrinks the sides."""
    if facts.format == "bmp":
        pixels = read_bitmap(descriptor)
        return pyvips.Image.new_from_array(pixels, interpretation="b-w" if pixels.ndim == 2 else "srgb"), 1
    loader = _LOADERS[facts.format]
    if not pyvips.type_find("VipsOperation", loader):
        raise _lacking(facts)
    # Of what libvips offers, "truncated" lets half a TIFF pass.
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    shrunk = 1
    most = min(shrink_factor(max(facts.width, facts.height)), _shrinkable(min(facts.width, facts.height)))
    if facts.format == "jpeg":
        options["shrink"] = shrunk = min(_MAX_JPEG_SHRINK, most)
    elif facts.format == "webp":
        shrunk = most
        options["scale"] = 1 / shrunk
    return pyvips.Operation.call(loader, pyvips.Source.new_from_descriptor(descriptor), **options), shrunk


def _shrinkable(short_side: int) -> int:
    """Return the largest power of two that leaves a side of one pixel; loaders refuse half a pixel."""
    return 1 << max(1, short_side).bit_length() - 1


def _refusal(detail: str, facts: Facts) -> ApiError:
    words = _LACKS.get(facts.format)
    return _lacking(facts, detail) if words and re.search(words, detail) else ApiError(IMAGE_DAMAGED, detail)


def _lacking(facts: Facts, detail: str = "") -> ApiError:
    what = _LACKING.get(facts.format, f"a {facts.format.upper()} file, which this build cannot decode")
    return unsupported(what, detail)


def _size(image: Any, facts: Facts, shrunk: int, max_pixels: int) -> tuple[int, int]:
    """Return the full picture's sides as stored, before any pixel is decoded.

    What the decoder found must be what the header said, or, where only the decoder knows (a GIF's frames may reach
    beyond the declared screen), not too large.
    """
    pixels = image.width * image.height * shrunk * shrunk
    if facts.format in _SIZED_BY_DECODER or not facts.width:
        if pixels > max_pixels:
            raise ApiError(IMAGE_TOO_LARGE, message=f"The image has {pixels:,} pixels; the limit is {max_pixels:,}.")
        return image.width, image.height
    for side, declared in ((image.width, facts.width), (image.height, facts.height)):
        if abs(side - declared / shrunk) > 1:
            raise ApiError(IMAGE_DAMAGED, f"decoder sees {image.width}x{image.height}, header says otherwise")
    return facts.width, facts.height


def _plain(image: Any, facts: Facts) -> Any:
    """Refuse samples that have no plain meaning as a picture; drop channels that are neither colour nor alpha."""
    bands = _BANDS.get(image.interpretation, 0)
    if image.format not in ("uchar", "ushort") or not 1 <= bands <= image.bands:
        kind = "floating-point samples" if image.format in ("float", "double") else "samples of an unusual kind"
        what = f"a {facts.format.upper()} file with {kind}"
        raise unsupported(what, f"{image.format} {image.interpretation} {image.bands}")
    wanted = max(bands, facts.bands) if facts.format == "tiff" and facts.bands else bands + 1
    return image.extract_band(0, n=wanted) if image.bands > wanted else image


def _check_scans() -> None:
    """Raise IMAGE_DAMAGED when the JPEG that was just decoded had broken scans."""
    said = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode("utf-8", "replace")
    if _BROKEN_SCAN.search(said):
        raise ApiError(IMAGE_DAMAGED, " ".join(said.split())[:_MAX_DETAIL])


def _flatten(image: Any) -> Any:
    if not image.hasalpha():
        return image
    return image.flatten(background=[_WHITE * 257 if image.format == "ushort" else _WHITE])


def _to_eight_bits(image: Any) -> Any:
    """Bring the shrunken image to 8 bits and to 1 or 3 bands, keeping the attached profile."""
    if image.format == "ushort":
        image = (image >> 8).cast("uchar").copy(interpretation=_EIGHT_BIT.get(image.interpretation, "cmyk"))
    return _from_cmyk(image) if image.interpretation == "cmyk" else image


def _from_cmyk(image: Any) -> Any:
    """Convert CMYK to sRGB; what is printed in black alone stays exactly grey, which no profile promises."""
    if all(rows[..., :3].max() <= _INK_ONLY for rows in strips(image)):
        grey = (_WHITE - image[3]).cast("uchar").copy(interpretation="b-w")
        grey.remove("icc-profile-data")
        return grey
    converted = image.icc_transform("srgb", embedded=True, input_profile="cmyk")
    converted = converted.copy()
    converted.remove("icc-profile-data")
    return converted


def to_srgb(image: Any) -> Any:
    """Return the image with 3 bands in sRGB; a missing or unusable profile counts as sRGB.

    Separate from `load`, because a colour transform costs as much per pixel as decoding: it is done on views only.
    """
    if image.get_typeof("icc-profile-data"):
        with suppress(pyvips.Error):  # a broken profile is no reason to refuse the picture
            image = in_memory(image.icc_transform("srgb", embedded=True))
    if image.bands == 1:
        return image.copy(interpretation="b-w").colourspace("srgb")
    return image
