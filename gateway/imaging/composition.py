"""Where the details of a picture lie: three figures for the aesthetic and content scores. Must not know scores.

Plain, documented rules of thumb, not a fit: no set of pictures rated for beauty stands behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gateway.imaging.views import Plane

_MIDDLE_BAND = 2  # of the channels of blocks.cell_vectors: mean log2 energy of middling detail
_VISIBLE = 3.0  # log2 of grey levels squared: weaker detail is not seen
_ANCHORS = tuple((y, x) for y in (1 / 3, 1 / 2, 2 / 3) for x in (1 / 3, 1 / 2, 2 / 3))
_SUBJECT_SHARE = 0.25  # of the cells


def composition(vectors: Plane) -> dict[str, float]:
    """Return `balance`, `concentration` and `coverage`, each 0..1, of cell vectors (H, W, channels).

    `balance`: how near the centre of detail lies to the middle or to a crossing of the thirds (rule of thirds; Datta,
    Joshi, Li and Wang, "Studying Aesthetics in Photographic Images Using a Computational Approach", section 2.5).
    `concentration`: the share of detail in the quarter of the cells that has most (their section 2.9, low depth of
    field, in another form): 0.25 for an even texture, 1 for one subject on plain ground. `coverage`: the share of the
    cells with visible detail.
    """
    energy = vectors[..., _MIDDLE_BAND].astype(np.float64)
    weight = np.maximum(np.exp2(energy / 2) - np.exp2(_VISIBLE / 2) / 2, 0)
    coverage = float((energy > _VISIBLE).mean())
    total = float(weight.sum())
    if total <= 0:
        return {"balance": 0.0, "concentration": 0.0, "coverage": coverage}
    rows, columns = ((np.arange(side) + 0.5) / side for side in weight.shape)
    y, x = float(weight.sum(axis=1) @ rows) / total, float(weight.sum(axis=0) @ columns) / total
    distance = min(np.hypot(y - at_y, x - at_x) for at_y, at_x in _ANCHORS)
    ranked = np.sort(weight, axis=None)[::-1]
    most = float(ranked[: max(1, round(_SUBJECT_SHARE * ranked.size))].sum()) / total
    return {"balance": float(np.clip(1 - distance / 0.25, 0, 1)), "concentration": most, "coverage": coverage}
