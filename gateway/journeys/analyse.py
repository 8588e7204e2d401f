"""The journey of a request for a score or its like: what is in the object, told in the words of the vendor."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from gateway.dialects.base import Rendered, derived_etag
from gateway.errors import ApiError
from gateway.imaging.registry import processor
from gateway.journeys.examine import Question, examine

if TYPE_CHECKING:
    from gateway.dialects.base import Analyse, AnalysingDialect, AnswerContext
    from gateway.imaging.pool import ScorerClient
    from gateway.request import RequestHead
    from gateway.stores.upstream import StoreBucket


async def analyse(
    head: RequestHead,
    intent: Analyse,
    key: str,
    store: StoreBucket,
    scorer: ScorerClient,
    dialect: AnalysingDialect,
    context: AnswerContext,
) -> Rendered:
    """Process the stored object (the whole of it: Range is ignored) and render the result for the vendor's client."""
    started = perf_counter()
    held = head.header("if-none-match") if intent.save_to is None else None
    question = Question(key, intent.version_id, intent.processor, intent.small_decides, held)
    examined = await examine(question, store, scorer)
    variant = processor(intent.processor).variant
    stored = examined.stored._replace(etag=derived_etag(examined.stored.etag, variant))
    if examined.outcome is None:
        return dialect.render_not_modified(stored, context)
    if isinstance(examined.outcome, ApiError):
        raise examined.outcome
    elapsed_ms = round((perf_counter() - started) * 1000)
    with scorer.stage("render"):
        return dialect.render_result(examined.outcome, stored, context._replace(elapsed_ms=elapsed_ms))
