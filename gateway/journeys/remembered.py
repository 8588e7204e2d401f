"""What is remembered of an object that was processed, as bytes of versioned JSON. Pure; must not know caches."""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.dialects.base import StoredObject
from gateway.errors import (
    IMAGE_DAMAGED,
    IMAGE_FILE_TOO_LARGE,
    IMAGE_SIDE_TOO_LONG,
    IMAGE_TOO_LARGE,
    NOT_AN_IMAGE,
    NOT_IMPLEMENTED,
    ApiError,
)
from gateway.imaging import messages
from gateway.report import AverageColour, ImageInfo, QualityReport

if TYPE_CHECKING:
    from gateway.report import Result

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORM = 1  # changes whenever older values could be misread
# What the bytes alone decide; anything else may go better next time.
_LASTING = (
    NOT_AN_IMAGE,
    IMAGE_DAMAGED,
    IMAGE_TOO_LARGE,
    IMAGE_SIDE_TOO_LONG,
    IMAGE_FILE_TOO_LARGE,
    NOT_IMPLEMENTED,
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the store said of an object (`stored.etag` is the object's own), and what was found in it."""

    stored: StoredObject
    outcome: Result | ApiError

    @property
    def lasts(self) -> bool:
        """Tell whether the same bytes would give the same outcome, and the same bytes can be told from others."""
        is_decided = not isinstance(self.outcome, ApiError) or self.outcome.kind in _LASTING
        return bool(self.stored.etag) and is_decided


def encode(name: str, remembered: Remembered) -> bytes:
    """Return the value that is kept under the name."""
    stored, outcome = remembered.stored._asdict(), messages.to_json(remembered.outcome)
    document = {"form": _FORM, "name": name, "stored": stored, "outcome": outcome}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def decode(name: str, value: bytes) -> Remembered | None:
    """Read `encode`'s value; None for anything that it would not have written under this name."""
    known = _read_before(name, value)
    # An exception keeps the traces of where it was raised: each request has one of its own.
    return _read(name, value) if known and isinstance(known.outcome, ApiError) else known


def _read(name: str, value: bytes) -> Remembered | None:
    try:
        document = json.loads(value)
        if (document["form"], document["name"]) != (_FORM, name):
            return None
        known = Remembered(StoredObject(**document["stored"]), messages.from_json(document["outcome"]))
        return known if _is_told_rightly(known) and encode(name, known) == value else None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _is_told_rightly(known: Remembered) -> bool:
    """Tell whether every value is of its type, and none of what becomes a header would break one."""
    found = known.outcome
    numbers: tuple[object, ...] = ()
    wholes: tuple[object, ...] = ()
    texts: tuple[object, ...] = ()
    match found:
        case QualityReport():
            numbers = (found.score, found.confidence, *found.sub_scores.values(), *found.measures.values())
            wholes = (found.clarity, found.aesthetic, found.content, found.width, found.height, *astuple(found.flags))
            texts = (found.format, found.model_version, *found.reasons)
        case ImageInfo():
            wholes = (found.width, found.height, found.file_bytes or 0, found.frames or 0)
            texts = (found.format, *found.tags.values())
        case AverageColour():
            wholes = (found.red, found.green, found.blue)
        case ApiError():
            texts = (found.detail, found.message)
    return (
        all(isinstance(each, int | float) for each in numbers)
        and all(isinstance(each, int) for each in wholes)
        and all(isinstance(each, str) for each in texts)
        and not any(_CONTROL.search(each) for each in known.stored)
    )


_read_before = lru_cache(maxsize=256)(_read)  # what is asked for again and again; some kilobytes each
