"""The processor `score`: look, measure, report. Must not know sockets or vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.imaging.blocks import cell_vectors
from gateway.imaging.composition import composition
from gateway.imaging.decode import load
from gateway.imaging.flags import find_flags
from gateway.imaging.leisure import finish
from gateway.imaging.measures import measure, seen_figures
from gateway.imaging.network import network
from gateway.imaging.score import Size, build_report
from gateway.imaging.statistics import statistics
from gateway.imaging.views import looking

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts
    from gateway.imaging.leisure import Steps
    from gateway.report import QualityReport


def assess(descriptor: int, facts: Facts, *, max_pixels: int) -> QualityReport:
    """Score the picture that the descriptor brings (it stays the caller's). Raises IMAGE_DAMAGED, IMAGE_TOO_LARGE."""
    return finish(process(load(descriptor, facts, max_pixels=max_pixels), facts))


def process(picture: Picture, facts: Facts) -> Steps[QualityReport]:
    """Score a decoded picture."""
    views = yield from looking(picture)
    vectors = cell_vectors(views)
    yield
    figures = measure(views, facts, picture.width, picture.height) | composition(vectors)
    yield
    opinion = network().judge(statistics(vectors, seen_figures(views, figures)))
    yield
    size = Size(picture.width, picture.height)
    return build_report(figures, opinion, find_flags(picture, facts), size, facts.format)
