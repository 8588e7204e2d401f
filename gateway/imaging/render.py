"""A lazy image of libvips made pixels, by the thread that asks. Must not know what it shows.

libvips' own sinks use threads that hand over to each other after each row or two. That costs a scorer some of
its time; and to who has slept, even for microseconds, the kernel owes time again, which it takes from whoever answers
plain requests, however nice the sleeper is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips

from gateway.imaging.strips import TYPES, strips

if TYPE_CHECKING:
    import numpy.typing as npt

_META = ("icc-profile-data", "orientation")  # what is asked for once there are pixels


def to_pixels(image: Any) -> npt.NDArray[Any]:
    """Compute an image of 8 or 16 bits: uint8 or uint16 (H, W, bands). Raises pyvips.Error."""
    found = np.empty((image.height, image.width, image.bands), TYPES[image.format])
    top = 0
    for strip in strips(image):
        found[top : top + len(strip)] = strip
        top += len(strip)
    return found


def to_image(found: npt.NDArray[Any], like: Any) -> Any:
    """Return the image `like`, which has these pixels, without what computed them; it keeps profile and orientation."""
    image = pyvips.Image.new_from_memory(found, like.width, like.height, like.bands, like.format)
    image = image.copy(interpretation=like.interpretation)
    for name in _META:
        if kind := like.get_typeof(name):
            image.set_type(kind, name, like.get(name))
    return image
