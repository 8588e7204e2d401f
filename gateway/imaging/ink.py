"""What stands out from a plain ground, measured. Maths only; must not know what the figures decide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.imaging.views import Pixels, Plane

    Mask = npt.NDArray[np.bool_]
    Counts = npt.NDArray[np.int64]
    Depth = Callable[[Pixels], Pixels]  # how far each pixel is from the ground: uint8 (H, W) of (H, W, bands)

NEAR, _HALF, _SOLID = 0.25, 0.5, 0.75  # of the way from the ground to the ink
_INK_QUANTILE = 0.9  # of what stands out; most pixels of thin strokes are not as deep as their ink
_TONE = np.array([5, 9, 2], np.float32) / 16  # nearly BT.601, with weights whose sums are exact in any order


def tone(pixels: Pixels) -> Plane:
    """Return the luma of uint8 (..., 1 or 3), float32, in grey levels."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float32)
    return cast("Plane", pixels.astype(np.float32) @ _TONE)


def tone_depth(pixels: Pixels, ground: Pixels) -> Pixels:
    """Return how far the luma is from that of the ground (bands). JPEG and WebP keep its edges, but not colour's."""
    return cast("Pixels", np.abs(tone(pixels) - tone(ground)).astype(np.uint8))


def colour_depth(pixels: Pixels, ground: Pixels) -> Pixels:
    """Return how far the farthest band is from the ground (bands)."""
    rows = pixels.reshape(*pixels.shape[:-2], pixels.shape[-2] * pixels.shape[-1])
    level = np.tile(ground, pixels.shape[-2])  # as long as a row: along three bands at a time numpy is slow
    off = (np.maximum(rows, level) - np.minimum(rows, level)).reshape(pixels.shape)
    return reduce(np.maximum, (off[..., band] for band in range(pixels.shape[-1])))


def count_depths(pieces: Iterable[Pixels], depth: Depth) -> Counts:
    """Return how many pixels have each depth, int64 (256)."""
    counts = np.zeros(256, np.int64)
    for pixels in pieces:
        counts += np.bincount(depth(pixels).ravel(), minlength=256)
    return counts


def ink_depth(counts: Counts, faint: int) -> int:
    """Return the depth of the ink, in grey levels: of what is deeper than `faint`; 0 where nothing is."""
    sums = counts[faint + 1 :].cumsum()
    return faint + 1 + int(np.searchsorted(sums, _INK_QUANTILE * sums[-1])) if sums[-1] else 0


@dataclass(frozen=True, slots=True)
class Ink:
    """What stands out from the ground by more than half of `depth`.

    `spread` is the standard deviation of its solid parts, both in grey levels. `midtones` (between ground and ink)
    and `pixels` count pixels. `runs` are unbroken pieces of rows and of columns, `lines` the rows and the columns
    that have any. `shapes` are connected pieces less the holes in them (Euler's number).
    """

    depth: int
    spread: float
    midtones: int
    pixels: int
    runs: tuple[int, int]
    lines: tuple[int, int]
    shapes: float

    @property
    def edge_width(self) -> float:
        """Midtones for each edge that rows and columns cross, in pixels: crisp letters 0.1 to 0.7, photos 2 to 10."""
        return self.midtones / max(1, 2 * sum(self.runs))

    @property
    def roundness(self) -> float:
        """Pixels / (height x width) of the mean shape: discs pi / 4, triangles 1 / 2, letters 0.05 to 0.6."""
        return self.pixels * max(1.0, abs(self.shapes)) / max(1, self.runs[0] * self.runs[1])

    @property
    def strokes(self) -> tuple[float, float]:
        """Runs in a row that has any, and in a column; the smaller first, so that turning does not matter."""
        rows, columns = (runs / max(1, lines) for runs, lines in zip(self.runs, self.lines, strict=True))
        return min(rows, columns), max(rows, columns)


def find_ink(pieces: Iterable[Pixels], depth: Depth, counts: Counts, reach: int) -> Ink:
    """Measure ink of the depth `reach`, at least 1, in strips that overlap by one row; `counts` as `count_depths`.

    The first row of all only serves to see where columns of ink begin.
    """
    pixels = rows = along = down = touching = shared = 0
    columns: Mask = np.zeros(1, np.bool_)
    for piece in pieces:
        inked = depth(piece) > _HALF * reach
        upper, lower = inked[:-1], inked[1:]
        pixels += int(np.count_nonzero(lower))
        rows += int(np.count_nonzero(lower.any(axis=1)))
        columns = columns | lower.any(axis=0)
        along += _count_runs(lower)
        down += int(np.count_nonzero(lower > upper))
        touching += _count_runs(lower | upper)
        shared += _count_runs(lower & upper)
    levels = np.arange(256)
    midtones = int(counts[(levels > NEAR * reach) & (levels < _SOLID * reach)].sum())
    spread = _deviation(counts * (levels > _SOLID * reach))
    lines = rows, int(np.count_nonzero(columns))
    return Ink(reach, spread, midtones, pixels, (along, down), lines, (touching - shared) / 2)


def _count_runs(mask: Mask) -> int:
    return int(np.count_nonzero(mask[:, 1:] > mask[:, :-1]) + np.count_nonzero(mask[:, 0]))


def _deviation(counts: Counts) -> float:
    levels, total = np.arange(counts.size), max(1, int(counts.sum()))
    mean = (counts * levels).sum() / total
    return float(np.sqrt((counts * (levels - mean) ** 2).sum() / total))
