"""Charts as SVG: one bar a ratio, and lines through points. Knows nothing of what they show."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import floor, log2, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _LEFT, _BAR, _RIGHT = 720, 230, 16, 70
_LOWEST, _HIGHEST = 2**-4, 2**6
_COLOURS = {"store": "#9aa5b1", "nginx": "#3b6ea5", "nginx unbuffered": "#79a6d2", "rclone": "#d98c3f"}
_OTHER, _LINE, _GRID = "#5c9e6e", "#3b6ea5", "#dde2e7"
_PANEL = 220  # height of a panel of lines
_MARGIN, _TOP, _BOTTOM = 70, 34, 40


@dataclass(frozen=True)
class Panel:
    """One line: points (x, y) and a label under each, or under some; both axes by powers, or from 0."""

    title: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str]
    by_powers: bool = True


def bars(ratios: Sequence[tuple[str, float]]) -> str:
    """Draw one bar a ratio, on a scale of powers of two, from the line at 1."""
    height = 40 + _BAR * len(ratios)
    x = _across(1)
    pieces = [f'<text x="{x:.0f}" y="14" text-anchor="middle">as fast</text>']
    for number, (what, ratio) in enumerate(ratios):
        y = 24 + number * _BAR
        start, end = sorted((x, _across(ratio)))
        width = max(end - start, 1)
        colour = _COLOURS.get(what.rpartition(" / ")[2], _OTHER)
        pieces += [
            f'<text x="{_LEFT - 6}" y="{y + 11}" text-anchor="end">{what}</text>',
            f'<rect x="{start:.1f}" y="{y + 2}" width="{width:.1f}" height="{_BAR - 4}" fill="{colour}"/>',
            f'<text x="{max(end, x) + 4:.1f}" y="{y + 11}">{ratio:.2f}</text>',
        ]
    pieces.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{height - 10}" stroke="black"/>')
    return _picture(height, pieces)


def lines(panels: Sequence[Panel]) -> str:
    """Draw the panels one below the other."""
    pieces = [piece for number, panel in enumerate(panels) for piece in _panel(panel, number * _PANEL)]
    return _picture(_PANEL * len(panels), pieces)


def _panel(panel: Panel, top: int) -> list[str]:
    placed = _placed(panel, top)
    ticks, bottom = _ticks(panel), top + _PANEL - _BOTTOM
    pieces = [f'<text x="{_MARGIN}" y="{top + 18}" font-weight="bold">{panel.title}</text>']
    for value in ticks:
        y = _up(panel, value, ticks, top)
        pieces.append(f'<line x1="{_MARGIN}" x2="{_WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        pieces.append(f'<text x="{_MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,g}</text>')
    for (x, y), (after_x, after_y) in pairwise(placed):
        ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{after_x:.1f}" y2="{after_y:.1f}"'
        pieces.append(f'<line {ends} stroke="{_LINE}" stroke-width="2"/>')
    for (x, y), label in zip(placed, panel.labels, strict=True):
        if label:
            pieces.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_LINE}"/>')
            pieces.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    return pieces


def _placed(panel: Panel, top: int) -> list[tuple[float, float]]:
    ticks = _ticks(panel)
    scale = log10 if panel.by_powers else float
    first, last = scale(panel.points[0][0]), scale(panel.points[-1][0])
    wide = (_WIDTH - 40 - _MARGIN) / ((last - first) or 1)
    return [(_MARGIN + 10 + (scale(x) - first) * wide, _up(panel, y, ticks, top)) for x, y in panel.points]


def _ticks(panel: Panel) -> list[float]:
    """Where the upright axis has its lines: powers of ten, or quarters of a round figure."""
    values = [y for _, y in panel.points]
    if panel.by_powers:
        powers = range(floor(log10(min(values))), floor(log10(max(values))) + 2)
        return [10.0**power for power in powers]
    highest = max(values)
    unit = 10.0 ** floor(log10(highest))
    whole = unit * (floor(highest / unit) + 1 if highest % unit else highest / unit)
    return [whole * quarter / 4 for quarter in range(5)]


def _up(panel: Panel, y: float, ticks: Sequence[float], top: int) -> float:
    scale = log10 if panel.by_powers else float
    share = (scale(y) - scale(ticks[0])) / (scale(ticks[-1]) - scale(ticks[0]))
    return top + _PANEL - _BOTTOM - share * (_PANEL - _TOP - _BOTTOM)


def _across(ratio: float) -> float:
    share = (log2(min(max(ratio, _LOWEST), _HIGHEST)) - log2(_LOWEST)) / (log2(_HIGHEST) - log2(_LOWEST))
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _picture(height: int, pieces: Sequence[str]) -> str:
    size = f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="11"'
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', '<rect width="100%" height="100%" fill="white"/>']
    return "\n".join([*head, *pieces, "</svg>"]) + "\n"
