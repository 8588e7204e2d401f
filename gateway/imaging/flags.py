"""Tencent's five yes-or-no findings. Maths only; must not know scores.

Source: Tencent Cloud CI, "Image Quality Assessment" (AssessQuality), response body; the exact edges are the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from gateway.imaging.views import Pixels, Plane, cells
from gateway.report import Flags

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts

Mask = npt.NDArray[np.bool_]

_LONG_RATIO = 3
_SMALL_LONG_SIDE = 179
_BIG_SHORT_SIDE = 1000
_MAX_CHROMA_ERROR = 2.5  # Cb and Cr, 8-bit: what rounding in a lossy grey picture leaves behind
_SAMPLE_STEP = 16
_CB_RED, _CB_GREEN, _CB_BLUE = -0.168736, -0.331264, 0.5  # ITU-T T.871 section 7
_CR_RED, _CR_GREEN, _CR_BLUE = 0.5, -0.418688, -0.081312

_PLAIN_CELLS = 16
_PLAIN_UNEVENNESS = 1.5  # grey levels between the means of cells: noise averages out, a picture does not
_PLAIN_REACH = 32  # grey levels that a single noisy pixel may be off
_GROUND_REACH = 10  # grey levels around the ground's colour that noise and JPEG leave
_GROUND_SHARE = 0.5
_INK_DISTANCE = 48  # grey levels between ground and ink
_MIDTONES = (0.25, 0.75)  # of the way from ground to ink
_MAX_EDGE_WIDTH = 1.5  # midtone pixels per edge crossed: letters have 1 at most, lamps and shading many
_MIN_STROKES = 3.0  # ink runs in a row that has ink; a single shape has one or two


def find_flags(picture: Picture, facts: Facts) -> Flags:
    """Return the five findings; size flags by the full picture's upright sides, the others by the loaded pixels."""
    long_side, short_side = max(picture.width, picture.height), min(picture.width, picture.height)
    pixels = cast("Pixels", picture.image.numpy())
    pixels = pixels.reshape(picture.image.height, picture.image.width, -1)  # a single grey pixel comes as a number
    return Flags(
        long_image=long_side >= _LONG_RATIO * short_side,
        black_and_white=is_grey(pixels, exact=facts.lossless),
        small_image=long_side < _SMALL_LONG_SIDE,
        big_image=short_side > _BIG_SHORT_SIDE,
        pure_image=is_plain(pixels) or is_plain_text(pixels),
    )


def is_grey(pixels: Pixels, *, exact: bool) -> bool:
    """Tell whether R = G = B in every pixel of uint8 (H, W, 1 or 3); unless `exact`, a chroma error of 2 passes."""
    if pixels.shape[2] == 1:
        return True
    test = _equal_channels if exact else _without_chroma
    return test(pixels[::_SAMPLE_STEP, ::_SAMPLE_STEP]) and test(pixels)


def _equal_channels(pixels: Pixels) -> bool:
    red, green, blue = (pixels[..., band] for band in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))


def _without_chroma(pixels: Pixels) -> bool:
    red, green, blue = (pixels[..., band].astype(np.float32) for band in range(3))
    first = np.abs(_CB_RED * red + _CB_GREEN * green + _CB_BLUE * blue).max()
    second = np.abs(_CR_RED * red + _CR_GREEN * green + _CR_BLUE * blue).max()
    return bool(max(first, second) <= _MAX_CHROMA_ERROR)


def is_plain(pixels: Pixels) -> bool:
    """Tell whether uint8 (H, W, bands) is one colour, with faint noise at most."""
    ground = np.median(_sample(pixels), axis=(0, 1))
    if _distance(_sample(pixels), ground).max() > _PLAIN_REACH or _distance(pixels, ground).max() > _PLAIN_REACH:
        return False
    return all(_unevenness(pixels[..., band]) <= _PLAIN_UNEVENNESS for band in range(pixels.shape[2]))


def _unevenness(band: Pixels) -> float:
    count = min(_PLAIN_CELLS, *band.shape)
    return float(cells(band.astype(np.float32), count).std())


def is_plain_text(pixels: Pixels) -> bool:
    """Tell whether uint8 (H, W, bands) is text, or anything as crisp and many-stroked, on a plain ground.

    Crisp: between ground and ink lies an edge of a pixel or two. Many-stroked: a row with ink has at least 3 runs.
    """
    ground = _most_frequent(_sample(pixels))
    if (_distance(_sample(pixels), ground) <= _GROUND_REACH).mean() < _GROUND_SHARE * 0.9:
        return False
    distance = _distance(pixels, ground)
    if (distance <= _GROUND_REACH).mean() < _GROUND_SHARE:
        return False
    reach = float(distance.max())
    ink = distance > reach / 2
    return reach > _INK_DISTANCE and _strokes(ink) >= _MIN_STROKES and _edge_width(distance / reach) <= _MAX_EDGE_WIDTH


def _sample(pixels: Pixels) -> Pixels:
    step = max(1, min(_SAMPLE_STEP, min(pixels.shape[:2]) // 64))
    return pixels[::step, ::step]


def _most_frequent(pixels: Pixels) -> Plane:
    counts = [np.bincount(pixels[..., band].ravel(), minlength=256) for band in range(pixels.shape[2])]
    return np.array([float(np.convolve(count, np.ones(5), "same").argmax()) for count in counts], np.float32)


def _distance(pixels: Pixels, ground: Plane) -> Plane:
    """Return the largest difference of any band from the ground, float32 (H, W), in grey levels."""
    off = [np.abs(pixels[..., band].astype(np.float32) - np.float32(ground[band])) for band in range(pixels.shape[2])]
    return cast("Plane", np.maximum.reduce(off))


def _strokes(ink: Mask) -> float:
    """Return the mean number of ink runs in the rows that have ink."""
    begins = (ink[:, 1:] & ~ink[:, :-1]).sum(axis=1) + ink[:, 0]
    return float(begins[begins > 0].mean())


def _edge_width(depth: Plane) -> float:
    """Return how many midtone pixels there are for each edge between ground (0) and ink (1) in rows and columns."""
    ink = depth > 0.5
    crossed = int((ink[:, 1:] != ink[:, :-1]).sum()) + int((ink[1:] != ink[:-1]).sum())
    midtones = int(((depth > _MIDTONES[0]) & (depth < _MIDTONES[1])).sum())
    return midtones / max(1, crossed)
