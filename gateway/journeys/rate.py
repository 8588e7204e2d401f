"""A picture's score in the headers of its plain GET or HEAD, for identities that are configured to get it.

The score comes first, by a download of its own, since headers go before the first byte. Nobody else waits for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.dialects.base import Rating, StoreRequest
from gateway.dialects.rights import read_action
from gateway.errors import NOT_AN_IMAGE, ApiError
from gateway.request import parse_query, percent_encode

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gateway.dialects.base import Forward
    from gateway.imaging.pool import ScorerClient
    from gateway.report import QualityReport
    from gateway.request import Headers
    from gateway.stores.upstream import StoreBucket

_SCORE, _MODEL, _ERROR = "x-image-score", "x-image-score-model", "x-image-score-error"
_PART_PARAMETER = "partNumber"


async def rated(
    intent: Forward, store: StoreBucket, scorer: ScorerClient, slot: AbstractContextManager[None]
) -> Forward:
    """Return the intent with a rating of the object that it reads, scored inside the `slot` of the identity's quota.

    Without one for any other request, for a part of an object, and for what is no picture. A picture that cannot be
    scored (too large, damaged, no scorer free) costs the request nothing: `x-image-score-error` holds the code that a
    request for the score alone would have got.
    """
    request = _whole_object(intent)
    return intent if request is None else replace(intent, rating=await _rating(request, store, scorer, slot))


async def _rating(
    request: StoreRequest, store: StoreBucket, scorer: ScorerClient, slot: AbstractContextManager[None]
) -> Rating | None:
    etag = ""
    try:
        with slot:
            async with store.open(request) as answer:
                if answer.status != 200:
                    return None
                etag = answer.header("etag")
                return Rating(etag, _headers(await scorer.score(answer.chunks(), declared_bytes=answer.length)))
    except ApiError as error:
        return None if error.kind is NOT_AN_IMAGE else Rating(etag, ((_ERROR, error.kind.code),))


def _whole_object(intent: Forward) -> StoreRequest | None:
    """Return the request that reads the same object, the same version of it, as a whole; None for any other intent."""
    asked = {parameter.name: parameter.value for parameter in parse_query(intent.store.raw_query)}
    version_id = asked.get("versionId")
    in_part = _PART_PARAMETER in asked or any(name == "range" for name, _ in intent.store.headers)
    if intent.store.method not in ("GET", "HEAD") or in_part or intent.action != read_action(version_id):
        return None
    version = "" if version_id is None else f"versionId={percent_encode(version_id)}"
    return StoreRequest("GET", intent.store.raw_key, version, ())


def _headers(report: QualityReport) -> Headers:
    return ((_SCORE, f"{report.score:.3f}"), (_MODEL, report.model_version))
