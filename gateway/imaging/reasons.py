"""What is wrong with a picture, in words, each with the figure behind it. Pure; must not know pixels or vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REASON_BELOW = 0.6
_RELIABLE_SIDE = 50
_RELIABLE_RATIO = 5
_ONE_WAY = 0.5  # edges across are half as steep as edges along: the picture was moved, not out of focus


def reasons(parts: Mapping[str, float], measures: Mapping[str, float], width: int, height: int) -> tuple[str, ...]:
    """Return a sentence for every weak sub-score, the worst first; before them, what makes the result unreliable."""
    weak = sorted((parts[name], name) for name in _FAULTS if parts.get(name, 1.0) < _REASON_BELOW)
    return (*_size_reasons(width, height), *(_FAULTS[name](measures) for _, name in weak))


def _size_reasons(width: int, height: int) -> tuple[str, ...]:
    long_side, short_side = max(width, height), min(width, height)
    if short_side < _RELIABLE_SIDE or long_side > _RELIABLE_RATIO * short_side:
        return (f"The result is unreliable: {width} x {height} pixels are too few or too narrow to judge.",)
    return ()


def _focus(figures: Mapping[str, float]) -> str:
    share = f"even the sharpest edges rise by only {figures['edge_steepness']:.0%} of the contrast in one pixel"
    if figures["edge_direction"] < _ONE_WAY:
        return f"Motion blur: {share}, across {figures['edge_direction']:.0%} as steeply as along."
    return f"Blur: {share}."


def _noise(figures: Mapping[str, float]) -> str:
    if figures["speck_share"] > 0.002:
        return f"Specks: {figures['speck_share']:.1%} of the pixels stand out from all their neighbours."
    return f"Noise: flat areas deviate by {figures['noise_sigma']:.1f} grey levels."


def _exposure(figures: Mapping[str, float]) -> str:
    if figures["luma_top"] < 160:
        return f"Too dark: the brightest parts reach {figures['luma_top'] / 255:.0%}."
    return f"Too bright: highlights clipped on {figures['highlights_share']:.0%} of the area."


def _jpeg(figures: Mapping[str, float]) -> str:
    share = figures["chroma_share"]
    chroma = "" if share == 1 else f", chroma {'halved' if share == 0.5 else f'at 1/{1 / share:.0f}'}"
    return f"JPEG quality about {figures['jpeg_quality']:.0f}{chroma}."


_FAULTS: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    "focus": _focus,
    "noise": _noise,
    "exposure": _exposure,
    "jpeg_quality": _jpeg,
    "contrast": lambda figures: (
        f"Low contrast: 90 % of the pixels lie within {figures['contrast'] / 255:.0%} of the range."
    ),
    "saturation": lambda figures: f"Pale colours: colourfulness {figures['colourfulness']:.0f}, where 45 is usual.",
    "lighting": lambda figures: (
        f"Uneven light: areas differ by {figures['light_imbalance']:.0%} of the mean brightness."
    ),
    "blockiness": lambda figures: (
        f"Blocks are visible: steps gather on a grid, {figures['stairs']:.0%} above an even spread."
    ),
    "resolution": lambda figures: f"Small: {figures['long_side']:.0f} pixels on the long side.",
}
