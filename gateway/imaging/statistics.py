"""What a whole picture's cell vectors and figures come down to: one vector of fixed length. Must not know scores.

Pooled over all places, so that mirrors change nothing, crops little, and the size of the picture is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.imaging.views import Plane

_SHARES = (0.01, 0.1, 0.5, 0.9, 0.99)
_GRID = 5
# Channels of blocks.cell_vectors whose relations say most: fine and coarse detail, light and colour.
_RELATED = (2, 4, 5, 24, 27, 29, 33, 40, 43, 44, 45, 46)
_COLOUR = (44, 45, 46)  # red-green, yellow-blue, chroma
_HUES = 8
_FIGURES = (  # name, what is added before the logarithm (None: as it is), unit
    ("edge_steepness", 0.003, 1.0),
    ("edge_ratio", 0.02, 1.0),
    ("noise_sigma", 0.25, 1.0),
    ("stairs", 0.01, 1.0),
    ("speck_share", 0.001, 1.0),
    ("highlights_share", 0.003, 1.0),
    ("shadows_share", 0.003, 1.0),
    ("colourfulness", 1.0, 1.0),
    ("light_imbalance", 0.05, 1.0),
    ("brightness", None, 0.2),
    ("luma_p5", None, 64.0),
    ("luma_p50", None, 64.0),
    ("luma_p95", None, 64.0),
    ("contrast", None, 64.0),
)


def statistics(vectors: Plane, figures: Mapping[str, float]) -> Plane:
    """Return float32 (features,) of cell vectors (H, W, channels) and the figures of the whole view.

    Per channel: five quantiles, mean and deviation over the cells; the deviation of the means over a 5x5 grid, how far
    the middle lies above the mean, and the top row of the grid above the bottom row. Then the correlations of twelve
    channels, the shares of eight hues, and the figures, as logarithms where they span decades. Costs one sort of all
    cells.
    """
    cells = np.ascontiguousarray(vectors.reshape(-1, vectors.shape[-1]).T)
    means, deviations = cells.mean(axis=1), cells.std(axis=1)
    related = cells[list(_RELATED)] - means[list(_RELATED), None]
    pooled = [_quantiles(cells), means, deviations, _layout(vectors, means), _correlations(related)]
    return cast("Plane", np.concatenate([*pooled, _hues(cells), _logs(figures)]).astype(np.float32))


def _quantiles(cells: Plane) -> Plane:
    """Return the quantiles (channels * shares,) between ranks, of (channels, places)."""
    ranked = np.sort(cells, axis=1)
    places = np.array(_SHARES) * (ranked.shape[1] - 1)
    lower = places.astype(np.intp)
    upper = np.minimum(lower + 1, ranked.shape[1] - 1)
    within = (places - lower).astype(np.float32)
    return cast("Plane", (ranked[:, lower] * (1 - within) + ranked[:, upper] * within).ravel())


def _layout(vectors: Plane, means: Plane) -> Plane:
    rows, columns = (np.rint(np.linspace(0, side, _GRID + 1)).astype(np.intp) for side in vectors.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(vectors, rows[:-1], axis=0), columns[:-1], axis=1)
    areas = np.maximum(1, np.diff(rows))[:, None] * np.maximum(1, np.diff(columns))
    grid = sums / areas[..., None].astype(np.float32)
    middle = grid[1:-1, 1:-1].mean(axis=(0, 1)) - means
    return np.concatenate([grid.std(axis=(0, 1)), middle, grid[0].mean(axis=0) - grid[-1].mean(axis=0)])


def _correlations(centred: Plane) -> Plane:
    """Return the correlations of each pair of rows (channels, places) that are centred already."""
    covariances = centred @ centred.T / np.float32(centred.shape[1])
    spreads = np.sqrt(np.diag(covariances) + np.float32(0.1))
    first, second = np.triu_indices(len(centred), 1)
    return cast("Plane", (covariances / np.outer(spreads, spreads))[first, second])


def _hues(cells: Plane) -> Plane:
    """Return how much of the colour lies in each of eight hues, (8,); they sum to nearly 1, less if it is pale."""
    red_green, yellow_blue, chroma = (cells[channel] for channel in _COLOUR)
    turn = np.arctan2(yellow_blue, red_green) / (2 * np.pi) + 0.5
    bins = np.minimum((turn * _HUES).astype(np.intp), _HUES - 1)
    weights = np.bincount(bins, weights=chroma, minlength=_HUES)
    return cast("Plane", (weights / (weights.sum() + 0.1 * bins.size)).astype(np.float32))


def _logs(figures: Mapping[str, float]) -> Plane:
    values = [
        figures[name] / unit if floor is None else np.log2(figures[name] / unit + floor)
        for name, floor, unit in _FIGURES
    ]
    return np.array(values, np.float32)
