"""The processor `score`: look, measure, report. Must not know sockets or vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.imaging.blocks import cell_vectors
from gateway.imaging.composition import composition
from gateway.imaging.decode import load
from gateway.imaging.flags import find_flags
from gateway.imaging.measures import measure, seen_figures
from gateway.imaging.network import network
from gateway.imaging.score import Size, build_report
from gateway.imaging.statistics import statistics
from gateway.imaging.views import look

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts
    from gateway.report import QualityReport


def assess(descriptor: int, facts: Facts, *, max_pixels: int) -> QualityReport:
    """Score the picture that the descriptor brings (it stays the caller's). Raises IMAGE_DAMAGED, IMAGE_TOO_LARGE."""
    return process(load(descriptor, facts, max_pixels=max_pixels), facts)


def process(picture: Picture, facts: Facts) -> QualityReport:
    """Score a decoded picture."""
    views = look(picture)
    vectors = cell_vectors(views)
    figures = measure(views, facts, picture.width, picture.height) | composition(vectors)
    opinion = network().judge(statistics(vectors, seen_figures(views, figures)))
    size = Size(picture.width, picture.height)
    return build_report(figures, opinion, find_flags(picture, facts), size, facts.format)
