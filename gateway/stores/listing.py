"""The keys below a prefix, page by page. Knows ListObjectsV2's XML; must not know who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from gateway.dialects.base import StoreRequest
from gateway.dialects.xml import XmlError, XmlLimits, parse, parse_error
from gateway.errors import UPSTREAM_BROKEN, ApiError, from_store
from gateway.request import percent_encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.dialects.xml import Element
    from gateway.stores.upstream import StoreBucket

_PAGE_LIMITS = XmlLimits(max_bytes=8 * 1024 * 1024)  # 1,000 keys of 1,024 bytes, percent-encoded, with room


async def list_keys(bucket: StoreBucket, prefix: str) -> AsyncIterator[str]:
    """Yield every key that starts with `prefix`, in the store's order.

    Raises ApiError: the store's own error, or UPSTREAM_BROKEN when what it says is no whole listing.
    """
    token = ""
    while True:
        page = await _page(bucket, prefix, token)
        encoded = page.child_text("EncodingType") == "url"
        for row in page.children:
            if row.name == "Contents":
                yield _key(row, encoded=encoded)
        if page.child_text("IsTruncated") != "true":
            return
        before, token = token, page.child_text("NextContinuationToken")
        if token in ("", before):
            raise ApiError(UPSTREAM_BROKEN, "a truncated listing that does not say how to go on")


def _key(row: Element, *, encoded: bool) -> str:
    """Return the key of a listed object. S3 and MinIO write a blank as `+` (and a plus as `%2B`), Swift as `%20`."""
    text = next((child.text for child in row.children if child.name == "Key"), "")
    return unquote_plus(text, errors="surrogateescape") if encoded else text


async def _page(bucket: StoreBucket, prefix: str, token: str) -> Element:
    # encoding-type=url: a key may hold characters that XML cannot.
    query = f"list-type=2&encoding-type=url&prefix={percent_encode(prefix)}"
    if token:
        query += f"&continuation-token={percent_encode(token)}"
    async with bucket.open(StoreRequest("GET", "", query, ())) as answer:
        body = await answer.read(_PAGE_LIMITS.max_bytes + 1)
        if answer.status != 200:
            raise from_store(answer.status, *parse_error(body))
    try:
        page = parse(body, _PAGE_LIMITS)
    except XmlError as error:
        raise ApiError(UPSTREAM_BROKEN, f"the store's listing is not usable: {error}") from error
    if page.name != "ListBucketResult":
        raise ApiError(UPSTREAM_BROKEN, f"a {page.name} where a listing should be")
    return page
