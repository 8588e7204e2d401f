"""A lazy image of libvips made pixels, by the thread that asks. Must not know what it shows.

libvips' own sinks use threads that hand over to each other after each row or two. That costs a scorer some of
its time; and to who has slept, even for microseconds, the kernel owes time again, which it takes from whoever answers
plain requests, however nice the sleeper is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips

from gateway.imaging.leisure import finish
from gateway.imaging.strips import TYPES, strip_rows, strips

if TYPE_CHECKING:
    import numpy.typing as npt

    from gateway.imaging.leisure import Steps

_STRIPS_A_STEP = 4  # one or two milliseconds of a decoder's time
_META = ("icc-profile-data", "orientation")  # what is asked for once there are pixels


def to_pixels(image: Any) -> npt.NDArray[Any]:
    """Compute an image of 8 or 16 bits: uint8 or uint16 (H, W, bands). Raises pyvips.Error."""
    return finish(pixels(image))


def pixels(image: Any) -> Steps[npt.NDArray[Any]]:
    """Compute the same in steps. No step leaves to the next what in libvips belongs to a thread."""
    found = np.empty((image.height, image.width, image.bands), TYPES[image.format])
    rows = _STRIPS_A_STEP * strip_rows(image)
    for top in range(0, image.height, rows):
        _fill(found[top : top + rows], image, top)
        yield
    return found


def _fill(found: npt.NDArray[Any], image: Any, top: int) -> None:
    """Compute as many rows as there is place for, from `top` on."""
    filled = 0
    for strip in strips(image.crop(0, top, image.width, len(found))):
        found[filled : filled + len(strip)] = strip
        filled += len(strip)


def in_memory(image: Any) -> Any:
    """Return the image, computed."""
    return to_image(to_pixels(image), image)


def sample(image: Any, side: int) -> npt.NDArray[Any]:
    """Return pixels (not means of pixels) spread evenly over the image, at most `side` a side: (h, w, bands)."""
    across, down = -(-image.width // side), -(-image.height // side)
    return to_pixels(image.subsample(across, down, point=True))


def to_image(found: npt.NDArray[Any], like: Any) -> Any:
    """Return an image of these pixels with the bands, profile and orientation of the image `like`."""
    height, width = found.shape[:2]
    image = pyvips.Image.new_from_memory(found, width, height, like.bands, like.format)
    image = image.copy(interpretation=like.interpretation)
    for name in _META:
        if kind := like.get_typeof(name):
            image.set_type(kind, name, like.get(name))
    return image
