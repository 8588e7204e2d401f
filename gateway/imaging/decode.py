"""From a descriptor to a small picture in memory. Knows libvips; must not know scores or sockets.

The full picture is never held: it is decoded line by line and shrunk on the way, except where the format itself
needs the whole (see `Facts.held_whole`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyvips

from gateway.errors import IMAGE_DAMAGED, IMAGE_TOO_LARGE, ApiError

if TYPE_CHECKING:
    from gateway.imaging.facts import Facts

# The long side is brought into [MIN_LONG_SIDE, 2 * MIN_LONG_SIDE): above twice the analysis size of 512 pixels, and
# where JPEG's own shrinking by 2, 4 or 8 saves most of the decoder's work.
MIN_LONG_SIDE = 1280
_LOADERS = {"jpeg": "jpegload_source", "png": "pngload_source", "webp": "webpload_source", "gif": "gifload_source"}
_MAX_JPEG_SHRINK = 8
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
    when the decoder finds more than `max_pixels` although the header said less.
    """
    pyvips.cache_set_max(0)
    source = pyvips.Source.new_from_descriptor(descriptor)
    try:
        return _load(source, facts, max_pixels)
    except pyvips.Error as error:
        detail = " ".join(str(error).split())
        raise ApiError(IMAGE_DAMAGED, detail) from error


def _load(source: Any, facts: Facts, max_pixels: int) -> Picture:
    factor = shrink_factor(max(facts.width, facts.height))
    image, remaining = _open(source, facts, factor)
    _check(image, facts, factor // remaining, max_pixels)
    small = _flatten(image)
    if remaining > 1:
        small = small.shrink(remaining, remaining, ceil=True)
    small = _to_eight_bits(small.copy_memory())
    turned = small.get("orientation") if small.get_typeof("orientation") else 1
    width, height = (image.width, image.height) if facts.format == "gif" else (facts.width, facts.height)
    if 5 <= turned <= 8:
        width, height = height, width
    upright = small.autorot().copy_memory() if turned != 1 else small
    return Picture(upright, width, height, factor)


def shrink_factor(long_side: int) -> int:
    """Return the power of two by which a picture with this long side (pixels) is shrunk while it is decoded."""
    factor = 1
    while long_side // (2 * factor) >= MIN_LONG_SIDE:
        factor *= 2
    return factor


def _open(source: Any, facts: Facts, factor: int) -> tuple[Any, int]:
    """Return the lazy image and the part of `factor` that its loader could not do."""
    options: dict[str, Any] = {"access": "sequential", "fail_on": "truncated"}
    remaining = factor
    if facts.format == "jpeg":
        options["shrink"] = min(factor, _MAX_JPEG_SHRINK)
        remaining = factor // options["shrink"]
    elif facts.format == "webp":
        options |= {"scale": 1 / factor, "page": 0, "n": 1}
        remaining = 1
    elif facts.format == "gif":
        options |= {"page": 0, "n": 1}
    return pyvips.Operation.call(_LOADERS[facts.format], source, **options), remaining


def _check(image: Any, facts: Facts, shrunk: int, max_pixels: int) -> None:
    """Compare what the decoder found with what the header said, before any pixel is decoded."""
    pixels = image.width * image.height * shrunk * shrunk
    if facts.format == "gif":  # frames may reach beyond the declared screen, or stay inside it
        if pixels > max_pixels:
            raise ApiError(IMAGE_TOO_LARGE, message=f"The image has {pixels:,} pixels; the limit is {max_pixels:,}.")
        return
    for side, declared in ((image.width, facts.width), (image.height, facts.height)):
        if abs(side - declared / shrunk) > 1:
            raise ApiError(IMAGE_DAMAGED, f"decoder sees {image.width}x{image.height}, header says otherwise")


def _flatten(image: Any) -> Any:
    if not image.hasalpha():
        return image
    return image.flatten(background=[_WHITE * 257 if image.format == "ushort" else _WHITE])


def _to_eight_bits(image: Any) -> Any:
    """Bring the shrunken image to 8 bits and to 1 or 3 bands, keeping the attached profile."""
    if image.interpretation == "cmyk":
        return _from_cmyk(image)
    if image.format == "ushort":
        image = (image >> 8).cast("uchar")
        return image.copy(interpretation="b-w" if image.bands == 1 else "srgb")
    return image


def _from_cmyk(image: Any) -> Any:
    """Convert CMYK to sRGB; what is printed in black alone stays exactly grey, which no profile promises."""
    if max(image[band].max() for band in range(3)) <= _INK_ONLY:
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
            image = image.icc_transform("srgb", embedded=True).copy_memory()
    if image.bands == 1:
        return image.copy(interpretation="b-w").colourspace("srgb")
    return image
