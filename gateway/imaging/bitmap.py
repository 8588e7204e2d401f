"""BMP's pixels, which no libvips loader reads: by Pillow, held whole. Must not know scores or sockets."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from gateway.errors import IMAGE_DAMAGED, ApiError
from gateway.imaging.reading import unsupported

if TYPE_CHECKING:
    import numpy.typing as npt

_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}


def read_bitmap(descriptor: int) -> npt.NDArray[np.uint8]:
    """Return the pixels of the BMP that the descriptor brings: uint8 (H, W) or (H, W, 3 or 4), alpha last.

    The caller has checked how many there are. Raises IMAGE_DAMAGED, or NOT_AN_IMAGE for channel masks unknown here.
    """
    from PIL import Image  # noqa: PLC0415 - 5 MiB that no other format needs

    Image.MAX_IMAGE_PIXELS = None
    with open(descriptor, "rb", closefd=False) as file:
        data = BytesIO(file.read())
    try:
        with Image.open(data, formats=("BMP",)) as picture:
            mode = _MODES[picture.mode]
            picture.load()
            data.close()
            return np.asarray(picture if picture.mode == mode else picture.convert(mode))
    except (OSError, ValueError, KeyError) as error:
        if "Unsupported" in str(error):
            raise unsupported("a BMP file of a kind that this build cannot decode", str(error)) from error
        raise ApiError(IMAGE_DAMAGED, str(error)) from error
