"""How the parts that a client names become parts that a store accepts. Pure: lists in, lists out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from gateway.errors import ENTITY_TOO_SMALL, INVALID_ARGUMENT, INVALID_PART_ORDER, INVALID_REQUEST, ApiError
from gateway.stores.uploads import MAX_PARTS, MIN_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.stores.uploads import Part

MERGED_BYTES = 16 * 1024 * 1024  # wanted of a merged part: some stores take no more than 1,000 parts


@dataclass(frozen=True, slots=True)
class Piece:
    """One part as the store gets it: `number` there, and the client's parts whose bytes it holds, in order.

    Where these are hidden they have to be sent; otherwise it is one part that the store has already.
    """

    number: int
    parts: tuple[Part, ...]

    @property
    def length(self) -> int:
        """The piece's bytes."""
        return sum(part.size for part in self.parts)


def check_number(number: int) -> None:
    """Raise INVALID_ARGUMENT unless a part may have this number."""
    if not 1 <= number <= MAX_PARTS:
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise ApiError(INVALID_ARGUMENT, f"part {number}", message=message)


def check_list(wanted: Sequence[tuple[int, str]]) -> None:
    """Raise ApiError unless this is a list (number, entity tag) that an upload may be completed with.

    INVALID_REQUEST for none or more than 10,000 parts, INVALID_ARGUMENT for a number out of range,
    INVALID_PART_ORDER for numbers that do not ascend.
    """
    if not 1 <= len(wanted) <= MAX_PARTS:
        message = f"You must specify at least one part, and at most {MAX_PARTS}."
        raise ApiError(INVALID_REQUEST, f"{len(wanted)} parts", message=message)
    numbers = [number for number, _ in wanted]
    check_number(min(numbers))
    check_number(max(numbers))
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise ApiError(INVALID_PART_ORDER)


def same_etag(one: str, other: str) -> bool:
    """Tell whether two entity tags are equal, whatever their quotes and case (Aliyun's are upper-case)."""
    return bool(one) and one.strip(' "').lower() == other.strip(' "').lower()


def pieces_of(parts: Sequence[Part]) -> list[Piece]:
    """Merge hidden parts until each piece is large enough for the store; only the very last may be smaller.

    A piece takes the lowest number that is left to it: one of a hidden part (which hides it while the upload is not
    complete), between those of the parts around, and low, for stores that allow fewer than 10,000. Raises
    ENTITY_TOO_SMALL when hidden parts between two others are too small together.
    """
    pieces: list[Piece] = []
    runs = [list(run) for _, run in groupby(parts, key=lambda part: part.hidden)]
    for run in runs:
        if run[0].hidden:
            merged = _merged(run, is_last=run is runs[-1])
            pieces += [Piece(part.number, group) for part, group in zip(run, merged, strict=False)]
        else:
            pieces += [Piece(part.number, (part,)) for part in run]
    return pieces


def _merged(run: Iterable[Part], *, is_last: bool) -> list[tuple[Part, ...]]:
    groups: list[list[Part]] = [[]]
    length = 0  # of the last group
    for part in run:
        if length >= MERGED_BYTES:
            groups.append([])
            length = 0
        groups[-1].append(part)
        length += part.size
    if not is_last and length < MIN_PART_BYTES:
        rest = groups.pop()
        if not groups:
            numbers = f"{rest[0].number} to {rest[-1].number}"
            message = f"Parts {numbers} have less than {MIN_PART_BYTES} bytes together, and large parts follow them."
            raise ApiError(ENTITY_TOO_SMALL, f"parts {numbers}", message=message)
        groups[-1] += rest
    return [tuple(group) for group in groups]


def combined_etag(etags: Sequence[str]) -> str:
    """Return S3's entity tag of an object made of parts with these, without quotes; `""` where one is no MD5."""
    try:
        digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in etags)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"
