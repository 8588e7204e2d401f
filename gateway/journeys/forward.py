"""The journey of a request that goes to the store as it is: bytes up, bytes down, nothing held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.auth.base import Chunked, Payload, Sha256, Unsigned
from gateway.body.digest import AsIs, BodyFilter, Sha256Filter
from gateway.dialects.xml import parse_error
from gateway.errors import MISSING_CONTENT_LENGTH, NOT_IMPLEMENTED, ApiError, from_store
from gateway.request import HOP_BY_HOP
from gateway.stores.upstream import UNSIGNED, Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.dialects.base import AnswerContext, Dialect, Forward
    from gateway.request import Headers
    from gateway.stores.upstream import StoreAnswer, StoreBucket
    from gateway.wire import Exchange

_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_ERROR_BYTES = 64 * 1024


async def forward(
    exchange: Exchange,
    intent: Forward,
    payload: Payload,
    store: StoreBucket,
    dialect: Dialect,
    context: AnswerContext,
) -> None:
    """Send the request to the store and its answer to the client, both as streams."""
    body = _request_body(exchange, context.method, payload)
    async with store.open(intent.store, body) as answer:
        if not intent.translated:
            await _relay(exchange, answer, answer.headers)
            return
        if answer.status >= 400:
            raise await store_error(answer)
        await _relay(exchange, answer, dialect.translate_headers(answer.headers, context))


async def store_error(answer: StoreAnswer) -> ApiError:
    """Read the store's own error, so that it can be told in another dialect."""
    return from_store(answer.status, *parse_error(await answer.read(_ERROR_BYTES)))


async def _relay(exchange: Exchange, answer: StoreAnswer, headers: Headers) -> None:
    await exchange.begin(answer.status, answer.reason, end_to_end(headers))
    async for chunk in answer.chunks():
        await exchange.write(chunk)


def end_to_end(headers: Headers) -> Headers:
    """Drop the hop-by-hop headers, those that `Connection` names included."""
    named = {
        token.strip().lower() for name, value in headers if name.lower() == "connection" for token in value.split(",")
    }
    return tuple((name, value) for name, value in headers if name.lower() not in HOP_BY_HOP | named)


def _request_body(exchange: Exchange, method: str, payload: Payload) -> Body | None:
    """Wrap the client's body in the filter that its signature asks for; None for a request without one."""
    body_filter, literal = _filter(payload)
    length = exchange.declared_length
    if length is None and exchange.has_body:
        raise ApiError(MISSING_CONTENT_LENGTH, "chunked body without a declared length")
    if not length:
        last = body_filter.finish()  # nothing to hold back: the proof must come before the store hears of it
        return None if method in _BODILESS else Body(_nothing(last), 0, literal)
    return Body(_filtered(exchange.body(), body_filter), length, literal)


def _filter(payload: Payload) -> tuple[BodyFilter, str]:
    match payload:
        case Sha256(digest):
            return Sha256Filter(digest), digest
        case Unsigned():
            return AsIs(), UNSIGNED
        case Chunked(mode):
            message = f"Bodies signed as {mode} are not supported yet; sign the payload's SHA-256 or UNSIGNED-PAYLOAD."
            raise ApiError(NOT_IMPLEMENTED, message=message)


async def _filtered(chunks: AsyncIterator[bytes], body_filter: BodyFilter) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if ready := body_filter.feed(chunk):
            yield ready
    if last := body_filter.finish():
        yield last


async def _nothing(last: bytes) -> AsyncIterator[bytes]:
    if last:
        yield last
