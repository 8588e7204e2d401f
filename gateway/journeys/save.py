"""x-oss-process beyond the query: a process in a POST's body, a style's name, sys/saveas. Aliyun's alone."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from gateway.body.filters import plan
from gateway.dialects import oss
from gateway.dialects.base import StoreRequest
from gateway.dialects.process import OSS_PROCESS, with_body, with_style
from gateway.errors import INVALID_ARGUMENT, REQUEST_TIMEOUT, ApiError
from gateway.journeys.forward import filtered
from gateway.request import percent_encode
from gateway.stores.documents import store_error
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.auth.base import Payload
    from gateway.dialects.base import AnswerContext, Rendered
    from gateway.request import ObjectRef, RequestHead
    from gateway.stores.upstream import StoreBucket
    from gateway.wire import Exchange

_MAX_BODY_BYTES = 8192
_BODY_S = 30.0  # for a body of a few hundred bytes, drips included


async def spelled_out(
    exchange: Exchange, head: RequestHead, payload: Payload, styles: Mapping[str, str]
) -> RequestHead:
    """Return the head as if the process that is meant had been sent in its query.

    Raises NO_SUCH_STYLE, and what `_asked_in_body` raises.
    """
    if OSS_PROCESS not in head.parameter_names:
        return head
    return with_style(await _asked_in_body(exchange, head, payload), styles)


async def _asked_in_body(exchange: Exchange, head: RequestHead, payload: Payload) -> RequestHead:
    """Return the head as if the process that a POST's body names stood in its query; any other request's as it is.

    Raises INVALID_ARGUMENT for a body of more than 8 KiB, REQUEST_TIMEOUT, INVALID_REQUEST for several processes, and
    what proving the body raises.
    """
    if head.method != "POST" or not exchange.has_body:
        return head
    body_filter = plan(payload, head.headers, exchange.declared_length).body_filter
    try:
        async with asyncio.timeout(_BODY_S):
            return with_body(head, await _whole(filtered(exchange.body(), body_filter)))
    except TimeoutError:
        raise ApiError(REQUEST_TIMEOUT, f"no process within {_BODY_S:g} s") from None


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ApiError(INVALID_ARGUMENT, message=f"The process may have at most {_MAX_BODY_BYTES} bytes.")
    return body


async def save(result: Rendered, place: ObjectRef, store: StoreBucket, context: AnswerContext) -> Rendered:
    """Store a rendered result as an object and say where it is. Raises what the store says against it."""
    content_type = dict(result.headers)["Content-Type"]
    request = StoreRequest("PUT", percent_encode(place.key, safe="/"), "", (("content-type", content_type),))
    body = Body(_once(result.body), len(result.body), hashlib.sha256(result.body).hexdigest())
    async with store.open(request, body) as answer:
        if answer.status != 200:
            raise await store_error(answer)
    return oss.render_saved(place, len(result.body), context)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
