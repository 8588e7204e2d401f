"""The journey of an upload that nobody told the length of and that is too long to be kept aside: a multipart upload.

The parts go to the store while the body still comes; the object comes into being only when all of it is proven.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.body.checksums import CONTENT_MD5, PREFIX, SDK_ALGORITHM
from gateway.errors import ENTITY_TOO_LARGE, ApiError
from gateway.request import parse_query
from gateway.stores import uploads
from gateway.stores.spool import pieces
from gateway.stores.uploads import MAX_PARTS, Upload
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.dialects.base import StoreRequest
    from gateway.request import Headers
    from gateway.stores.upstream import StoreBucket

PART_BYTES = 16 * 1024 * 1024  # S3 asks for at least 5 MiB in every part but the last
_ABORT_S = 5.0
_COPY_SOURCE = "x-amz-copy-source"
_OF_THE_BODY = (CONTENT_MD5, PREFIX, SDK_ALGORITHM)  # proven here, and about no single part
_OF_EVERY_CALL = ("x-amz-server-side-encryption-customer-", "x-amz-request-payer", "x-amz-expected-bucket-owner")


@dataclass(frozen=True, slots=True)
class LongBody:
    """The bytes of an object, out of the filter that proves them: it raises at their end unless all is right."""

    chunks: AsyncIterator[bytes]


def fits(request: StoreRequest) -> bool:
    """Tell whether a request stores one object, and nothing else, so that a multipart upload can do the same.

    One with a condition does not fit: many stores take it with a PUT and overlook it with the end of an upload.
    """
    names = frozenset(parameter.name for parameter in parse_query(request.raw_query))
    otherwise = any(name.startswith("if-") or name == _COPY_SOURCE for name, _ in request.headers)
    return request.method == "PUT" and bool(request.raw_key) and names <= {"x-id"} and not otherwise


async def upload(store: StoreBucket, request: StoreRequest, body: LongBody) -> Headers:
    """Send the body as the parts of an upload; return the headers of the answer to the PUT that the client made.

    When anything fails, nothing stays: the upload is aborted, also for a client that went away. Raises
    ENTITY_TOO_LARGE beyond 10,000 parts, the store's own errors, UPSTREAM_BROKEN, and what reading the body raises.
    """
    begun = await _initiate(store, request)
    try:
        etag, kept = await uploads.complete(begun, enumerate(await _send_parts(begun, body), 1))
    except (Exception, asyncio.CancelledError):
        await asyncio.shield(_abort(begun))
        raise
    return (*kept, ("ETag", f'"{etag}"')) if etag else kept


async def _initiate(store: StoreBucket, request: StoreRequest) -> Upload:
    headers = tuple(pair for pair in request.headers if not pair[0].startswith(_OF_THE_BODY))
    upload_id = await uploads.initiate(store, request.raw_key, headers)
    every_call = tuple(pair for pair in headers if pair[0].startswith(_OF_EVERY_CALL))
    return Upload(store, request.raw_key, upload_id, every_call)


async def _send_parts(begun: Upload, body: LongBody) -> list[str]:
    """Return the parts' entity tags, in order. When this returns, the filter has seen the end and proven the body."""
    etags: list[str] = []
    async with aclosing(pieces(body.chunks, PART_BYTES)) as parts:
        async for chunks, length in parts:
            if len(etags) == MAX_PARTS:
                highest = str(MAX_PARTS * PART_BYTES)
                raise ApiError(ENTITY_TOO_LARGE, "too many parts", fields=(("MaxSizeAllowed", highest),))
            etags.append(await uploads.send_part(begun, len(etags) + 1, Body(chunks, length)))
    return etags


async def _abort(begun: Upload) -> None:
    """Ask the store to forget the upload; where it does not, its own rule for incomplete uploads must."""
    with suppress(ApiError, TimeoutError):
        async with asyncio.timeout(_ABORT_S):
            await uploads.abort(begun)
