"""The journey's turns where a document is not passed on but written anew: requests for the store, answers for clients.

Both are read whole, so both are bounded; everything else still streams.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.dialects.base import MultipartStep, Rendered, StoreRequest
from gateway.dialects.xml import Element, XmlLimits
from gateway.errors import (
    FILE_ALREADY_EXISTS,
    MALFORMED_XML,
    NO_SUCH_BUCKET,
    NO_SUCH_KEY,
    NO_SUCH_UPLOAD,
    PRECONDITION_FAILED,
    ApiError,
)
from gateway.journeys.visible import listing
from gateway.stores.documents import document, parsed, stored_etag
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.dialects.base import MultipartCall, Rewritten
    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.upstream import StoreBucket

# A thousand keys of 1,024 bytes, each byte percent-encoded, twice over; a thousand versions with their owners.
_ANSWER_LIMITS = XmlLimits(max_bytes=8 * 1024 * 1024, max_depth=8, max_elements=50_000)
_REQUEST_BYTES = XmlLimits().max_bytes
_UNCONDITIONAL = ("if-none-match", "*")


async def request_document(
    request: StoreRequest, body: Body | None, rewrite: Callable[[bytes], bytes]
) -> tuple[StoreRequest, Body]:
    """Return the request with the body that the store is to get. Reading the client's body to its end proves it.

    Raises MALFORMED_XML beyond 2 MiB, and what reading and rewriting raise.
    """
    data = bytearray()
    if body is not None:
        async for chunk in body.chunks:
            data += chunk
            if len(data) > _REQUEST_BYTES:
                raise ApiError(MALFORMED_XML, "too long", message=f"The XML exceeds {_REQUEST_BYTES} bytes.")
    written = rewrite(bytes(data))
    about_the_body = (("content-type", "application/xml"), ("content-md5", _md5(written))) if written else ()
    kept = tuple(pair for pair in request.headers if not pair[0].startswith("content-"))
    return replace(request, headers=(*kept, *about_the_body)), Body(_once(written), len(written))


async def without_overwriting(request: StoreRequest, store: StoreBucket, call: MultipartCall | None) -> StoreRequest:
    """Raise FILE_ALREADY_EXISTS where the client forbade overwriting and the store might overlook that.

    Stores honour the condition with a PUT of bytes. With the end of an upload Swift and Ceph RGW overlook it; it goes
    on nevertheless, since somebody else may store the object after this look. With a copy Swift takes it for one on
    the source, and with the rest of an upload it means nothing to S3, so that the request returned comes without it.
    """
    step = call.step if call else None
    copies = any(name == "x-amz-copy-source" for name, _ in request.headers)
    if _UNCONDITIONAL not in request.headers or not (copies or step):
        return request
    if step in (None, MultipartStep.INITIATE, MultipartStep.COMPLETE):
        async with store.open(StoreRequest("HEAD", request.raw_key, "", ())) as answer:
            if answer.status == 200:
                raise ApiError(FILE_ALREADY_EXISTS)
    kept = tuple(pair for pair in request.headers if pair != _UNCONDITIONAL)
    return request if step is MultipartStep.COMPLETE else replace(request, headers=kept)


async def answer_document(
    answer: StoreAnswer,
    request: StoreRequest,
    store: StoreBucket,
    rewrite: Callable[[Element], Rewritten],
    translate: Callable[[Headers], Headers],
    *,
    lists: bool = False,
) -> Rendered:
    """Return the client's answer for the store's document. Raises the store's error, UPSTREAM_BROKEN.

    `translate` renames headers; those about the store's own document are dropped. Where it `lists` objects, the
    gateway's own are left out.
    """
    if lists:
        root = parsed(await listing(answer, store, request), _ANSWER_LIMITS, answer.headers)
    else:
        root = await document(answer, _ANSWER_LIMITS)
    rewritten = rewrite(root)
    if rewritten.etag == "":
        rewritten = rewrite(await _with_etag(root, answer, request, store))
    return rendered(rewritten, translate(answer.headers))


def rendered(rewritten: Rewritten, headers: Headers) -> Rendered:
    """Return the client's answer of a document and the headers, in the client's words, that came with another one."""
    dropped = ("content-", "transfer-encoding", "etag")
    kept = tuple(pair for pair in headers if not pair[0].lower().startswith(dropped))
    tag = (("ETag", rewritten.etag),) if rewritten.etag else ()
    return Rendered(200, (*kept, *tag, ("Content-Type", "application/xml")), rewritten.document)


async def _with_etag(root: Element, answer: StoreAnswer, request: StoreRequest, store: StoreBucket) -> Element:
    found = await stored_etag(store, request.raw_key, answer.header("x-amz-version-id"), ())
    others = (child for child in root.children if child.name != "ETag")
    return replace(root, children=(*others, Element("ETag", f'"{found}"', ()))) if found else root


def in_the_clients_terms(error: ApiError, request: StoreRequest, call: MultipartCall | None) -> ApiError:
    """Return what a store's error means to a client of another vendor, who asked in other terms."""
    if error.kind is NO_SUCH_KEY and call and call.upload_id and call.step is not MultipartStep.COPY_PART:
        return ApiError(NO_SUCH_UPLOAD, error.detail)  # Ceph RGW 16 keeps an upload as an object
    if error.kind is PRECONDITION_FAILED and _UNCONDITIONAL in request.headers and request.method != "GET":
        return ApiError(FILE_ALREADY_EXISTS, error.detail)
    if error.kind is NO_SUCH_KEY and not request.raw_key:  # HEAD says no more than 404
        return ApiError(NO_SUCH_BUCKET, error.detail)
    return error


def _md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
