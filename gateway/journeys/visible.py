"""A listing as clients may see it: without the gateway's own keys, and whole where these would have cut it short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.dialects.hidden import behind, joined, visible
from gateway.errors import UPSTREAM_BROKEN, ApiError
from gateway.stores.documents import refuse_error

if TYPE_CHECKING:
    from gateway.dialects.base import Forward, StoreRequest
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.upstream import StoreBucket

MAX_BYTES = 8 * 1024 * 1024  # 1,000 keys of 1,024 bytes, percent-encoded, with room
_LISTING = frozenset({"s3:ListBucket", "s3:ListBucketVersions"})


def is_listing(intent: Forward) -> bool:
    """Tell whether a request's answer may name the gateway's own keys."""
    return intent.store.method == "GET" and intent.action in _LISTING


async def listing(answer: StoreAnswer, store: StoreBucket, request: StoreRequest) -> bytes:
    """Return the document of a store's answer to a listing, without hidden keys; see `without_hidden`.

    Raises the store's errors, UPSTREAM_BROKEN beyond 8 MiB.
    """
    await refuse_error(answer)
    document = await answer.read(MAX_BYTES + 1)
    if len(document) > MAX_BYTES:
        raise ApiError(UPSTREAM_BROKEN, f"a listing of more than {MAX_BYTES} bytes")
    return await without_hidden(store, request, document)


async def without_hidden(store: StoreBucket, request: StoreRequest, document: bytes) -> bytes:
    """Return what the store answered to a listing of objects (v1 or v2) or of versions, without hidden keys.

    `document` is S3's XML as it came, and comes back to the byte where no hidden key is in it. The store is asked a
    second time where the page ends inside of the hidden keys. Raises the store's errors.
    """
    page = visible(document)
    if not page.more:
        return page.document
    async with store.open(behind(request, page)) as answer:
        await refuse_error(answer)
        return joined(page, await answer.read(MAX_BYTES))
