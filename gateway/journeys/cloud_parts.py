"""Large uploads in several requests: parts wait as hidden objects, at a place that follows from the upload's id alone.

So any gateway process takes any part, and nothing is remembered but the parts. Each is named by the position of its
first byte: whether all are there is found out by asking for one after the other.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import INVALID_ARGUMENT, ApiError
from gateway.journeys.multipart import swept
from gateway.stores.parts import HiddenParts, folder
from gateway.stores.uploads import MAX_PARTS, Part
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.dialects.cloudinary_upload import ContentRange
    from gateway.journeys.cloud_body import File, Shelf
    from gateway.stores.upstream import StoreBucket

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
MAX_ID = 255


def random_text(seed: str, length: int) -> str:
    """Return letters and digits that follow from `seed`: the parts of one upload are to get the same name."""
    number = int.from_bytes(hashlib.sha256(f"{seed}\0{length}".encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def hidden_parts(store: StoreBucket, cloud: str, owner: str, upload_id: str) -> HiddenParts:
    """Return where the parts of an upload wait; nobody but `owner` (a key's id) can name this place."""
    return HiddenParts(store, folder(f"{cloud}\0{owner}", upload_id))


async def keep(parts: HiddenParts, place: ContentRange, file: File, now: datetime, max_age_s: float) -> None:
    """Keep one part. Raises INVALID_ARGUMENT when it is not as long as its range says, and the store's errors."""
    if file.length != place.end - place.start:
        message = f"Invalid Content-Range: {place.end - place.start} bytes announced, {file.length} received"
        raise ApiError(INVALID_ARGUMENT, message=message)
    if place.start == 0 and max_age_s:
        await swept(parts.store, now, max_age_s)  # what others have left lying about
    await parts.put(place.start, Body(file.chunks(), file.length))


async def all_kept(parts: HiddenParts, place: ContentRange, total: int) -> list[Part] | None:
    """Return the parts from the first byte to the last, None while one is missing.

    What follows the part that has just come is asked for first: of an upload in order that is one question. Raises
    INVALID_ARGUMENT when they do not meet, and for more than 10,000 of them.
    """
    behind = await _row(parts, place.end, total)
    before = await _row(parts, 0, place.start) if behind is not None else None
    own = await parts.look_up(place.start) if before is not None else None
    return None if own is None or before is None or behind is None else [*before, own, *behind]


async def _row(parts: HiddenParts, at: int, end: int) -> list[Part] | None:
    """Return the parts from one place to another, None while one is missing. Raises INVALID_ARGUMENT."""
    found: list[Part] = []
    while at < end:
        part = await parts.look_up(at)
        if part is None or not part.size:
            return None
        found.append(part)
        at += part.size
        if at > end or len(found) > MAX_PARTS:
            raise ApiError(INVALID_ARGUMENT, message="The parts of this upload do not fit together; please start again")
    return found


@dataclass(frozen=True, slots=True)
class Whole:
    """The file that the parts of an upload make."""

    file: File
    parts: HiddenParts
    found: Sequence[Part]

    async def forget_parts(self) -> None:
        """Remove the parts, once the file is stored: until then the last one can be sent again."""
        with suppress(ApiError):  # what stays is swept later
            await self.parts.remove_these(part.number for part in self.found)


async def joined(parts: HiddenParts, found: Sequence[Part], shelf: Shelf, filename: str) -> Whole:
    """Return the parts as one file. Raises ENTITY_TOO_LARGE and the store's errors."""
    return Whole(await shelf.keep(parts.stream(found), filename), parts, found)
