"""docs/performance.md and its chart, written from what `make bench ARGS=passthrough` has measured."""

from __future__ import annotations

from math import log2
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.passthrough import Comparison
    from bench.tools import Row

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
CHART = PAGE.with_suffix(".svg")
_INTRODUCTION = """\
Written by `make bench ARGS=passthrough`; do not edit. GETs with signed URLs through the gateway, beside others in the
same run: medians of {rounds} rounds in which all take turns, on a machine with 2 cores. Figures of one machine say
little, so the ratios come first."""
_RATIOS = """\
Requests a second of the gateway divided by the peer's; above 1 the gateway is faster. The CPU column is the gateway's
CPU time for one request divided by the peer's; below 1 the gateway takes less."""
_TITLES = {
    "one core": "One worker on one core",
    "RGW": "Two workers in front of Ceph RGW",
}
_NOTES = {
    "one core": "The proxy under test is pinned to one core; the origin (nginx serving files) and the load (wrk) share "
    "the other. nginx checks no signature here and signs nothing: it is the floor, not a peer.",
    "RGW": "Store, load and proxies share both cores. `rclone serve s3` and the gateway check the client's signature "
    "and sign anew for the store; the aiobotocore proxy signs and checks nothing; nginx does neither.",
}
_WIDTH, _LEFT, _BAR, _RIGHT = 720, 230, 16, 70
_LOWEST, _HIGHEST = 2**-4, 2**6
_COLOURS = {"store": "#9aa5b1", "nginx": "#3b6ea5", "nginx unbuffered": "#79a6d2", "rclone": "#d98c3f"}
_OTHER = "#5c9e6e"


def write(done: Sequence[Comparison], rows: Sequence[Row], absent: Sequence[str], rounds: int) -> None:
    """Write the page and the chart; the text says how it was measured, so that nothing else need be believed."""
    CHART.write_text(chart(rows))
    parts = [
        "# Performance",
        _INTRODUCTION.format(rounds=rounds),
        "![Requests a second, the gateway's divided by each peer's](performance.svg)",
        "## Ratios",
        _RATIOS,
        ratios(rows),
    ]
    for where, title in _TITLES.items():
        tables = [table(each) for each in done if each.where == where]
        if tables:
            parts += [f"## {title}", _NOTES[where], *tables]
    parts += [f"{text}." for text in absent]
    PAGE.write_text("\n\n".join(parts) + "\n")


def ratios(rows: Sequence[Row]) -> str:
    lines = ["| | requests/s | CPU | wanted |", "|---|---:|---:|---:|"]
    for row in rows:
        own, peer = row.columns.values()
        cpu = f"{own['cpu_s'] / peer['cpu_s']:.2f}" if peer["cpu_s"] else ""
        wanted = f"≥ {row.at_least:g}" if row.at_least else ""
        lines.append(f"| {row.what} | {row.figure:.2f} | {cpu} | {wanted} |")
    return "\n".join(lines)


def table(done: Comparison) -> str:
    lines = [
        f"{done.size} objects:\n",
        "| | requests/s | MB/s | CPU s per 1,000 | CPU s per GB | p50 ms | p99 ms | memory MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in done.found.items():
        object_gb = each.mb_per_s / each.requests_per_s / 1000
        cost = f"{each.cpu_s:.2f} | {each.cpu_s / 1000 / object_gb:.2f}" if each.cpu_s else " | "
        memory = f"{each.memory_mb:.0f}" if each.memory_mb else ""
        speed = f"{each.requests_per_s:.{0 if each.requests_per_s >= 100 else 1}f} | {each.mb_per_s:.0f}"
        # Empty where no object of the size was whole before the time was up.
        waited = f"{each.p50_ms:.1f} | {each.p99_ms:.1f}" if each.p50_ms else " | "
        lines.append(f"| {name} | {speed} | {cost} | {waited} | {memory} |")
    return "\n".join(lines)


def chart(rows: Sequence[Row]) -> str:
    """Draw one bar a ratio, on a scale of powers of two, from the line at 1."""
    height = 40 + _BAR * len(rows)
    size = f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="11"'
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{across(1):.0f}" y="14" text-anchor="middle">as fast</text>',
    ]
    for number, row in enumerate(rows):
        figure, y = row.figure or _LOWEST, 24 + number * _BAR
        start, end = sorted((across(1), across(figure)))
        width = max(end - start, 1)
        colour = _COLOURS.get(row.what.rpartition(" / ")[2], _OTHER)
        pieces += [
            f'<text x="{_LEFT - 6}" y="{y + 11}" text-anchor="end">{row.what}</text>',
            f'<rect x="{start:.1f}" y="{y + 2}" width="{width:.1f}" height="{_BAR - 4}" fill="{colour}"/>',
            f'<text x="{max(end, across(1)) + 4:.1f}" y="{y + 11}">{figure:.2f}</text>',
        ]
    x = across(1)
    pieces.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{height - 10}" stroke="black"/>')
    return "\n".join([*pieces, "</svg>"]) + "\n"


def across(ratio: float) -> float:
    share = (log2(min(max(ratio, _LOWEST), _HIGHEST)) - log2(_LOWEST)) / (log2(_HIGHEST) - log2(_LOWEST))
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
