"""The local spectra of a picture: block by block, how much detail of which fineness. Maths only; must not know scores.

Blocks of 8x8 pixels at three scales are transformed (DCT-II); their energies in a few bands, as logarithms, and
the local light and colour make one vector for each cell of 16x16 pixels of the whole view. Energies do not know where
in a block a detail lies, so that shifts and mirrors hardly move them.

Source: the idea of block-DCT statistics is of Saad, Bovik and Charrier, "Blind Image Quality Assessment: A Natural
Scene Statistics Approach in the DCT Domain", section III; the bands and the pooling are ours.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from gateway.imaging.views import Plane, halved

if TYPE_CHECKING:
    import numpy.typing as npt

    from gateway.imaging.views import Views

Array = TypeVar("Array", bound="npt.NDArray[Any]")

BLOCK = 8
CELL = 16
CHANNELS = 49
_FRAME = 32  # the whole is cut to multiples of this, so that blocks of all scales fill it
_FLOOR = np.float32(0.25)  # grey levels squared: what is finer than rounding counts as nothing


def cell_vectors(views: Views) -> Plane:
    """Return float32 (H/16, W/16, 49) of the whole view, centred, cut to multiples of 32 pixels.

    Channels: mean and maximum of the 4 blocks' 9 log energies, minimum of 4 of them; 9 log energies at half scale and 9
    at a quarter; then mean, spread, least and largest luma, red-green, yellow-blue, chroma, its root, and the least of
    the three colours.
    """
    luma = _framed(views.luma)
    half = halved(luma)
    fine, means = block_energies(luma)
    middle, _ = block_energies(half)
    coarse, _ = block_energies(halved(half))
    quads = [fine[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    least = np.minimum(np.minimum(quads[0], quads[1]), np.minimum(quads[2], quads[3]))
    most = np.maximum(np.maximum(quads[0], quads[1]), np.maximum(quads[2], quads[3]))
    mean = (quads[0] + quads[1] + quads[2] + quads[3]) * np.float32(0.25)
    repeated = coarse.repeat(2, axis=0).repeat(2, axis=1)
    tone = _tone(luma, means, _framed(views.whole))
    return np.concatenate([mean, most, least[..., 2:6], middle, repeated, tone], axis=-1)


def block_energies(plane: Plane) -> tuple[Plane, Plane]:
    """Return log2 of the mean energies of 8x8 blocks, (H/8, W/8, 9), and the blocks' means, (H/8, W/8).

    `plane` is luma (H, W) in grey levels, its sides multiples of 8. The first 6 bands go from coarse to fine
    (u + v = 1, 2, 3-4, 5-6, 7-9, 10-14); then vertical, horizontal and diagonal detail.
    """
    basis, bands = _basis(), _bands()
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    blocks = plane.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)
    coefficients = blocks @ basis
    means = coefficients[:, 0] / np.float32(BLOCK)
    np.square(coefficients, out=coefficients)
    energies = cast("Plane", np.log2(coefficients @ bands + _FLOOR))
    return energies.reshape(rows, columns, -1), means.reshape(rows, columns)


def _tone(luma: Plane, means: Plane, whole: npt.NDArray[np.uint8]) -> Plane:
    """Return the 9 channels of light and colour, (H/16, W/16, 9), scaled to a few units."""
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    grid = means.reshape(rows, 2, columns, 2)
    lines = luma.reshape(rows, CELL, -1)
    darkest = lines.min(axis=1).reshape(rows, columns, CELL).min(axis=2)
    brightest = lines.max(axis=1).reshape(rows, columns, CELL).max(axis=2)
    red, green, blue = np.moveaxis(_cell_colours(whole, rows, columns), -1, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    chroma = np.sqrt(red_green**2 + yellow_blue**2)
    least = np.minimum(np.minimum(red, green), blue)
    pairs = (
        *((grid.mean(axis=(1, 3)), 32), (grid.std(axis=(1, 3)), 16), (darkest, 32), (brightest, 32)),
        *((red_green, 16), (yellow_blue, 16), (chroma, 16), (np.sqrt(chroma), 4), (least, 32)),
    )
    return np.stack([plane / np.float32(unit) for plane, unit in pairs], axis=-1)


def _cell_colours(whole: npt.NDArray[np.uint8], rows: int, columns: int) -> Plane:
    """Return the mean colour (rows, columns, 3) of cells; sums of integers, which no order of adding changes."""
    lines = whole.reshape(rows, CELL, -1).sum(axis=1, dtype=np.uint16)
    sums = lines.reshape(rows, columns, CELL, 3).sum(axis=2, dtype=np.uint32).astype(np.float32)
    return cast("Plane", sums / np.float32(CELL**2))


def _framed(plane: Array) -> Array:
    height, width = plane.shape[0] // _FRAME * _FRAME, plane.shape[1] // _FRAME * _FRAME
    top, left = (plane.shape[0] - height) // 2, (plane.shape[1] - width) // 2
    return cast("Array", plane[top : top + height, left : left + width])


@cache
def _basis() -> Plane:
    """Return the orthonormal 8x8 DCT-II as a matrix from 64 pixels to 64 coefficients (row-major u, v)."""
    index = np.arange(BLOCK)
    waves = np.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * index + 1) * index[:, None] / (2 * BLOCK))
    waves[0] /= np.sqrt(2)
    return cast("Plane", np.einsum("ui,vj->ijuv", waves, waves).reshape(64, 64).astype(np.float32))


@cache
def _bands() -> Plane:
    """Return the (64, 9) matrix that averages coefficients' energies over each band."""
    vertical, horizontal = np.divmod(np.arange(64), BLOCK)
    order = vertical + horizontal
    limits = ((1, 1), (2, 2), (3, 4), (5, 6), (7, 9), (10, 14))
    members = [(order >= low) & (order <= high) for low, high in limits]
    members.append((vertical == 0) & (horizontal >= 2))
    members.append((horizontal == 0) & (vertical >= 2))
    members.append((vertical > 0) & (horizontal > 0) & (abs(vertical - horizontal) <= 1) & (order >= 3))
    return np.stack([member / member.sum() for member in members], axis=1).astype(np.float32)
