"""From figures to sub-scores, scores and reasons: one table and one formula. Pure; must not know pixels or vendors.

Each sub-score is a product of curves, each monotone in one measured figure, so that every score can be explained and
none can rise when a figure gets worse. The overall score:

    pixel_score, color_score = weighted geometric means of their sub-scores
    quality = 0.87 x (0.69 pixel_score + 0.31 color_score) x a guard for each severe single fault
    score   = quality x size factor
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from gateway.imaging.curves import CURVES, GUARDS, SIZE_FACTOR, WEIGHTS, Curve
from gateway.imaging.registry import MODEL_VERSION
from gateway.report import Flags, QualityReport

if TYPE_CHECKING:
    from collections.abc import Mapping

_PIXEL_SHARE = 0.69  # both fit the one published pair of part scores and total (0.27, 0.91 -> 0.47)
_CEILING = 0.87  # no visible fault is not yet an excellent picture: untouched photos shall lie about 0.8
_LEAST = 0.01  # what a geometric mean takes for 0, so that one fault never hides all others
_MAX_PIXELS_FOR_BLOCKS = 10_000_000  # above it, block artefacts are finer than anyone looks
_BLOCK_SCORES = frozenset({"dct", "blockiness", "chroma_subsampling"})
_REASON_BELOW = 0.6
_RELIABLE_SIDE = 50
_RELIABLE_RATIO = 5


class Size(NamedTuple):
    """The full picture's upright sides in pixels."""

    width: int
    height: int


def build_report(measures: Mapping[str, float], flags: Flags, size: Size, image_format: str) -> QualityReport:
    """Turn the figures (`measures.measure`) into the report. Every value stays in its range for any input."""
    parts = _parts(measures, size, image_format)
    pixel, color = _mean(parts, "pixel"), _mean(parts, "color")
    quality = _CEILING * (_PIXEL_SHARE * pixel + (1 - _PIXEL_SHARE) * color) * _guard(parts)
    score = quality * at(SIZE_FACTOR, measures["long_side"])
    return QualityReport(
        score=score,
        sub_scores={**parts, "pixel_score": pixel, "color_score": color},
        measures=dict(measures),
        flags=flags,
        clarity=round(100 * quality),
        aesthetic=round(100 * _aesthetic(parts)),
        content=round(100 * (score + min(parts.values())) / 2),
        reasons=(*_size_reasons(size), *_fault_reasons(parts, measures)),
        width=size.width,
        height=size.height,
        format=image_format,
        model_version=MODEL_VERSION,
    )


def at(curve: Curve, value: float) -> float:
    """Return the curve's height at a value, by straight lines between its points; flat beyond them; NaN is worst."""
    if math.isnan(value):
        return min(height for _, height in curve)
    (left, low), *rest = curve
    if value <= left:
        return low
    for right, high in rest:
        if value < right:
            return low + (high - low) * (value - left) / (right - left)
        left, low = right, high
    return low


def _parts(measures: Mapping[str, float], size: Size, image_format: str) -> dict[str, float]:
    """Return the sub-scores that this picture has; a curve whose figure is absent counts as faultless."""
    hidden = _BLOCK_SCORES if size.width * size.height > _MAX_PIXELS_FOR_BLOCKS else frozenset()
    return {
        name: math.prod(at(curve, measures[figure]) for figure, curve in curves if figure in measures)
        for name, curves in CURVES.items()
        if name not in hidden and (image_format == "jpeg" or not name.startswith("jpeg_"))
    }


def _mean(parts: Mapping[str, float], group: str) -> float:
    """Return the geometric mean of the group's sub-scores, weighted over those that are there."""
    weights = {name: weight for name, weight in WEIGHTS[group].items() if name in parts}
    logarithm = sum(weight * math.log(max(_LEAST, parts[name])) for name, weight in weights.items())
    return math.exp(logarithm / sum(weights.values()))


def _guard(parts: Mapping[str, float]) -> float:
    return math.prod(at(curve, parts[name]) for name, curve in GUARDS.items() if name in parts)


def _aesthetic(parts: Mapping[str, float]) -> float:
    """Return a plain stand-in for beauty: colours and light that please, on a subject that is sharp. 0..1."""
    return 0.3 * parts["saturation"] + 0.3 * parts["contrast"] + 0.2 * parts["exposure"] + 0.2 * parts["focus"]


_FAULTS: Mapping[str, str] = {  # sub-score -> sentence with the figures behind it
    "focus": "Even the sharpest edges are soft: {edge_ratio_fine:.2f} of the steepness of the half-size picture.",
    "noise": "Flat areas are noisy: a deviation of {noise_sigma:.1f} grey levels.",
    "contrast": "Contrast is low: 90 % of the pixels lie within {contrast:.0%} of the brightness range.",
    "exposure": "Exposure is off: the brightest parts reach {luma_p99:.0%}, {highlights_share:.0%} of it is white.",
    "saturation": "Colours are pale: colourfulness {colourfulness:.0f}, where 45 is usual.",
    "lighting": "Light is uneven: areas differ by {light_imbalance:.0%} of their mean brightness.",
    "jpeg_quality": "Strong JPEG compression: quality {jpeg_quality:.0f} of 100.",
    "blockiness": "Compression blocks are visible: steps on a grid exceed the others by {blockiness:.0%}.",
    "resolution": "The picture is small: {long_side:.0f} pixels on its long side.",
}


def _fault_reasons(parts: Mapping[str, float], measures: Mapping[str, float]) -> tuple[str, ...]:
    """Return a sentence for every weak sub-score, the worst first."""
    weak = sorted((parts[name], name) for name in _FAULTS if parts.get(name, 1.0) < _REASON_BELOW)
    return tuple(_FAULTS[name].format_map(measures) for _, name in weak)


def _size_reasons(size: Size) -> tuple[str, ...]:
    long_side, short_side = max(size), min(size)
    if short_side < _RELIABLE_SIDE or long_side > _RELIABLE_RATIO * short_side:
        return (f"The result is unreliable: {size.width} x {size.height} pixels are too few or too narrow to judge.",)
    return ()
