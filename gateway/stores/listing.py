"""The objects below a prefix, page by page. Knows ListObjectsV2's XML; must not know who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from gateway.dialects.base import StoreRequest
from gateway.dialects.xml import XmlError, XmlLimits, parse, parse_error
from gateway.errors import UPSTREAM_BROKEN, ApiError, from_store
from gateway.request import percent_encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gateway.dialects.xml import Element
    from gateway.stores.upstream import StoreBucket

PAGE_KEYS = 1000  # S3's own limit, and what a store gives unasked
_PAGE_LIMITS = XmlLimits(max_bytes=8 * 1024 * 1024)  # 1,000 keys of 1,024 bytes, percent-encoded, with room


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing: `etag` without quotes, `size` in bytes, `modified` as the store wrote it."""

    key: str
    etag: str
    size: int
    modified: str


async def list_objects(
    bucket: StoreBucket, prefix: str, *, after: str = "", page_keys: int = PAGE_KEYS
) -> AsyncGenerator[Listed]:
    """Yield every object whose key starts with `prefix` and comes behind `after`, in the store's order.

    The store is asked for `page_keys` (1 to 1,000) at a time. Raises ApiError: the store's own error, or
    UPSTREAM_BROKEN when what it says is no whole listing.
    """
    # encoding-type=url: a key may hold characters that XML cannot.
    query = f"list-type=2&encoding-type=url&prefix={percent_encode(prefix)}"
    query += f"&start-after={percent_encode(after)}" if after else ""
    query += f"&max-keys={page_keys}" if page_keys != PAGE_KEYS else ""
    token = ""
    while True:
        page = await _page(bucket, query, token)
        encoded = page.child_text("EncodingType") == "url"
        for row in page.children:
            if row.name == "Contents":
                yield _listed(row, encoded=encoded)
        if page.child_text("IsTruncated") != "true":
            return
        before, token = token, page.child_text("NextContinuationToken")
        if token in ("", before):
            raise ApiError(UPSTREAM_BROKEN, "a truncated listing that does not say how to go on")


def _listed(row: Element, *, encoded: bool) -> Listed:
    size = row.child_text("Size")
    etag = row.child_text("ETag").strip('"')
    return Listed(
        _key(row, encoded=encoded), etag, int(size) if size.isdecimal() else 0, row.child_text("LastModified")
    )


def _key(row: Element, *, encoded: bool) -> str:
    """Return the key of a listed object. S3 and MinIO write a blank as `+` (and a plus as `%2B`), Swift as `%20`."""
    text = next((child.text for child in row.children if child.name == "Key"), "")
    return unquote_plus(text, errors="surrogateescape") if encoded else text


async def _page(bucket: StoreBucket, query: str, token: str) -> Element:
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
