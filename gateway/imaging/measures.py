"""Figures measured on the views and read off the header: maths only, one function each. Must not know scores.

Planes are float32 luma in 0..1. Sources name the paper or standard by title and section.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from gateway.imaging.views import Plane, cells, halved

if TYPE_CHECKING:
    from gateway.imaging.facts import Facts
    from gateway.imaging.views import Pixels, Views

_BINS = 4096
_DARK, _BRIGHT = 8 / 255, 246 / 255  # at or below, above: what a display shows as plain black or white
_EDGE_SHARE = 0.0025  # of the pixels: the sharpest edges; an edge is a line, so at half scale its share doubles
_LIGHT_GRID = 5
_FLAT_BLOCK = 8
_FLAT_QUANTILE = 0.1
_FLAT_BIAS = 0.79  # what the flattest tenth of 8x8 blocks of plain white noise shows of its deviation
_MAX_GRID_STEP = 0.1  # a larger step between neighbours is an edge of the picture, not of a block
_ONE_LEVEL = 1 / 255

_MAX_STEP = 255  # baseline JPEG cannot state a larger one, so this one may stand for any
# ITU-T T.81 annex K, table K.1, in zigzag order as files store it; K.2 for chroma differs by less than a factor 2.
_LUMA_STEPS = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51),
    *(61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77),
    *(113, 121, 112, 100, 120, 92, 101, 103, 99),
)


def measure(views: Views, facts: Facts, width: int, height: int) -> dict[str, float]:
    """Return every figure by its name; those that this picture cannot have are absent.

    `width` and `height` are those of the full picture, in pixels.
    """
    fine, coarse = edge_ratios(views.detail)
    shadows, highlights = clipped_shares(views.luma)
    dark, middle, light, brightest = luma_levels(views.luma)
    figures = {
        "edge_ratio_fine": fine,
        "edge_ratio_coarse": coarse,
        "noise_sigma": noise_sigma(views.detail),
        "shadows_share": shadows,
        "highlights_share": highlights,
        "luma_p5": dark,
        "luma_p50": middle,
        "luma_p95": light,
        "luma_p99": brightest,
        "contrast": light - dark,
        "colourfulness": colourfulness(views.whole),
        "light_imbalance": light_imbalance(views.luma),
        "long_side": float(max(width, height)),
        "chroma_share": 1 / (facts.sampling[0] * facts.sampling[1]),
    }
    if views.grid:
        figures["blockiness"] = blockiness(views.stored, views.grid)
    if facts.quantisation:
        figures["jpeg_quality"] = jpeg_quality(facts.quantisation[0])
    if facts.quantiser is not None:
        figures["webp_quantiser"] = facts.quantiser
    return figures


def quantiles(values: Plane, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return the values (0..1; others are clipped) below which the given shares lie, to 1/4096, by a histogram."""
    counts = np.bincount((np.clip(values, 0, 1) * (_BINS - 1) + 0.5).astype(np.int32).ravel(), minlength=_BINS)
    below = np.concatenate(([0], np.cumsum(counts))) / values.size
    edges = (np.arange(_BINS + 1) - 0.5) / (_BINS - 1)
    return tuple(float(value) for value in np.clip(np.interp(shares, below, edges), 0, 1))


def edge_ratios(detail: Plane) -> tuple[float, float]:
    """Return how steep the sharpest edges are, per pixel, against the same edges at 1/2 and at 1/8 scale.

    An in-focus step is as steep per pixel at each scale: about 1. A blurred one gains its steepness only when the
    picture shrinks: down to 1/2 and 1/8. Independent of contrast and exposure; noise raises it. The sharpest
    edges decide, since a blurred background is no fault; of the two axes the blurrier, for motion blur.
    Range 0..4, about; 1 for a picture without edges. Source: the scale-space idea of Elder and Zucker, "Local Scale
    Control for Edge Detection and Blur Estimation", section 4, reduced to one ratio.
    """
    half = halved(detail)
    eighth = halved(halved(half))
    full, fine = _steepest(detail, _EDGE_SHARE), _steepest(half, 2 * _EDGE_SHARE)
    coarse = _steepest(eighth, 8 * _EDGE_SHARE)
    return min(_ratio(full, fine)), min(_ratio(full, coarse))


def _steepest(plane: Plane, share: float) -> tuple[float, float]:
    columns, rows = np.abs(np.diff(plane, axis=2)), np.abs(np.diff(plane, axis=1))
    return quantiles(columns, (1 - share,))[0], quantiles(rows, (1 - share,))[0]


def _ratio(steepness: tuple[float, float], reference: tuple[float, float]) -> tuple[float, float]:
    floor = 1 / _BINS
    pairs = zip(steepness, reference, strict=True)
    first, second = ((above + floor) / (below + floor) for above, below in pairs)
    return first, second


def noise_sigma(detail: Plane) -> float:
    """Return the standard deviation of the noise in the flattest tenth of the 8x8 blocks, in 8-bit grey levels.

    The mask cancels planes and straight ramps. Blocks at the ends of the scale say nothing and are left out. Range
    0..255. Source: Immerkaer, "Fast Noise Variance Estimation", section 2.
    """
    rows = detail[:, :-2] - 2 * detail[:, 1:-1] + detail[:, 2:]
    response = np.abs(rows[..., :-2] - 2 * rows[..., 1:-1] + rows[..., 2:])
    levels = _block_means(response)
    means = _block_means(detail[:, 1:-1, 1:-1])
    usable = levels[(means > _DARK) & (means < _BRIGHT)]
    flattest = np.quantile(usable if usable.size else levels, _FLAT_QUANTILE)
    return float(flattest) * 255 * math.sqrt(math.pi / 2) / 6 / _FLAT_BIAS


def _block_means(planes: Plane) -> Plane:
    side = _FLAT_BLOCK
    count, height, width = planes.shape[0], planes.shape[1] // side, planes.shape[2] // side
    blocks = planes[:, : height * side, : width * side].reshape(count, height, side, width, side)
    return cast("Plane", blocks.mean(axis=(2, 4)).ravel())


def blockiness(stored: Plane, grid: int) -> float:
    """Return by how much the steps on the best of the `grid` phases exceed those beside them, 0 for none.

    Relative to the picture's own mean step, the mean of both axes. One phase holds for all crops because they begin
    on multiples of 8; medians over a phase's lines, since a single edge of the picture is no grid. Untouched photos
    stay below 0.02, JPEG of quality 70 reaches 0.07 to 0.3, of quality 28 0.2 to 0.8. Range 0..8. Source: Wang, Bovik
    and Evans, "Blind Measurement of Blocking Artifacts in Images", section 2, in the pixel domain.
    """
    return (_grid_excess(stored, grid) + _grid_excess(np.swapaxes(stored, 1, 2), grid)) / 2


def _grid_excess(planes: Plane, grid: int) -> float:
    steps = np.minimum(np.abs(np.diff(planes, axis=2)), np.float32(_MAX_GRID_STEP))
    columns = steps.mean(axis=1, dtype=np.float64)
    excess = columns[:, 1:-1] - (columns[:, :-2] + columns[:, 2:]) / 2
    phases = np.array([np.median(excess[:, phase::grid]) for phase in range(grid)])
    best = int(phases.argmax())
    rest = np.delete(phases, best).mean()
    return max(0.0, float((phases[best] - rest) / (columns.mean() + _ONE_LEVEL)))


def clipped_shares(luma: Plane) -> tuple[float, float]:
    """Return the shares (0..1) of pixels that are plain black (at most 8 of 255) and plain white (above 246)."""
    return float((luma <= _DARK + _ONE_LEVEL / 2).mean()), float((luma > _BRIGHT + _ONE_LEVEL / 2).mean())


def luma_levels(luma: Plane) -> tuple[float, float, float, float]:
    """Return the luma (0..1) below which 5, 50, 95 and 99 % of the pixels lie."""
    dark, middle, light, brightest = quantiles(luma, (0.05, 0.5, 0.95, 0.99))
    return dark, middle, light, brightest


def colourfulness(whole: Pixels) -> float:
    """Return the colourfulness M of uint8 RGB (H, W, 3): 0 for grey, 15 slightly, 45 quite, 109 extremely.

    Source: Hasler and Suesstrunk, "Measuring Colourfulness in Natural Images", section 7 (metric M^(3)).
    """
    red, green, blue = (whole[..., band].astype(np.float32) for band in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(red_green.std()), float(yellow_blue.std()))
    return spread + 0.3 * math.hypot(float(red_green.mean()), float(yellow_blue.mean()))


def light_imbalance(luma: Plane) -> float:
    """Return how unevenly the light lies over a 5x5 grid: deviation of the cells' means over their mean, 0..5."""
    means = cells(luma, _LIGHT_GRID)
    return float(means.std() / (means.mean() + 0.05))


def jpeg_quality(steps: tuple[int, ...]) -> float:
    """Return the IJG quality (1..100) whose luma table has the same mean ratio to annex K as these 64 steps.

    Exact to about one for tables scaled from annex K, an equivalent for any other. Source: ITU-T T.81 annex K.1;
    the scale of the Independent JPEG Group's jpeg_quality_scaling.
    """
    ratios = [step / reference for step, reference in zip(steps, _LUMA_STEPS, strict=True) if step < _MAX_STEP]
    percent = 100 * sum(ratios) / len(ratios) if ratios else 5000.0
    quality = 5000 / percent if percent > 100 else (200 - percent) / 2
    return min(100.0, max(1.0, quality))
