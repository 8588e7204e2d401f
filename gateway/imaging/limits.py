"""How large a picture may be, and the check against its header. Pure; must not know formats' syntax or pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import IMAGE_TOO_LARGE, ApiError

if TYPE_CHECKING:
    from gateway.imaging.facts import Facts


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one scoring job.

    `max_pixels` holds for what is decoded line by line, so it bounds time, not memory; `max_pixels_whole` for
    what a decoder must hold whole (progressive JPEG, interlaced PNG, WebP, GIF: up to 8 bytes a pixel).
    `max_side` is the longest side that JPEG can state; one line of it in 16-bit RGBA is 512 KiB. `deadline_s`
    covers queueing, download and decoding together.
    """

    max_bytes: int = 100 * 2**20
    max_pixels: int = 250_000_000
    max_side: int = 65_535
    max_frames: int = 10_000
    max_pixels_whole: int = 64_000_000
    deadline_s: float = 30.0


def check_bytes(count: int, limits: Limits) -> None:
    """Refuse a file of more than `max_bytes` bytes. Raises IMAGE_TOO_LARGE."""
    if count > limits.max_bytes:
        raise _too_large(f"The file has {count:,} bytes or more; the limit is {limits.max_bytes:,} bytes.")


def check_limits(facts: Facts, limits: Limits) -> None:
    """Refuse, by its header alone, a picture that is too large to decode. Raises IMAGE_TOO_LARGE."""
    size = f"{facts.width:,} x {facts.height:,}"
    if max(facts.width, facts.height) > limits.max_side:
        raise _too_large(f"The image is {size} pixels; the limit is {limits.max_side:,} pixels a side.")
    if facts.pixels > limits.max_pixels:
        raise _too_large(
            f"The image has {facts.pixels:,} pixels ({size}); the limit is {limits.max_pixels:,} pixels.",
        )
    if facts.held_whole and facts.pixels > limits.max_pixels_whole:
        raise _too_large(
            f"The image has {facts.pixels:,} pixels ({size}) in a format that must be decoded whole "
            f"(progressive, interlaced, WebP or GIF); the limit for those is {limits.max_pixels_whole:,} pixels.",
        )
    if facts.frames > limits.max_frames:
        raise _too_large(f"The image has {facts.frames:,} frames; the limit is {limits.max_frames:,} frames.")


def _too_large(message: str) -> ApiError:
    return ApiError(IMAGE_TOO_LARGE, message=message)
