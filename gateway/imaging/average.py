"""The processor `average`: the mean colour of a picture. Knows libvips; must not know sockets or vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.imaging.decode import to_srgb
from gateway.imaging.render import in_memory, to_pixels
from gateway.report import AverageColour

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts
    from gateway.imaging.leisure import Steps

_LONG_SIDE = 256  # a mean of means: the colour transform then costs next to nothing


def process(picture: Picture, _facts: Facts) -> Steps[AverageColour]:
    """Return the mean of the sRGB values, alpha laid over white."""
    image = picture.image
    factor = max(1, max(image.width, image.height) // _LONG_SIDE)
    across, down = (min(factor, side) for side in (image.width, image.height))
    pixels = to_pixels(to_srgb(in_memory(image.shrink(across, down))))
    yield
    return AverageColour(*(round(mean) for mean in pixels.mean(axis=(0, 1)).tolist()))
