"""How a header parser asks for bytes: steps of a generator. Pure; must not know any format.

A parser is a generator: it yields a `Step` and is sent the bytes it asked for, and returns what it found. So it
reads like a plain sequential parser and yet never waits, and skipped bytes are never kept.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeVar

from gateway.errors import IMAGE_DAMAGED, NOT_AN_IMAGE, ApiError
from gateway.imaging.facts import SUPPORTED

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Step:
    """A wish for the next `count` bytes: take them, look at them without moving on, or skip them."""

    use: Literal["take", "peek", "skip"]
    count: int


Reading = Generator[Step, bytes, Found]

# Camera JPEGs carry depth maps, previews and profiles of a few MiB before the frame header.
MAX_HEADER_BYTES = 8 * 2**20

# A header made of endless tiny pieces must not keep the parser busy: real files stay two orders below.
MAX_PIECES = 4096


def take(count: int) -> Step:
    """Ask for the next `count` bytes and move behind them."""
    return Step("take", count)


def peek(count: int) -> Step:
    """Ask for the next `count` bytes and stay before them."""
    return Step("peek", count)


def skip(count: int) -> Step:
    """Move on by `count` bytes; the parser is sent `b""`."""
    return Step("skip", count)


def damaged(message: str) -> ApiError:
    """Return the error for a header that contradicts its format."""
    return ApiError(IMAGE_DAMAGED, message=f"The image is damaged: {message}.")


def unsupported(what: str, detail: str = "") -> ApiError:
    """Return the error for an object that is recognised as `what`, which cannot be decoded here."""
    return ApiError(NOT_AN_IMAGE, detail, message=f"The object is {what}; supported formats are {SUPPORTED}.")


def not_an_image() -> ApiError:
    """Return the error for an object that is not recognised."""
    return ApiError(NOT_AN_IMAGE, message=f"The object is not an image; supported formats are {SUPPORTED}.")


def check_size(width: int, height: int) -> None:
    """Refuse a header that declares no pixels. Raises IMAGE_DAMAGED."""
    if width < 1 or height < 1:
        raise damaged(f"its header declares {width} x {height} pixels")
