"""The store's XML documents, read whole and with bounds: errors, also late ones, and answers. Must not know vendors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.dialects.base import StoreRequest
from gateway.dialects.xml import ERROR_LIMITS, Element, XmlError, XmlLimits, parse, parse_error
from gateway.errors import UPSTREAM_BROKEN, ApiError, from_store
from gateway.request import percent_encode

if TYPE_CHECKING:
    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.upstream import StoreBucket

# A store sends its status before it knows how a copy or the end of an upload goes: what an error inside of a 200
# would have been.
_LATE_STATUS = {
    "EntityTooSmall": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "NoSuchUpload": 404,
    "PreconditionFailed": 412,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
}


async def store_error(answer: StoreAnswer) -> ApiError:
    """Read the store's own error, so that it can be told in another dialect."""
    return from_store(answer.status, *parse_error(await answer.read(ERROR_LIMITS.max_bytes)), answer.headers)


async def refuse_error(answer: StoreAnswer) -> None:
    """Raise the store's error unless its answer is a 200 or a 204."""
    if answer.status not in (200, 204):
        raise await store_error(answer)


async def document(answer: StoreAnswer, limits: XmlLimits = ERROR_LIMITS) -> Element:
    """Return the document that a store answers with. Raises its error, which may come with a 200; UPSTREAM_BROKEN."""
    await refuse_error(answer)
    return parsed(await answer.read(limits.max_bytes + 1), limits, answer.headers)


def parsed(text: bytes, limits: XmlLimits, headers: Headers) -> Element:
    """Return the document that came with these headers and a 200. Raises the error that it may be; UPSTREAM_BROKEN."""
    try:
        root = parse(text.lstrip(), limits)  # blanks come before it while a store is still at work
    except XmlError as error:
        raise ApiError(UPSTREAM_BROKEN, f"document of the store: {error}") from error
    if root.name == "Error":
        code, message = root.child_text("Code"), root.child_text("Message")
        raise from_store(_LATE_STATUS.get(code, 500), code, message, headers)
    return root


async def stored_etag(store: StoreBucket, raw_key: str, version: str, headers: Headers) -> str:
    """Ask for an object's entity tag, without quotes: Ceph RGW 16 completes an upload without telling it.

    `""` when it cannot be had: the object is there, with or without its tag in our answer.
    """
    query = f"versionId={percent_encode(version)}" if version else ""
    with suppress(ApiError):
        async with store.open(StoreRequest("HEAD", raw_key, query, headers)) as answer:
            return answer.header("etag").strip('"') if answer.status == 200 else ""
    return ""
