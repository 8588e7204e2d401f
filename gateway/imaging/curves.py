"""The coefficients of the score that no fit touches. Pure data; must not know formulas.

Set by hand on untouched photos and on thirteen kinds of distortion, so that an untouched photo lies on the upper
third of each curve. A curve is a tuple of (figure, height) points with rising figures whose heights all rise or all
fall, nowhere flat within the figures that occur: a picture that gets worse never keeps its score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Curve = tuple[tuple[float, float], ...]

CURVES: Mapping[str, tuple[tuple[str, Curve], ...]] = {  # sub-score -> (figure of `measures`, curve), multiplied
    "jpeg_quality": (
        ("jpeg_quality", ((1, 0.02), (5, 0.08), (10, 0.17), (18, 0.3), (28, 0.45), (45, 0.65), (70, 0.85), (100, 1))),
    ),
    "jpeg_chroma": (("chroma_share", ((0.06, 0.6), (0.25, 0.87), (0.5, 0.93), (1, 1))),),
    "focus": (
        (
            "edge_steepness",
            ((0, 0), (0.02, 0.08), (0.05, 0.3), (0.09, 0.5), (0.15, 0.7), (0.25, 0.86), (0.45, 0.96), (2, 1)),
        ),
        ("edge_ratio", ((0.1, 0.1), (0.2, 0.35), (0.3, 0.6), (0.5, 0.82), (0.8, 0.94), (1.3, 0.985), (6, 1))),
    ),
    "noise": (
        (
            "noise_sigma",
            (
                (0, 1),
                (1, 0.98),
                (2.5, 0.92),
                (4.5, 0.8),
                (7.5, 0.6),
                (12, 0.4),
                (18, 0.24),
                (26, 0.12),
                (40, 0.04),
                (128, 0),
            ),
        ),
        (
            "speck_share",
            ((0, 1), (0.003, 0.85), (0.01, 0.65), (0.025, 0.45), (0.05, 0.28), (0.1, 0.15), (0.3, 0.02), (1, 0)),
        ),
    ),
    "contrast": (
        (
            "contrast",
            ((0, 0), (20, 0.15), (35, 0.3), (50, 0.45), (70, 0.62), (90, 0.76), (120, 0.88), (160, 0.95), (255, 1)),
        ),
    ),
    "exposure": (
        (
            "luma_top",
            (
                (0, 0),
                (20, 0.1),
                (38, 0.2),
                (60, 0.33),
                (86, 0.47),
                (120, 0.64),
                (150, 0.78),
                (178, 0.87),
                (200, 0.985),
                (230, 0.992),
                (255, 1),
            ),
        ),
        (
            "highlights_share",
            (
                (0, 1),
                (0.01, 0.98),
                (0.03, 0.93),
                (0.07, 0.86),
                (0.15, 0.74),
                (0.3, 0.55),
                (0.5, 0.33),
                (0.65, 0.2),
                (0.8, 0.1),
                (1, 0.01),
            ),
        ),
        ("brightness", ((0, 1), (0.1, 0.94), (0.25, 0.9), (0.45, 0.79), (0.7, 0.55), (1, 0.1))),
    ),
    "saturation": (
        (
            "colourfulness",
            ((0, 0.1), (3, 0.25), (8, 0.45), (13, 0.6), (19, 0.75), (26, 0.87), (35, 0.94), (60, 0.98), (160, 1)),
        ),
    ),
    "lighting": (("light_imbalance", ((0, 1), (0.2, 0.97), (0.5, 0.85), (0.8, 0.68), (1.2, 0.45), (2, 0.15), (5, 0))),),
    "dct": (
        ("jpeg_quality", ((1, 0.02), (5, 0.12), (10, 0.25), (28, 0.55), (50, 0.78), (75, 0.92), (100, 1))),
        ("webp_quantiser", ((0, 1), (30, 0.9), (50, 0.68), (75, 0.35), (100, 0.12), (127, 0.03))),
        ("hidden_stairs", ((0, 1), (0.03, 0.99), (0.1, 0.96), (0.2, 0.93), (1, 0.75), (16, 0.3))),
    ),
    "blockiness": (
        (
            "stairs",
            (
                (0, 1),
                (0.06, 0.97),
                (0.1, 0.95),
                (0.2, 0.89),
                (0.4, 0.78),
                (1, 0.5),
                (2, 0.3),
                (4, 0.18),
                (8, 0.08),
                (16, 0),
            ),
        ),
    ),
    "chroma_subsampling": (("chroma_share", ((0.06, 0.6), (0.25, 0.87), (0.5, 0.93), (1, 1))),),
    "resolution": (
        (
            "long_side",
            ((1, 0), (60, 0.1), (240, 0.4), (500, 0.65), (960, 0.84), (1920, 0.97), (3840, 0.99), (65535, 1)),
        ),
    ),
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

# Sub-score -> logits that it takes from the opinion: next to nothing where photos usually lie, since there the network
# knows better, and ever more where a single fault spoils a picture, which rated photos hardly show.
PENALTIES: Mapping[str, Curve] = {
    "focus": ((0, -3), (0.1, -2), (0.2, -1.1), (0.35, -0.4), (0.6, -0.12), (1, 0)),
    "noise": ((0, -3.2), (0.1, -2), (0.3, -1), (0.55, -0.35), (0.8, -0.12), (1, 0)),
    "exposure": ((0, -4), (0.08, -2.8), (0.15, -1.95), (0.25, -1.35), (0.45, -0.78), (0.7, -0.35), (1, 0)),
    "contrast": ((0, -3), (0.1, -1.8), (0.25, -0.8), (0.5, -0.28), (1, 0)),
    "saturation": ((0, -1.3), (0.1, -1.1), (0.3, -0.7), (0.6, -0.33), (1, 0)),
    "blockiness": ((0, -3.2), (0.1, -2), (0.3, -1), (0.5, -0.4), (0.8, -0.1), (1, 0)),
    "dct": ((0, -3.2), (0.15, -2.2), (0.35, -1.2), (0.6, -0.5), (0.8, -0.2), (1, 0)),
    # The same photo is worth less when there is less of it: at 500 pixels 0.05 at most, from 1,920 on nothing.
    "resolution": ((0, -2.6), (0.1, -2.0), (0.4, -0.9), (0.65, -0.2), (0.84, -0.07), (0.97, 0), (1, 0)),
}
