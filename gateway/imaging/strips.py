"""A picture's pixels a few rows at a time, so that nobody copies the whole. Must not know what is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.imaging.views import Pixels

TYPES = {"uchar": np.uint8, "ushort": np.uint16}
BLOCK = 8  # strips are a multiple of this high, but for the last
_STRIP_PIXELS = 32_768  # with its float32 copies well under a megabyte; in smaller ones Python's own time would show


def strips(image: Any, *, every: int = 1, lead: int = 0) -> Iterator[Pixels]:
    """Yield the rows of an image of 8 or 16 bits from top to bottom, uint8 or uint16 (h, W, bands) each.

    With `every` = n, only one of n strips, beginning with the middle one of the first n (or the last, if fewer).
    Each strip begins with the `lead` rows above it, where there are so many.
    """
    rows = strip_rows(image)
    first = min(every // 2, (image.height - 1) // rows)
    region = pyvips.Region.new(image)
    for begin in range(first * rows, image.height, every * rows):
        top = max(0, begin - lead)
        height = min(begin + rows, image.height) - top
        data = region.fetch(0, top, image.width, height)
        yield np.frombuffer(data, TYPES[image.format]).reshape(height, image.width, image.bands)


def strip_rows(image: Any) -> int:
    """Return how high a strip of this image is."""
    rows: int = _STRIP_PIXELS // image.width // BLOCK * BLOCK
    return max(BLOCK, rows)
