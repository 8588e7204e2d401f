"""Figures measured on the views and read off the header: maths only, one function each. Must not know scores.

Planes are float32 luma in grey levels, 0..255. Sources name the paper or standard by title and section.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from gateway.imaging.blocks import BLOCK, block_energies
from gateway.imaging.views import Pixels, Plane, cells, halved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.imaging.facts import Facts
    from gateway.imaging.views import Views

Rows = npt.NDArray[np.float64]

_LEVELS = 256
_FINE = 8  # steps of an eighth of a grey level
_BLACK, _WHITE = 8, 246  # at or below, above: what a display shows as plain black or white
_PLATEAU = 0.03  # of the brightest level: pixels that close to it lie on one flat top
_EDGE_SHARE = 0.0025  # of the pixels: the sharpest edges; an edge is a line, so at 1/8 scale its share is 8 times that
_LIGHT_GRID = 5
_FLAT_SHARE = 0.1
_FINEST_BAND = 5  # of blocks.block_energies
_MAX_STEP_LEVELS = 24  # a larger step between neighbours is an edge of the picture, not of a block
_NEIGHBOURHOOD = 16  # columns among which a grid's line stands out
_ROUNDING = 0.12  # grey levels: the steps that rounding to 8 bits leaves in a plain area
_SPECK_LEVELS = 30  # by which a pixel leaves the range of its four neighbours

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
    figures = look_at(views, views.detail, views.stored)
    figures |= {
        "long_side": float(max(width, height)),
        "chroma_share": 1 / (facts.sampling[0] * facts.sampling[1]),
    }
    if facts.quantisation:
        figures["jpeg_quality"] = jpeg_quality(facts.quantisation[0])
    if facts.quantiser is not None:
        figures["webp_quantiser"] = facts.quantiser
    if not {"jpeg_quality", "webp_quantiser"} & figures.keys():
        figures["hidden_stairs"] = figures["stairs"]  # of a compression that the header does not tell
    return figures


def seen_figures(views: Views, figures: Mapping[str, float]) -> Mapping[str, float]:
    """Return the figures of the whole view alone: what people judged by, whose pictures had about its size.

    `figures` are those of `measure`: what they say of the whole view is not measured twice.
    """
    if views.detail is views.seen:
        return figures
    return {**figures, **_details(views.seen, views.seen, figures["contrast"])}


def look_at(views: Views, detail: Plane, stored: Plane) -> dict[str, float]:
    """Return the figures of pixels: light and colours of the whole view, edges and noise of the crops `detail`.

    `detail` and `stored` are float32 (N, S, S) luma.
    """
    tone = Tone.of(views.luma)
    contrast = tone.p95 - tone.p5
    return {
        **_details(detail, stored, contrast),
        "shadows_share": tone.shadows_share,
        "highlights_share": tone.highlights_share,
        "brightness": tone.brightness,
        "luma_p5": tone.p5,
        "luma_p50": tone.p50,
        "luma_p95": tone.p95,
        "luma_top": tone.top,
        "contrast": contrast,
        "colourfulness": colourfulness(views.whole),
        "light_imbalance": light_imbalance(views.luma),
    }


def _details(detail: Plane, stored: Plane, contrast: float) -> dict[str, float]:
    edges = sharpest_edges(detail)
    return {
        "edge_steepness": edges.steepness / (contrast + 4),
        "edge_ratio": edges.ratio,
        "edge_direction": edges.direction,
        "noise_sigma": noise_sigma(detail),
        "speck_share": speck_share(detail),
        "stairs": stairs(stored),
    }


@dataclass(frozen=True, slots=True)
class Tone:
    """How the light is distributed: percentiles in grey levels, shares and `brightness` in 0..1."""

    p5: float
    p50: float
    p95: float
    top: float
    shadows_share: float
    highlights_share: float
    brightness: float

    @classmethod
    def of(cls, luma: Plane) -> Tone:
        """Take the distribution of luma (H, W).

        `highlights_share` counts the pixels within 3 % of the brightest level, `top` (the 99.8th percentile): what
        clipped lies on one plateau, also after the picture was darkened. `brightness` is the mean of how far the
        pixels lie above 110, up to 255.
        """
        counts = np.bincount((luma + np.float32(0.5)).astype(np.uint8).ravel(), minlength=_LEVELS) / luma.size
        below = np.concatenate(([0], np.cumsum(counts)))
        dark, middle, light, top = np.interp((0.05, 0.5, 0.95, 0.998), below, np.arange(_LEVELS + 1) - 0.5)
        plateau = max(0, round(float(top) * (1 - _PLATEAU)))
        bright = float((counts * np.clip((np.arange(_LEVELS) - 110) / 145, 0, 1)).sum())
        shadows, highlights = float(counts[: _BLACK + 1].sum()), float(counts[plateau:].sum())
        return cls(float(dark), float(middle), float(light), float(top), shadows, highlights, bright)


@dataclass(frozen=True, slots=True)
class Edges:
    """The sharpest edges: `steepness` in grey levels a pixel, `ratio` and `direction` without a unit."""

    steepness: float
    ratio: float
    direction: float


def sharpest_edges(detail: Plane) -> Edges:
    """Measure how steep the sharpest edges of the crops (N, S, S) are, per pixel.

    The sharpest edges decide, since a blurred background is no fault; of the two axes the blurrier, for motion blur.
    `ratio` compares them with the same edges at 1/8 scale: an in-focus step is as steep per pixel at each scale
    (about 1), a blurred one gains its steepness only when the picture shrinks (down to 1/8). Noise raises it.
    `direction` is the steepness of the blurrier axis over that of the sharper one, 0..1: low for motion. Source: the
    scale-space idea of Elder and Zucker, "Local Scale Control for Edge Detection and Blur Estimation", section 4.
    """
    eighth = halved(halved(halved(detail)))
    full = _steepest(detail, _EDGE_SHARE)
    coarse = _steepest(eighth, 8 * _EDGE_SHARE)
    ratios = [(above + 0.25) / (below + 0.25) for above, below in zip(full, coarse, strict=True)]
    return Edges(min(full) + 0.25, min(ratios), min(ratios) / max(ratios))


def _steepest(plane: Plane, share: float) -> tuple[float, float]:
    """Return the step (grey levels) that the given share of steps exceeds, along rows and along columns."""
    return _upper(np.diff(plane, axis=-1), share), _upper(np.diff(plane, axis=-2), share)


def _upper(steps: Plane, share: float) -> float:
    np.abs(steps, out=steps)
    steps *= np.float32(_FINE)
    counts = np.bincount(steps.astype(np.uint16).ravel(), minlength=_LEVELS * _FINE)
    exceeding = np.cumsum(counts[::-1])[::-1]
    found = int(np.searchsorted(-exceeding, -share * steps.size))  # the first level that fewer reach
    if found == 0:
        return 0.0
    above, below = (float(exceeding[i]) if i < exceeding.size else 0.0 for i in (found, found - 1))
    within = (below - share * steps.size) / max(1.0, below - above)
    return (found - 1 + min(1.0, max(0.0, within))) / _FINE


def noise_sigma(detail: Plane) -> float:
    """Return the deviation of the finest detail in the flattest tenth of the 8x8 blocks, in grey levels, 0..128.

    The finest band of the block spectrum holds no planes nor ramps, and of plain noise exactly its variance. Blocks
    at the ends of the scale say nothing and are left out. Source: the flat-block idea of Immerkaer, "Fast Noise
    Variance Estimation", section 2, on the spectrum.
    """
    side = detail.shape[-1] // BLOCK * BLOCK
    energies, means = block_energies(detail[:, :side, :side].reshape(-1, side))
    usable = energies[..., _FINEST_BAND][(means > _BLACK + 4) & (means < _WHITE - 3)]
    finest = usable if usable.size else energies[..., _FINEST_BAND].ravel()
    place = int(_FLAT_SHARE * finest.size)
    return float(np.sqrt(max(0.0, 2.0 ** float(np.partition(finest, place)[place]) - 0.25)))


def speck_share(detail: Plane) -> float:
    """Return the share (0..1) of pixels that leave the range of their four neighbours by more than 30 grey levels."""
    middle = detail[:, 1:-1, 1:-1]
    above, below = detail[:, :-2, 1:-1], detail[:, 2:, 1:-1]
    left, right = detail[:, 1:-1, :-2], detail[:, 1:-1, 2:]
    most = np.maximum(np.maximum(above, below), np.maximum(left, right))
    least = np.minimum(np.minimum(above, below), np.minimum(left, right))
    levels = np.float32(_SPECK_LEVELS)
    return float(((middle > most + levels) | (middle < least - levels)).mean())


def stairs(stored: Plane) -> float:
    """Return by how much the steps gather on few lines: 0 for none, n - 1 for plain squares of n pixels.

    The mean step of each column (row) over a crop, squared and averaged among its neighbours, against the square of
    their mean: even for a photo (below 0.03), uneven where block borders repeat. JPEG of quality 70 reaches 0.03 to
    0.1, of 28 0.1 to 0.2, of 5 about 1. The median over crops and places, since one edge of the picture is no grid.
    Source: our own; Wang, Bovik and Evans, "Blind Measurement of Blocking Artifacts in Images", look at the same lines.
    """
    return (_gathering(stored) + _gathering(np.swapaxes(stored, 1, 2))) / 2


def _gathering(planes: Plane) -> float:
    steps = np.abs(np.diff(planes, axis=2))
    np.minimum(steps, np.float32(_MAX_STEP_LEVELS), out=steps)
    profile = steps.mean(axis=1, dtype=np.float64) + _ROUNDING
    mean, square = _running(profile), _running(profile * profile)
    return max(0.0, float(np.median(square / (mean * mean))) - 1)


def _running(rows: Rows) -> Rows:
    """Return the means of the rows (N, S) over 16 neighbours."""
    sums = np.concatenate([np.zeros((rows.shape[0], 1)), np.cumsum(rows, axis=1)], axis=1)
    width = min(_NEIGHBOURHOOD, rows.shape[1])
    return cast("Rows", (sums[:, width:] - sums[:, :-width]) / width)


def colourfulness(whole: Pixels) -> float:
    """Return the colourfulness M of uint8 RGB (H, W, 3): 0 for grey, 15 slightly, 45 quite, 109 extremely.

    Taken on means of 8x8 pixels, as one sees it from afar; noise in the colours adds nothing. Source: Hasler and
    Suesstrunk, "Measuring Colourfulness in Natural Images", section 7 (metric M^(3)).
    """
    height, width = whole.shape[0] // BLOCK, whole.shape[1] // BLOCK
    lines = whole[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, -1).sum(axis=1, dtype=np.uint16)
    means = lines.reshape(height, width, BLOCK, 3).sum(axis=2, dtype=np.uint16).astype(np.float32) / BLOCK**2
    red, green, blue = means[..., 0], means[..., 1], means[..., 2]
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(red_green.std()), float(yellow_blue.std()))
    return spread + 0.3 * math.hypot(float(red_green.mean()), float(yellow_blue.mean()))


def light_imbalance(luma: Plane) -> float:
    """Return how unevenly the light lies over a 5x5 grid: deviation of the cells' means over their mean, 0..5."""
    means = cells(luma, _LIGHT_GRID)
    return float(means.std() / (means.mean() + 13))


def jpeg_quality(steps: tuple[int, ...]) -> float:
    """Return the IJG quality (1..100) whose luma table has the same mean ratio to annex K as these 64 steps.

    Exact to about one for tables scaled from annex K, an equivalent for any other. Source: ITU-T T.81 annex K.1;
    the scale of the Independent JPEG Group's jpeg_quality_scaling.
    """
    ratios = [step / reference for step, reference in zip(steps, _LUMA_STEPS, strict=True) if step < _MAX_STEP]
    percent = 100 * sum(ratios) / len(ratios) if ratios else 5000.0
    quality = 5000 / percent if percent > 100 else (200 - percent) / 2
    return min(100.0, max(1.0, quality))
