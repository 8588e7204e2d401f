"""Tencent's five yes-or-no findings. Maths only; must not know scores.

Source: Tencent Cloud CI, "Image Quality Assessment" (AssessQuality), response body; the exact edges are the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.imaging.plain import is_plain
from gateway.imaging.render import sample
from gateway.imaging.small import SMALL_LONG_SIDE
from gateway.imaging.strips import strips
from gateway.report import Flags

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts
    from gateway.imaging.views import Pixels

_LONG_RATIO = 3
_BIG_SHORT_SIDE = 1000
_DOTS = 64  # a side; they show most pictures to be coloured, and most photos not to be plain

# ITU-R T.871 section 7, Cb and Cr of R - G and B - G, times 64: Cb = 0.5 (B-G) - 0.169 (R-G), Cr likewise
_CHROMA_OWN, _CB_OTHER, _CR_OTHER = 32, 11, 5
_MAX_CHROMA = 160  # 2.5, times 64: an error of 2 in Cb and Cr, and rounding


def find_flags(picture: Picture, facts: Facts) -> Flags:
    """Return the five findings; size flags by the full picture's upright sides, the others by the loaded pixels."""
    long_side, short_side = max(picture.width, picture.height), min(picture.width, picture.height)
    dots = sample(picture.image, _DOTS)
    return Flags(
        long_image=long_side >= _LONG_RATIO * short_side,
        black_and_white=is_grey(picture.image, dots, exact=facts.lossless),
        small_image=long_side < SMALL_LONG_SIDE,
        big_image=short_side > _BIG_SHORT_SIDE,
        pure_image=is_plain(picture.image, dots),
    )


def is_grey(image: Any, dots: Pixels, *, exact: bool) -> bool:
    """Tell whether R = G = B in every pixel of an 8-bit image of 1 or 3 bands; `dots` is a sample of its pixels.

    Unless `exact`, Cb and Cr may be off by 2 of 255: lossy formats leave as much in a grey picture.
    """
    if image.bands == 1:
        return True
    test = _has_equal_bands if exact else _has_no_chroma
    return test(dots) and all(test(pixels) for pixels in strips(image))


def _has_equal_bands(pixels: Pixels) -> bool:
    red, green, blue = (pixels[..., band] for band in range(3))
    return np.array_equal(red, green) and np.array_equal(green, blue)


def _has_no_chroma(pixels: Pixels) -> bool:
    red, green, blue = (pixels[..., band].astype(np.int16) for band in range(3))
    red -= green
    blue -= green
    first = _CHROMA_OWN * blue - _CB_OTHER * red
    second = _CHROMA_OWN * red - _CR_OTHER * blue
    return bool(max(np.abs(first).max(), np.abs(second).max()) <= _MAX_CHROMA)
