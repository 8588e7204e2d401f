"""A small JPEG of a picture that has just been decoded for its score. Knows libvips; must not know who looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.imaging.decode import to_srgb

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture

LONG_SIDE = 240
_QUALITY = 80


def thumbnail(picture: Picture) -> bytes:
    """Return the picture as a JPEG: upright, sRGB, without metadata, its long side 240 pixels or its own if less."""
    image = picture.image
    scale = min(1.0, LONG_SIDE / max(image.width, image.height))
    width, height = (max(1, round(side * scale)) for side in (image.width, image.height))
    small = image.resize(width / image.width, vscale=height / image.height)
    data: bytes = to_srgb(small.copy_memory()).jpegsave_buffer(Q=_QUALITY, keep="none", optimize_coding=True)
    return data
