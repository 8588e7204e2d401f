"""The journey of a request that goes to the store as it is: bytes up, bytes down, nothing held."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.auth.base import Unsigned
from gateway.body.checksums import ALGORITHMS, SDK_ALGORITHM
from gateway.body.filters import BodyPlan, plan
from gateway.dialects.base import Rendered
from gateway.errors import MISSING_CONTENT_LENGTH, ApiError
from gateway.journeys import long_body, rewrite, vendor_upload
from gateway.journeys.batch_delete import checked
from gateway.journeys.long_body import LongBody
from gateway.journeys.visible import is_listing, listing
from gateway.request import HOP_BY_HOP, parse_query, query_without
from gateway.stores.documents import store_error
from gateway.stores.spool import in_time, kept_aside
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from gateway.auth.base import Payload
    from gateway.authorise import MayDelete
    from gateway.body.filters import BodyFilter
    from gateway.dialects.base import AnswerContext, Dialect, Forward, StoreRequest
    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.upstream import StoreBucket
    from gateway.wire import Exchange

_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_OF_UPLOADS = frozenset({"x-id", "partNumber", "uploadId"})
_IDLE_S = 60.0  # longest silence of a client whose body has no declared length


async def forward(
    exchange: Exchange,
    intent: Forward,
    payload: Payload,
    store: StoreBucket,
    dialect: Dialect,
    context: AnswerContext,
    may_delete: MayDelete | None = None,
) -> None:
    """Send the request to the store and its answer to the client, both as streams.

    With `may_delete` the request is a batch delete, and its keys are judged before the store hears of it.
    """
    planned = _plan(exchange, intent.store, payload)
    request = intent.store
    if planned is not None:
        request = replace(_without_hoisted_checksum(request), headers=planned.headers)
    lists = is_listing(intent)
    if lists:  # hidden keys could not be found in what is compressed
        request = replace(request, headers=tuple(pair for pair in request.headers if pair[0] != "accept-encoding"))

    def translate(headers: Headers) -> Headers:
        return dialect.translate_headers(headers, context) if intent.translated else headers

    async with _request_body(exchange, request, planned) as body:
        if isinstance(body, LongBody):
            headers = await long_body.upload(store, request, body)
            await exchange.send(Rendered(200, answer_headers(translate(headers)), b""))
            return
        written = body
        if intent.request_rewrite:
            request, written = await rewrite.request_document(request, body, intent.request_rewrite)
        if intent.translated:
            request = await rewrite.without_overwriting(request, store, intent.multipart)
        call = vendor_upload.taken(intent) if intent.multipart else None
        if call and (
            done := await vendor_upload.answered(call, intent, request, written, store, translate, context.now)
        ):
            await exchange.send(replace(done, headers=answer_headers(done.headers)))
            return
        judged = written if may_delete is None else await checked(written, may_delete)
        async with store.open(request, judged) as answer:
            if intent.translated:
                await _translate(exchange, answer, intent, request, store, translate)
            elif lists and answer.status == 200:
                document = await listing(answer, store, request)
                kept = tuple(pair for pair in answer.headers if pair[0].lower() != "content-length")
                await exchange.send(Rendered(200, answer_headers(kept), document))
            else:
                rated = (*answer.headers, *_rating(intent, answer)) if intent.rating else answer.headers
                await relay(exchange, answer, rated)


async def _translate(
    exchange: Exchange,
    answer: StoreAnswer,
    intent: Forward,
    request: StoreRequest,
    store: StoreBucket,
    translate: Callable[[Headers], Headers],
) -> None:
    if answer.status >= 400:
        raise rewrite.in_the_clients_terms(await store_error(answer), request, intent.multipart)
    if intent.answer_rewrite and answer.status == 200:
        told = await rewrite.answer_document(
            answer, request, store, intent.answer_rewrite, translate, lists=is_listing(intent)
        )
        await vendor_upload.heed_copy(intent, request, store)
        await exchange.send(replace(told, headers=answer_headers(told.headers)))
        return
    # Tencent's Python SDK takes no 304 without a length. Swift sends this one, Ceph RGW none.
    empty = (("Content-Length", "0"),) if answer.status == 304 and not answer.header("content-length") else ()
    await relay(exchange, answer, (*translate(answer.headers), *empty, *_rating(intent, answer)))


def _rating(intent: Forward, answer: StoreAnswer) -> Headers:
    return intent.rating.told(answer.status, answer.header("etag")) if intent.rating else ()


async def relay(exchange: Exchange, answer: StoreAnswer, headers: Headers) -> None:
    """Pass the store's answer on under these headers, its body as a stream."""
    first = answer.at_hand()
    rest = answer.claim_rest() if exchange.is_bare else 0
    await exchange.begin(answer.status, answer.reason, answer_headers(headers), held=bool(first))
    if first:
        await exchange.write(first)
    if rest:
        await exchange.pour(partial(answer.pour, rest))
    elif not answer.has_ended:
        async for chunk in answer.chunks():
            await exchange.write(chunk)


def answer_headers(headers: Headers) -> Headers:
    """Drop the hop-by-hop headers, those that `Connection` names included."""
    names = [name.lower() for name, _ in headers]
    dropped = HOP_BY_HOP.intersection(names)
    if not dropped:
        return headers
    for name, (_, value) in zip(names, headers, strict=True):
        if name == "connection":
            dropped |= {token.strip().lower() for token in value.split(",")}
    return tuple([pair for name, pair in zip(names, headers, strict=True) if name not in dropped])


def _plan(exchange: Exchange, request: StoreRequest, payload: Payload) -> BodyPlan | None:
    """Say how the request's body is proven; None where there is none, and nothing was promised about it."""
    if not exchange.has_body and request.method in _BODILESS:
        if isinstance(payload, Unsigned):
            return None
        return replace(plan(payload, (), 0), headers=request.headers)  # its headers are not about a body
    completes_multipart = request.method == "POST" and "uploadId" in _parameter_names(request)
    return plan(payload, request.headers, exchange.declared_length, of_object=completes_multipart)


def _request_body(
    exchange: Exchange, request: StoreRequest, planned: BodyPlan | None
) -> AbstractAsyncContextManager[Body | LongBody | None]:
    return nullcontext() if planned is None else _proven_body(exchange, request, planned)


@asynccontextmanager
async def _proven_body(
    exchange: Exchange, request: StoreRequest, planned: BodyPlan
) -> AsyncIterator[Body | LongBody | None]:
    """Wrap the client's body in its filter; None for a request without one.

    Stores want to know a length beforehand: a body that comes without one is kept aside until it has ended, and an
    object too long for that is a LongBody. Raises MISSING_CONTENT_LENGTH for any other body of that kind.
    """
    chunks = filtered(exchange.body() if exchange.has_body else _nothing(), planned.body_filter)
    if planned.length:
        yield Body(chunks, planned.length, planned.payload)
    elif planned.length is None and exchange.has_body:
        async with kept_aside(in_time(chunks, _IDLE_S), exchange.spool_bytes) as kept:
            if kept.length is not None:
                yield Body(kept.chunks, kept.length, planned.payload)
            elif long_body.fits(request):
                yield LongBody(kept.chunks)
            else:
                message = f"This body may have at most {exchange.spool_bytes} bytes without a Content-Length here."
                raise ApiError(MISSING_CONTENT_LENGTH, "chunked body beyond the spool", message=message)
    else:
        if exchange.declared_length is None and not exchange.has_body and _stores_bytes(request):
            raise ApiError(MISSING_CONTENT_LENGTH, "neither a length nor chunks")
        async for _ in chunks:  # nothing to hold back: the proof must come before the store hears of it
            pass
        yield None if request.method in _BODILESS else Body(_nothing(), 0, planned.payload)


def _stores_bytes(request: StoreRequest) -> bool:
    """Tell whether a request's body becomes an object or a part of one, so that S3 insists on its length."""
    copies = any(name == "x-amz-copy-source" for name, _ in request.headers)
    names = _parameter_names(request)
    return request.method == "PUT" and bool(request.raw_key) and not copies and names <= _OF_UPLOADS


def _without_hoisted_checksum(request: StoreRequest) -> StoreRequest:
    """Leave out the checksum in a presigned upload's query: it is that of the empty body the signer had.

    AWS SDK for JavaScript v3 puts it there when it signs a PutObject without a body; a store that checked the real
    body against it would refuse every upload.
    """
    hoisted = frozenset({SDK_ALGORITHM, *ALGORITHMS})
    if request.method in _BODILESS or not hoisted & _parameter_names(request):
        return request
    return replace(request, raw_query=query_without(parse_query(request.raw_query), hoisted))


def _parameter_names(request: StoreRequest) -> frozenset[str]:
    return frozenset(parameter.name for parameter in parse_query(request.raw_query))


async def filtered(chunks: AsyncIterator[bytes], body_filter: BodyFilter) -> AsyncIterator[bytes]:
    """Yield what a body's filter lets through. Raises what proving the body raises."""
    async for chunk in chunks:
        if ready := body_filter.feed(chunk):
            yield ready
    if last := body_filter.finish():
        yield last


async def _nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece
