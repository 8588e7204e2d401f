"""From figures and the network's opinion to sub-scores, scores and reasons. Pure; must not know pixels or vendors.

Each sub-score is a product of curves, each monotone in one measured figure, so that every score can be explained and
none can rise when a figure gets worse. The overall score:

    score = sigmoid(opinion + penalties)

where the opinion (a logit) is the fitted network's and each penalty (<= 0) a curve over one sub-score.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from gateway.imaging.curves import CURVES, PENALTIES, WEIGHTS, Curve
from gateway.imaging.reasons import reasons
from gateway.imaging.registry import MODEL_VERSION
from gateway.report import Flags, QualityReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.imaging.network import Opinion

_LEAST = 0.01  # what a geometric mean takes for 0, so that one fault never hides all others
_MAX_PIXELS_FOR_BLOCKS = 10_000_000  # above it, block artefacts are finer than anyone looks
_BLOCK_SCORES = frozenset({"dct", "blockiness", "chroma_subsampling"})
_DOUBT_UNIT = 1.0  # logits: members that differ by so much agree on nothing


class Size(NamedTuple):
    """The full picture's upright sides in pixels."""

    width: int
    height: int


def build_report(
    measures: Mapping[str, float], opinion: Opinion, flags: Flags, size: Size, image_format: str
) -> QualityReport:
    """Turn the figures (`measures.measure`) and the opinion into the report. Every value stays in its range."""
    every = sub_scores(measures)
    shown = _shown(every, size, image_format)
    penalties = {name: at(curve, every[name]) for name, curve in PENALTIES.items()}
    total = opinion.value + sum(penalties.values())
    score = sigmoid(total)
    return QualityReport(
        score=score,
        sub_scores={**shown, "pixel_score": _mean(shown, "pixel"), "color_score": _mean(shown, "color")},
        measures=dict(measures),
        flags=flags,
        clarity=round(100 * sigmoid(total - penalties["resolution"])),
        aesthetic=round(100 * _aesthetic(every, measures)),
        content=round(100 * _content(every, measures, score)),
        confidence=1 / (1 + opinion.doubt / _DOUBT_UNIT),
        reasons=reasons(shown, measures, size.width, size.height),
        width=size.width,
        height=size.height,
        format=image_format,
        model_version=MODEL_VERSION,
    )


def sub_scores(measures: Mapping[str, float]) -> dict[str, float]:
    """Return every sub-score, 0..1, of the figures; a curve whose figure is absent counts as faultless."""
    return {
        name: math.prod(at(curve, measures[figure]) for figure, curve in curves if figure in measures)
        for name, curves in CURVES.items()
    }


def penalty(measures: Mapping[str, float]) -> float:
    """Return the sum of the penalties, in logits, <= 0. The fit adds it to the network's opinion."""
    every = sub_scores(measures)
    return sum(at(curve, every[name]) for name, curve in PENALTIES.items())


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)), 0..1, for any finite logit."""
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))


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


def _shown(every: Mapping[str, float], size: Size, image_format: str) -> dict[str, float]:
    """Return the sub-scores that this picture has."""
    hidden = _BLOCK_SCORES if size.width * size.height > _MAX_PIXELS_FOR_BLOCKS else frozenset()
    return {
        name: value
        for name, value in every.items()
        if name not in hidden and (image_format == "jpeg" or not name.startswith("jpeg_"))
    }


def _mean(parts: Mapping[str, float], group: str) -> float:
    """Return the geometric mean of the group's sub-scores, weighted over those that are there."""
    weights = {name: weight for name, weight in WEIGHTS[group].items() if name in parts}
    logarithm = sum(weight * math.log(max(_LEAST, parts[name])) for name, weight in weights.items())
    return math.exp(logarithm / sum(weights.values()))


def _aesthetic(parts: Mapping[str, float], measures: Mapping[str, float]) -> float:
    """Return how colours, light and composition please, 0..1: a documented rule of thumb, not a fit."""
    colour = 0.25 * parts["saturation"] + 0.2 * parts["contrast"] + 0.15 * parts["exposure"]
    subject = 0.15 * parts["focus"] + 0.15 * measures["balance"] + 0.1 * measures["concentration"]
    return colour + subject


def _content(parts: Mapping[str, float], measures: Mapping[str, float], score: float) -> float:
    """Return how much there is to see, 0..1: the score, the worst fault, and the share of cells that show anything."""
    return 0.5 * score + 0.3 * min(parts.values()) + 0.2 * measures["coverage"]
