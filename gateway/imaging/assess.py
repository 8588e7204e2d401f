"""The processor `score`, end to end: decode, look, measure, report. Must not know sockets or vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.imaging.decode import load
from gateway.imaging.flags import find_flags
from gateway.imaging.measures import measure
from gateway.imaging.score import Size, build_report
from gateway.imaging.views import look

if TYPE_CHECKING:
    from gateway.imaging.facts import Facts
    from gateway.report import QualityReport


def assess(descriptor: int, facts: Facts, *, max_pixels: int) -> QualityReport:
    """Score the picture that the descriptor brings (it stays the caller's). Raises IMAGE_DAMAGED, IMAGE_TOO_LARGE."""
    picture = load(descriptor, facts, max_pixels=max_pixels)
    figures = measure(look(picture), facts, picture.width, picture.height)
    size = Size(picture.width, picture.height)
    return build_report(figures, find_flags(picture, facts), size, facts.format)
