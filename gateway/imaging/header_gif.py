"""GIF's header: the logical screen. Pure; must not know other formats or pixels.

Source: CompuServe GIF89a specification, section 18.
"""

from __future__ import annotations

from gateway.imaging.facts import Facts
from gateway.imaging.reading import Reading, check_size, take


def read_gif() -> Reading[Facts]:
    """Read the logical screen descriptor. Raises IMAGE_DAMAGED.

    Frames may reach beyond the screen; how large the picture really is, only the decoder knows, which checks again.
    """
    header = yield take(13)
    width, height = int.from_bytes(header[6:8], "little"), int.from_bytes(header[8:10], "little")
    check_size(width, height)
    return Facts(format="gif", width=width, height=height, bands=3, bits=8, lossless=True)
