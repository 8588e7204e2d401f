"""How large a picture may be, and the check against its header. Pure; must not know formats' syntax or pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from gateway.errors import IMAGE_FILE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_TOO_LARGE, NOT_AN_IMAGE, ApiError
from gateway.imaging.facts import Format

if TYPE_CHECKING:
    from gateway.errors import ErrorKind
    from gateway.imaging.facts import Facts

FORMATS: tuple[str, ...] = get_args(Format)


# Up to 2,560 x 1,440 is everyday work even where it must be held whole: tens of MiB, a tenth of a second.
_HEAVY_PIXELS = 4_000_000
_LIGHT_SHARE = 3  # a 16-bit PNG whose lines have 65,535 pixels, the most that a line costs, needs 0.4 GiB


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one scoring job."""

    max_bytes: int = 100 * 2**20  # of the file
    max_pixels: int = 250_000_000  # of what is decoded line by line, so it bounds time, not memory
    max_side: int = 65_535  # the longest that JPEG can state; one line of it in 16-bit RGBA is 512 KiB
    max_frames: int = 10_000
    # Of what a decoder must hold whole: progressive JPEG, interlaced PNG, WebP, GIF; up to 16 bytes a pixel.
    max_pixels_whole: int = 64_000_000
    # What a scorer may hold, all in all, with one large picture that must be held whole; with any other a third of it.
    # An interlaced 16-bit PNG of 64 megapixels needs 1.1 GiB (ADR 8).
    max_memory_bytes: int = 1536 * 2**20
    deadline_s: float = 30.0  # queueing, download and decoding together
    formats: tuple[str, ...] = FORMATS  # those that are accepted


def is_heavy(facts: Facts) -> bool:
    """Tell whether the picture is large and must be held whole: few scorers take those, so that others stay free.

    A header that does not tell the size (0 pixels) may hide a large one.
    """
    return facts.held_whole and not 0 < facts.pixels <= _HEAVY_PIXELS


def memory_limit(facts: Facts, limits: Limits) -> int:
    """Return how many bytes a scorer may hold while it works on this picture."""
    return limits.max_memory_bytes if is_heavy(facts) else limits.max_memory_bytes // _LIGHT_SHARE


def check_bytes(count: int, limits: Limits) -> None:
    """Refuse a file of more than `max_bytes` bytes. Raises IMAGE_FILE_TOO_LARGE."""
    if count > limits.max_bytes:
        message = f"The file has {count:,} bytes or more; the limit is {limits.max_bytes:,} bytes."
        raise ApiError(IMAGE_FILE_TOO_LARGE, message=message)


def check_format(facts: Facts, limits: Limits) -> None:
    """Refuse a picture in a format that is not accepted. Raises NOT_AN_IMAGE."""
    if facts.format not in limits.formats:
        accepted = ", ".join(name.upper() for name in limits.formats) or "none"
        message = f"The image is a {facts.format.upper()} file; the accepted formats are: {accepted}."
        raise ApiError(NOT_AN_IMAGE, message=message)


def check_limits(facts: Facts, limits: Limits) -> None:
    """Refuse, by its header alone, a picture that may not be decoded.

    Raises NOT_AN_IMAGE for a format that is not accepted, IMAGE_SIDE_TOO_LONG and IMAGE_TOO_LARGE.
    """
    check_format(facts, limits)
    size = f"{facts.width:,} x {facts.height:,}"
    if max(facts.width, facts.height) > limits.max_side:
        raise _too_large(
            f"The image is {size} pixels; the limit is {limits.max_side:,} pixels a side.", IMAGE_SIDE_TOO_LONG
        )
    if facts.pixels > limits.max_pixels:
        raise _too_large(
            f"The image has {facts.pixels:,} pixels ({size}); the limit is {limits.max_pixels:,} pixels.",
        )
    if facts.held_whole and facts.pixels > limits.max_pixels_whole:
        raise _too_large(
            f"The image has {facts.pixels:,} pixels ({size}) in a format that must be decoded whole "
            f"(progressive, interlaced, or neither JPEG nor PNG); "
            f"the limit for those is {limits.max_pixels_whole:,} pixels.",
        )
    if facts.frames > limits.max_frames:
        raise _too_large(f"The image has {facts.frames:,} frames; the limit is {limits.max_frames:,} frames.")


def _too_large(message: str, kind: ErrorKind = IMAGE_TOO_LARGE) -> ApiError:
    return ApiError(kind, message=message)
