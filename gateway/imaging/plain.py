"""Is there anything but one plain colour, or text on it? Maths only; must not know scores.

Text is told from a photo by what a printer does and a lens does not: a ground without shading, ink of one tone, and
edges a pixel wide between the two. The figures below come from 500 pages in 8 scripts, 250 blank ones and 3,300
photos, as they are and distorted.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gateway.imaging.ink import NEAR, colour_depth, count_depths, find_ink, ink_depth, tone, tone_depth
from gateway.imaging.strips import BLOCK, strips

if TYPE_CHECKING:
    import numpy.typing as npt

    from gateway.imaging.ink import Depth, Ink
    from gateway.imaging.views import Pixels, Plane

_GROUND_REACH = 20  # grey levels around the ground's colour that noise, JPEG and a scanner's falling light leave
_GROUND_SHARE = 0.4
_NOISE = 9  # grey levels that the tones of a noisy ground span, most of them
_FAINT = 32  # grey levels that a single noisy pixel may be off
_MIN_INK = 40  # grey levels between ground and ink

# Edges may be as wide as the first figure and the second / depth of the ink (JPEG blurs faint ones more): text is not
# wider in 99 of 100 pages, photos are seldom below 2, and at exposure x4.5 seldom below 0.7.
_TONE_EDGES, _COLOUR_EDGES = (0.62, 10.0), (1.5, 0.0)
_MAX_SPREAD = 0.16  # of solid ink's depth: text 0.14 in 98 of 100; photos at exposure x4.5 from 0.16
_MAX_ROUNDNESS = 0.65  # text 0.6 in 98 of 100; lamps, stars and specks from 0.6
_MAX_ROUNDNESS_IN_LINE = 0.5  # of shapes that stand one by one in a line, as lamps along a road and short words do
_IN_LINE = 1.15  # strokes across a line of discs are 1.0, across long words 1.2 and more
_MIN_STROKES = 2.5  # along it; a bird has 2

_MAX_SHADE = 24.0  # grey levels by which the ground may change over the picture, smoothly
_MAX_STAIN = 0.65  # grey levels by which neighbouring blocks are off that together: plain 0.6 in 99 of 100
_MAX_TEXT_STAIN = 1.2  # the same between letters: text 0.6 in 99 of 100; dark photos with a white caption from 3
_MAX_SPOT = 4.0  # grey levels by which one block may be off, where there is no ink: plain 3.3 at most
_SHADE_BLOCKS = 4096  # enough to see a shade

_FEW = 8  # one strip in so many shows five of six photos for what they are
_FEW_PIXELS = 500  # of ink, for a verdict from those
_FEW_SLACK = 2.0  # a strip may cut large letters along their edges, which look wide then


def is_plain(image: Any, dots: Pixels) -> bool:
    """Tell whether an 8-bit image in memory is one colour, with faint noise at most, or text on such a ground.

    `dots` is a sample of its pixels, uint8 (h, w, bands). Turning or mirroring the picture changes nothing. Seven
    photos in ten cost no more than a look at the sample; a plain picture is read up to five times, in strips.
    """
    ground = _ground_of(dots)
    by_tone, by_colour = partial(tone_depth, ground=ground), partial(colour_depth, ground=ground)
    depths = by_colour(dots)
    if (depths <= _GROUND_REACH).mean() < _GROUND_SHARE:
        return False
    if depths.max() <= _FAINT and all(by_colour(pixels).max() <= _FAINT for pixels in strips(image)):
        return _is_even(_blocks(image, by_colour, _FAINT), _MAX_STAIN, _MAX_SPOT)
    return _is_text(image, by_tone, by_colour)


def _is_text(image: Any, by_tone: Depth, by_colour: Depth) -> bool:
    """Tell whether the image is text on a plain ground, by tone, or by colour where tone shows nothing."""
    for depth, widest in ((by_tone, _TONE_EDGES), (by_colour, _COLOUR_EDGES)):
        few = _find_ink(image, depth, _FEW)
        if few and few.pixels >= _FEW_PIXELS and not _is_crisp(few, widest, _FEW_SLACK):
            return False
        ink = _find_ink(image, depth)
        if ink:
            printed = _is_crisp(ink, widest) and _is_written(ink)
            return printed and _is_even(_blocks(image, depth, NEAR * ink.depth), _MAX_TEXT_STAIN)
    return False


def _find_ink(image: Any, depth: Depth, every: int = 1) -> Ink | None:
    counts = count_depths(strips(image, every=every), depth)
    reach = ink_depth(counts, _FAINT)
    return find_ink(strips(image, every=every, lead=1), depth, counts, reach) if reach >= _MIN_INK else None


def _is_crisp(ink: Ink, widest: tuple[float, float], slack: float = 1.0) -> bool:
    width, faint = widest
    return ink.edge_width <= slack * (width + faint / ink.depth)


def _is_written(ink: Ink) -> bool:
    across, along = ink.strokes
    roundest = _MAX_ROUNDNESS if across > _IN_LINE else _MAX_ROUNDNESS_IN_LINE
    return ink.spread <= _MAX_SPREAD * ink.depth and ink.roundness <= roundest and along >= _MIN_STROKES


def _ground_of(dots: Pixels) -> Pixels:
    """Return the colour of the most frequent tone, uint8 (bands): the median, by band, of what is about as light.

    Not the most frequent value of each band: where ink fills up a band to 255, the ground's noise is no match for it.
    """
    tones = tone(dots)
    counts = np.convolve(np.bincount(tones.astype(np.uint8).ravel(), minlength=256), np.ones(_NOISE), "same")
    return cast("Pixels", np.median(dots[np.abs(tones - counts.argmax()) <= _NOISE], axis=0).astype(np.uint8))


def _blocks(image: Any, depth: Depth, limit: float) -> Plane:
    """Return the mean tone of each block of 8x8 pixels, not a number where any of them is deeper than `limit`."""
    high, wide = min(BLOCK, image.height), min(BLOCK, image.width)
    rows = [np.empty((0, image.width // wide), np.float32)]
    for pixels in strips(image):
        whole = pixels[: pixels.shape[0] // high * high, : image.width // wide * wide]
        means = _reduced(tone(whole), high, wide, np.mean)
        means[_reduced(depth(whole), high, wide, np.max) > limit] = np.nan
        rows.append(means)
    return np.concatenate(rows)


def _reduced(plane: npt.NDArray[Any], high: int, wide: int, reduce: Any) -> npt.NDArray[Any]:
    """Reduce each block of a plane whose sides are whole numbers of blocks (first the rows: neighbours in memory)."""
    height, width = plane.shape
    merged = reduce(plane.reshape(height // high, high, width), axis=1)
    return cast("npt.NDArray[Any]", reduce(merged.reshape(height // high, width // wide, wide), axis=2))


def _is_even(blocks: Plane, max_stain: float, max_spot: float = 255.0) -> bool:
    """Tell whether the ground is of one tone, but for noise and a smooth change such as a scanner's falling light.

    Noise is what neighbouring blocks do not share. Blocks without a number (ink) do not count.
    """
    shade = _smooth(blocks)
    off = blocks - shade
    known = np.isfinite(off)
    if not known.any():
        return True
    spot = np.nanmax(np.abs(off))
    return bool(np.ptp(shade[known]) <= _MAX_SHADE and spot <= max_spot and _shared(off) <= max_stain)


def _shared(off: Plane) -> float:
    """Return by how much neighbours are off in the same direction: the root of their mean product, 0 for noise."""
    products = np.concatenate([(off[:, 1:] * off[:, :-1]).ravel(), (off[1:] * off[:-1]).ravel()])
    known = products[np.isfinite(products)]
    return math.sqrt(max(0.0, float(known.mean()))) if known.size else 0.0


def _smooth(blocks: Plane) -> Plane:
    """Return the surface, float32 (H, W), that fits the known blocks best: quadratic, and r^4 as light falls off."""
    height, width = blocks.shape
    longest = max(height, width)
    y = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / longest)[:, None]
    x = ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / longest)[None, :]
    terms = [np.ones((1, 1), np.float32), x, y, x * x, x * y, y * y, (x * x + y * y) ** 2]
    known = np.flatnonzero(np.isfinite(blocks))
    places = np.unravel_index(known[:: max(1, known.size // _SHADE_BLOCKS)], blocks.shape)
    at = np.stack([np.broadcast_to(term, blocks.shape)[places] for term in terms], axis=-1)
    weights = np.linalg.lstsq(at, blocks[places], rcond=None)[0]
    shade = np.zeros_like(blocks)
    for weight, term in zip(weights, terms, strict=True):
        shade += weight * term
    return shade
