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

from gateway.imaging.decode import to_srgb
from gateway.imaging.leisure import finish
from gateway.imaging.render import pixels, to_image, to_pixels

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.leisure import Steps

Plane = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_WHOLE_SIDE = 512
_DETAIL_SIDE = 1280  # the full picture's long side at which details are looked at: what a screen shows at most
_CROP_SIDE = 144
_MIN_SIDE = 128  # statistics of smaller pictures degenerate: they are mirrored up to this
_SEAM = 4  # pixels at a crop's edge that resizing mixes with the next crop's
_GRID = 8  # JPEG's block size; crops begin on it, so that one phase holds for all of them
_KERNEL = "lanczos3"  # nearly the identity when the scale is nearly 1, so that no score jumps there
_RED, _GREEN, _BLUE = (np.float32(weight) for weight in (0.299, 0.587, 0.114))  # ITU-R BT.601


@dataclass(frozen=True, slots=True)
class Views:
    """What is measured; luma is float32 in grey levels, 0..255.

    `whole`: uint8 (H, W, 3), sRGB, long side at most 512. `luma`: (H, W), of `whole`. `detail`: (N, S, S), crops
    spread over the picture where its long side is at most 1,280 pixels. `stored`: (N, S, S), the same at the scale
    at which the picture was loaded, which shows the grids that scaling hides. `seen`: crops of `luma` itself, what
    somebody notices who sees the whole picture.
    """

    whole: Pixels
    luma: Plane
    seen: Plane
    detail: Plane
    stored: Plane


def look(picture: Picture) -> Views:
    """Cut the views out of a loaded picture."""
    return finish(looking(picture))


def looking(picture: Picture) -> Steps[Views]:
    """Do the same in steps."""
    image = _mirrored_up(picture.image)
    long_side = max(image.width, image.height)
    # A narrow picture gets narrower when it is reduced, so it is mirrored up again.
    whole = yield from pixels(to_srgb(_mirrored_up(_reduced(image, long_side / _WHOLE_SIDE))))
    luma = to_luma(whole)
    seen = _crops(luma)
    if long_side <= _WHOLE_SIDE:
        return Views(whole, luma, seen, seen, seen)
    scale = max(1.0, long_side / _DETAIL_SIDE)
    side = _side(image.width, image.height, round(_CROP_SIDE * scale) + 2 * _SEAM * (scale > 1))
    crops = _cut(image, side)
    if scale == 1:
        detail = _luma_of(crops)
        return Views(whole, luma, seen, detail, detail)
    column = pyvips.Image.new_from_array(crops.reshape(-1, side, image.bands))
    reduced = round(side / scale)
    scaled = yield from pixels(_reduced(column, side / reduced))
    detail = _luma_of(scaled.reshape(-1, reduced, reduced, image.bands))
    stored = _luma_of(crops[:, :_CROP_SIDE, :_CROP_SIDE])
    return Views(whole, luma, seen, detail[:, _SEAM:-_SEAM, _SEAM:-_SEAM], stored)


def to_luma(pixels: Pixels) -> Plane:
    """Return BT.601 luma (0..255) of uint8 sRGB pixels (..., 3).

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
    missing = ((0, height - image.height), (0, width - image.width), (0, 0))
    return to_image(np.pad(to_pixels(image), missing, "symmetric"), image)


def _reduced(image: Any, scale: float) -> Any:
    return image if scale <= 1 else image.resize(1 / scale, kernel=_KERNEL)


def _crops(luma: Plane) -> Plane:
    height, width = luma.shape
    side = _side(width, height, _CROP_SIDE)
    return np.stack([luma[top : top + side, left : left + side] for left, top in _places(width, height, side)])


def _cut(image: Any, side: int) -> Pixels:
    """Return the crops of an image in memory, uint8 (N, side, side, bands), without the cost of an image for each."""
    region, places = pyvips.Region.new(image), _places(image.width, image.height, side)
    crops = [np.frombuffer(region.fetch(left, top, side, side), np.uint8) for left, top in places]
    return np.stack(crops).reshape(len(places), side, side, image.bands)


def _side(width: int, height: int, wanted: int) -> int:
    return min(width, height, wanted) // _GRID * _GRID


def _places(width: int, height: int, side: int) -> list[tuple[int, int]]:
    """Return the left and top of the crops: the middles of 3x3 cells.

    Fixed places, not the busiest ones: a crop, a mirror or a little noise must not choose other details.
    """
    return [(_begin(x, width, side), _begin(y, height, side)) for y in range(3) for x in range(3)]


def _begin(cell: int, length: int, side: int) -> int:
    centred = round(((cell + 0.5) / 3 * length - side / 2) / _GRID) * _GRID
    return min(max(centred, 0), (length - side) // _GRID * _GRID)


def _luma_of(pixels: Pixels) -> Plane:
    """Return the luma of uint8 (..., 1 or 3); a profile is left aside, since only differences are measured on it."""
    return to_luma(pixels) if pixels.shape[-1] == 3 else pixels[..., 0].astype(np.float32)
