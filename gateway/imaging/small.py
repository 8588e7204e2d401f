"""The one score that a header decides by itself: that of a picture too small to be judged. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.imaging.registry import MODEL_VERSION
from gateway.report import Flags, QualityReport

if TYPE_CHECKING:
    from gateway.imaging.facts import Facts

SMALL_LONG_SIDE = 179  # pixels; `flags` asks it of the decoded picture


def small_report(facts: Facts) -> QualityReport | None:
    """Return the report of a small picture for those who are told nothing else of it; None for any other picture.

    Everything but the flag, the format and the sides (as stored) is zero or empty. A header that does not tell the
    sides decides nothing.
    """
    if not 0 < max(facts.width, facts.height) < SMALL_LONG_SIDE:
        return None
    return QualityReport(
        score=0.0,
        sub_scores={},
        measures={},
        flags=Flags(long_image=False, black_and_white=False, small_image=True, big_image=False, pure_image=False),
        clarity=0,
        aesthetic=0,
        content=0,
        confidence=0.0,
        reasons=(),
        width=facts.width,
        height=facts.height,
        format=facts.format,
        model_version=MODEL_VERSION,
    )


def is_whole(report: QualityReport) -> bool:
    """Tell whether the picture was judged, and more is known of it than that it is small."""
    return bool(report.sub_scores)
