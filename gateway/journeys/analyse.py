"""The journey of a request for a score: the object streams from the store into a scorer, the report to the client."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from gateway.dialects.base import Rendered, StoredObject, StoreRequest, derived_etag, not_modified
from gateway.imaging.registry import MODEL_VERSION
from gateway.journeys.forward import store_error
from gateway.request import percent_encode

if TYPE_CHECKING:
    from gateway.dialects.base import Analyse, AnalysingDialect, AnswerContext
    from gateway.imaging.pool import ScorerClient
    from gateway.request import RequestHead
    from gateway.stores.upstream import StoreAnswer, StoreBucket


async def analyse(
    head: RequestHead,
    intent: Analyse,
    key: str,
    store: StoreBucket,
    scorer: ScorerClient,
    dialect: AnalysingDialect,
    context: AnswerContext,
) -> Rendered:
    """Score the stored object (the whole of it: Range is ignored) and render the report for the vendor's client."""
    started = perf_counter()
    version = f"versionId={percent_encode(intent.version_id)}" if intent.version_id is not None else ""
    request = StoreRequest("GET", percent_encode(key, safe="/"), version, ())
    async with store.open(request) as answer:
        if answer.status != 200:
            raise await store_error(answer)
        stored = _stored(answer)
        if not_modified(derived_etag(stored, MODEL_VERSION), head.header("if-none-match")):
            return dialect.render_not_modified(stored, MODEL_VERSION, context)
        report = await scorer.score(answer.chunks(), declared_bytes=answer.length)
    elapsed_ms = round((perf_counter() - started) * 1000)
    return dialect.render_report(report, stored, replace(context, elapsed_ms=elapsed_ms))


def _stored(answer: StoreAnswer) -> StoredObject:
    return StoredObject(
        etag=answer.header("etag"),
        last_modified=answer.header("last-modified"),
        storage_class=answer.header("x-amz-storage-class"),
        version_id=answer.header("x-amz-version-id"),
    )
