"""The two looks at a picture that everything is measured on. Knows pixels; must not know scores.

The whole picture at 512 pixels is how people judge it; crops at a fixed detail scale show what that hides. Both have
a bounded size, so that measuring costs the same for any picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyvips

from gateway.imaging.decode import MIN_LONG_SIDE, to_srgb

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture

Plane = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_WHOLE_SIDE = 512
_CROP_SIDE = 192
_CROPS = 6
_CELLS = 8  # the whole is ranked in 8x8 cells
_MIN_SIDE = 64  # statistics of smaller pictures degenerate: they are mirrored up to this
_SEAM = 4  # pixels at a region's edge that resizing mixes with the next region's
_KERNEL = "lanczos3"  # nearly the identity when the scale is nearly 1, so that no score jumps there
_GRID = 8  # JPEG's block size; crops begin on it, so that one phase holds for all of them
_RED, _GREEN, _BLUE = (np.float32(weight / 255) for weight in (0.299, 0.587, 0.114))  # ITU-R BT.601


@dataclass(frozen=True, slots=True)
class Views:
    """What is measured.

    `whole`: uint8 (H, W, 3), sRGB, long side at most 512. `luma`: float32 (H, W) in 0..1, of `whole`. `detail`:
    float32 (N, S, S) in 0..1, luma of crops where the full picture's long side is at most 1,280 pixels, from the
    most to the least detailed cell. `stored`: the same, at the scale at which the picture was loaded. `grid` is the
    period, in pixels of `stored`, of a JPEG grid in the full picture, 0 where it cannot be seen any more.
    """

    whole: Pixels
    luma: Plane
    detail: Plane
    stored: Plane
    grid: int


def look(picture: Picture) -> Views:
    """Cut the views out of a loaded picture."""
    image = _mirrored_up(picture.image)
    long_side = max(image.width, image.height)
    whole = _array(to_srgb(_reduced(image, long_side / _WHOLE_SIDE)))
    luma = to_luma(whole)
    scale = max(1.0, long_side / MIN_LONG_SIDE)
    side = min(image.width, image.height, round(_CROP_SIDE * scale))
    reduced = round(side / scale)
    regions = [image.crop(left, top, side, side) for left, top in _places(luma, image.width, image.height, side)]
    column = to_srgb(pyvips.Image.arrayjoin(regions, across=1).copy_memory())
    stored = _planes(column, side)
    detail = stored if scale == 1 else _planes(_reduced(column, side / reduced), reduced, _SEAM)
    stored = stored[:, :_CROP_SIDE, :_CROP_SIDE]
    return Views(whole, luma, detail, stored, _GRID // picture.factor if picture.factor <= 2 else 0)


def to_luma(pixels: Pixels) -> Plane:
    """Return BT.601 luma in 0..1 of uint8 sRGB pixels (..., 3).

    Not a matrix product: its rounding depends on the number of threads, and the same bytes must score the same.
    """
    return cast("Plane", pixels[..., 0] * _RED + pixels[..., 1] * _GREEN + pixels[..., 2] * _BLUE)


def halved(plane: Plane) -> Plane:
    """Return the plane (..., H, W) at half scale: means of 2x2, an odd last row or column left out."""
    height, width = plane.shape[-2] // 2 * 2, plane.shape[-1] // 2 * 2
    even = plane[..., :height, :width]
    rows = even[..., 0::2, :] + even[..., 1::2, :]
    return cast("Plane", (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25))


def cells(plane: Plane, count: int) -> Plane:
    """Return the means of `count` x `count` equal cells of a plane (H, W); at most count-1 last rows are left out."""
    height, width = plane.shape[0] // count, plane.shape[1] // count
    whole = plane[: height * count, : width * count]
    return cast("Plane", whole.reshape(count, height, count, width).mean(axis=(1, 3)))


def _mirrored_up(image: Any) -> Any:
    width, height = max(image.width, _MIN_SIDE), max(image.height, _MIN_SIDE)
    if (width, height) == (image.width, image.height):
        return image
    return image.embed(0, 0, width, height, extend="mirror").copy_memory()


def _reduced(image: Any, scale: float) -> Any:
    return image if scale <= 1 else image.resize(1 / scale, kernel=_KERNEL)


def _places(luma: Plane, width: int, height: int, side: int) -> list[tuple[int, int]]:
    """Return the left and top of the crops: cells evenly spread over the ranking by detail, the busiest first."""
    steps = np.zeros_like(luma)
    steps[:, 1:] += np.abs(np.diff(luma, axis=1))
    steps[1:] += np.abs(np.diff(luma, axis=0))
    ranked = np.argsort(-cells(steps, _CELLS).ravel(), kind="stable")
    chosen = ranked[np.linspace(0, ranked.size - 1, _CROPS).round().astype(int)]
    return [(_begin(int(cell) % _CELLS, width, side), _begin(int(cell) // _CELLS, height, side)) for cell in chosen]


def _begin(cell: int, length: int, side: int) -> int:
    centred = round((cell + 0.5) / _CELLS * length - side / 2)
    return min(max(centred, 0), length - side) // _GRID * _GRID


def _planes(column: Any, side: int, seam: int = 0) -> Plane:
    """Return the luma (N, S, S) of square regions that stand in one column, without a seam on each side."""
    luma = to_luma(_array(column)).reshape(-1, side, side)
    return luma[:, seam : side - seam, seam : side - seam]


def _array(image: Any) -> Pixels:
    return cast("Pixels", image.numpy())
