"""A part that is copied out of a stored object, where the store would find it too small. Knows no dialect. ADR 10."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.dialects.base import StoreRequest
from gateway.journeys import multipart
from gateway.request import copy_source, percent_encode
from gateway.stores.documents import refuse_error
from gateway.stores.uploads import MIN_PART_BYTES
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from gateway.request import Headers
    from gateway.stores.uploads import Upload

_PREFIX = "x-amz-copy-source-"
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")
_CUSTOMER_KEY = "server-side-encryption-customer-"


async def small_part(upload: Upload, number: int, headers: Headers) -> str:
    """Take the part as a hidden one, read from its source; return its entity tag.

    `headers` are those of the copy (x-amz-copy-source and its range and conditions). `""` for what is large enough
    for the store to copy it itself, and for whatever the store should refuse. Raises the store's errors.
    """
    source = copy_source(headers)
    if source is None or any(_CUSTOMER_KEY in name for name, _ in headers):
        return ""
    query = f"versionId={percent_encode(source.version_id)}" if source.version_id else ""
    conditions = tuple(
        (name.removeprefix(_PREFIX), value) for name, value in headers if name.startswith(f"{_PREFIX}if")
    )
    request = StoreRequest("HEAD", percent_encode(source.ref.key, safe="/"), query, conditions)
    bucket = replace(upload.store, name=source.ref.bucket)
    async with bucket.open(request) as answer:
        wanted = next((value for name, value in headers if name == f"{_PREFIX}range"), "")
        span = _span(wanted, answer.length or 0)
        if answer.status != 200 or span is None or len(span) >= MIN_PART_BYTES:
            return ""
        etag = answer.header("etag")
    of_it = (("if-match", etag), *((("range", f"bytes={span[0]}-{span[-1]}"),) if wanted else ()))
    async with bucket.open(replace(request, method="GET", headers=of_it)) as answer:
        if answer.status != (206 if wanted else 200):  # it may overlook a range, too
            await refuse_error(answer)
            return ""
        return await multipart.put_part(upload, number, Body(answer.chunks(), len(span)))


def _span(text: str, length: int) -> range | None:
    """Return the bytes that a copy's range names, of an object of this length; None for what makes no sense."""
    if not text:
        return range(length)
    found = _RANGE.fullmatch(text)
    if not found:
        return None
    span = range(int(found[1]), int(found[2]) + 1)
    return span if span and span[-1] < length else None
