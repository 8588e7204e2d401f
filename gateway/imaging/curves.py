"""The coefficients of the score: every number that maps a figure to a sub-score. Pure data; must not know formulas.

Set by hand on untouched photos and on thirteen kinds of distortion, so that an untouched photo lies on the upper
third of each curve. A curve is a tuple of (figure, height) points with rising figures and heights in 0..1 that
either all rise or all fall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Curve = tuple[tuple[float, float], ...]

CURVES: Mapping[str, tuple[tuple[str, Curve], ...]] = {  # sub-score -> (figure of `measures`, curve), multiplied
    "jpeg_quality": (
        ("jpeg_quality", ((1, 0.02), (10, 0.15), (18, 0.3), (28, 0.45), (45, 0.65), (70, 0.87), (100, 1))),
    ),
    "jpeg_chroma": (("chroma_share", ((0.06, 0.6), (0.25, 0.87), (0.5, 0.93), (1, 1))),),
    "focus": (
        ("edge_ratio_fine", ((0.5, 0.1), (0.58, 0.3), (0.66, 0.6), (0.76, 0.83), (0.87, 0.95), (1.05, 1))),
        ("edge_ratio_coarse", ((0.14, 0.03), (0.24, 0.15), (0.4, 0.45), (0.65, 0.78), (1, 0.95), (1.4, 1))),
    ),
    "noise": (("noise_sigma", ((0.9, 1), (1.9, 0.95), (4.4, 0.8), (7.6, 0.55), (15, 0.22), (31, 0.05), (60, 0))),),
    "contrast": (("contrast", ((0.02, 0.02), (0.1, 0.2), (0.2, 0.45), (0.35, 0.75), (0.5, 0.93), (0.75, 1))),),
    "exposure": (
        ("luma_p99", ((0.04, 0.02), (0.12, 0.12), (0.2, 0.22), (0.35, 0.42), (0.5, 0.66), (0.7, 0.92), (0.9, 1))),
        ("highlights_share", ((0.005, 1), (0.05, 0.93), (0.2, 0.55), (0.4, 0.3), (0.7, 0.1), (1, 0.01))),
    ),
    "saturation": (("colourfulness", ((0, 0.3), (5, 0.45), (15, 0.75), (30, 0.93), (60, 1))),),
    "lighting": (("light_imbalance", ((0.2, 1), (0.5, 0.88), (1, 0.5), (2, 0.15), (4, 0))),),
    "dct": (
        ("jpeg_quality", ((1, 0.05), (10, 0.25), (28, 0.55), (50, 0.78), (75, 0.93), (100, 1))),
        ("webp_quantiser", ((0, 1), (30, 0.9), (50, 0.68), (75, 0.35), (100, 0.12), (127, 0.03))),
        ("blockiness", ((0.015, 1), (0.5, 0.85), (3, 0.5))),
    ),
    "blockiness": (
        ("blockiness", ((0.015, 1), (0.1, 0.88), (0.25, 0.62), (0.45, 0.4), (0.8, 0.2), (1.6, 0.08), (4, 0))),
    ),
    "chroma_subsampling": (("chroma_share", ((0.06, 0.6), (0.25, 0.87), (0.5, 0.93), (1, 1))),),
    "resolution": (("long_side", ((1, 0), (60, 0.1), (240, 0.4), (500, 0.65), (960, 0.85), (1920, 1))),),
}

WEIGHTS: Mapping[str, Mapping[str, float]] = {  # group -> sub-score -> share of its geometric mean
    "pixel": {
        "focus": 0.4,
        "noise": 0.18,
        "dct": 0.12,
        "blockiness": 0.16,
        "jpeg_quality": 0.08,
        "jpeg_chroma": 0.04,
        "chroma_subsampling": 0.04,
    },
    # Fits the one published example: contrast 0.85, exposure 0.97, saturation and lighting 1 -> 0.91.
    "color": {"contrast": 0.5, "exposure": 0.35, "saturation": 0.08, "lighting": 0.07},
}

GUARDS: Mapping[str, Curve] = {  # sub-score -> factor of the whole score: 1 unless the fault alone spoils a picture
    "focus": ((0, 0.25), (0.5, 1)),
    "noise": ((0, 0.3), (0.6, 1)),
    "exposure": ((0, 0.35), (0.6, 1)),
    "contrast": ((0, 0.5), (0.4, 1)),
    "blockiness": ((0, 0.4), (0.7, 1)),
    "dct": ((0, 0.4), (0.6, 1)),
}

# The same photo is worth less when there is less of it: at 500 pixels 0.05 at most, from 1,920 on nothing.
SIZE_FACTOR: Curve = ((1, 0.5), (60, 0.62), (240, 0.84), (500, 0.955), (960, 0.985), (1920, 1))
