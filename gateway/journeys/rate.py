"""A picture's score in the headers of its plain GET or HEAD, for identities that are configured to get it.

The score comes first, by a request of its own, since headers go before the first byte. Nobody else waits for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gateway.dialects.base import Rating
from gateway.dialects.rights import read_action
from gateway.errors import NOT_AN_IMAGE, ApiError
from gateway.journeys.examine import Question, examine
from gateway.report import QualityReport
from gateway.request import parse_query

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gateway.dialects.base import Forward
    from gateway.imaging.pool import ScorerClient
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
    question = _about_whole_object(intent)
    return intent if question is None else replace(intent, rating=await _rating(question, store, scorer, slot))


async def _rating(
    question: Question, store: StoreBucket, scorer: ScorerClient, slot: AbstractContextManager[None]
) -> Rating | None:
    try:
        with slot:
            examined = await examine(question, store, scorer)
    except ApiError as error:  # the store's own goes to the client anyway, and then no rating is told
        return Rating("", ((_ERROR, error.kind.code),))
    etag, outcome = examined.stored.etag, examined.outcome
    if isinstance(outcome, QualityReport):
        return Rating(etag, _headers(outcome))
    if isinstance(outcome, ApiError) and outcome.kind is not NOT_AN_IMAGE:
        return Rating(etag, ((_ERROR, outcome.kind.code),))
    return None


def _about_whole_object(intent: Forward) -> Question | None:
    """Return the question about the object, the same version of it, that is read whole; None for any other intent."""
    asked = {parameter.name: parameter.value for parameter in parse_query(intent.store.raw_query)}
    version_id = asked.get("versionId")
    in_part = _PART_PARAMETER in asked or any(name == "range" for name, _ in intent.store.headers)
    if intent.store.method not in ("GET", "HEAD") or in_part or intent.action != read_action(version_id):
        return None
    return Question(unquote(intent.store.raw_key, errors="surrogateescape"), version_id)


def _headers(report: QualityReport) -> Headers:
    return ((_SCORE, f"{report.score:.3f}"), (_MODEL, report.model_version))
