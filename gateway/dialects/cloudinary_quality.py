"""Cloudinary's ways of telling a score: focus, the extended analysis, iqa. Pure; must not know requests.

Source: Cloudinary, "Image quality analysis", "Image analysis" (add-on); the mapping is this gateway's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.report import QualityReport

# In the order of the vendor's sample. What a report lacks is left out: `jpeg_*` of other formats, block artefacts
# above 10 megapixels.
EXTENDED = (
    *("jpeg_quality", "jpeg_chroma", "focus", "noise", "contrast", "exposure", "saturation", "lighting"),
    *("pixel_score", "color_score", "dct", "blockiness", "chroma_subsampling", "resolution"),
)
_MEDIUM, _HIGH = 0.40, 0.65


def band(score: float) -> str:
    """Return `low`, `medium` or `high` for a score in 0..1; the vendor's sample calls 0.452 medium."""
    return "low" if score < _MEDIUM else "medium" if score < _HIGH else "high"


def quality_analysis(report: QualityReport, *, extended: bool) -> dict[str, Any]:
    """Return the fields of a reply that tell the quality: with `extended` all sub-scores, in two decimals."""
    if not extended:
        return {"quality_analysis": {"focus": report.sub_scores["focus"]}}
    shown = {name: round(report.sub_scores[name], 2) for name in EXTENDED if name in report.sub_scores}
    return {"quality_analysis": shown, "quality_score": round(report.score, 2)}


def detection(report: QualityReport) -> dict[str, Any]:
    """Return the fields of a reply to `detection=iqa`."""
    attributes = {"score": report.score, "quality": band(report.score), "confidence": report.confidence}
    iqa = {
        "model_name": "iqa",
        "model_version": int(report.model_version),
        "schema_version": 1.0,
        "tags": {"iqa-analysis": [{"attributes": attributes}]},
    }
    return {"info": {"detection": {"object_detection": {"status": "complete", "data": {"iqa": iqa}}}}}


def indexed(report: QualityReport) -> Mapping[str, float]:
    """Return what a search knows of a result, by the names of its fields."""
    found = {
        f"quality_analysis.{name}": round(report.sub_scores[name], 2) for name in EXTENDED if name in report.sub_scores
    }
    return {"quality_score": round(report.score, 2), **found}
