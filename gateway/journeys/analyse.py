"""The journey of a request for a score or its like: the object streams from the store into a processor."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from gateway.dialects.base import Rendered, StoredObject, StoreRequest, derived_etag, not_modified
from gateway.imaging.registry import processor
from gateway.request import percent_encode
from gateway.stores.documents import store_error

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
    """Process the stored object (the whole of it: Range is ignored) and render the result for the vendor's client.

    Leaving the download early closes it: a processor of headers alone costs their bytes and no more.
    """
    started = perf_counter()
    version = f"versionId={percent_encode(intent.version_id)}" if intent.version_id is not None else ""
    request = StoreRequest("GET", percent_encode(key, safe="/"), version, ())
    async with store.open(request) as answer:
        if answer.status != 200:
            raise await store_error(answer)
        stored = _stored(answer, processor(intent.processor).variant)
        if intent.save_to is None and not_modified(stored.etag, head.header("if-none-match")):
            return dialect.render_not_modified(stored, context)
        result = await scorer.process(intent.processor, answer.chunks(), declared_bytes=answer.length)
    elapsed_ms = round((perf_counter() - started) * 1000)
    return dialect.render_result(result, stored, replace(context, elapsed_ms=elapsed_ms))


def _stored(answer: StoreAnswer, variant: str) -> StoredObject:
    return StoredObject(
        etag=derived_etag(answer.header("etag"), variant),
        last_modified=answer.header("last-modified"),
        storage_class=answer.header("x-amz-storage-class"),
        version_id=answer.header("x-amz-version-id"),
    )
