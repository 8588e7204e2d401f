"""The calls of another vendor's client about its multipart upload, whose parts may be small. Must not know any vendor.

`multipart` does the work; here are the documents that S3 would have answered with, for the dialect to rewrite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.body.checksums import CONTENT_MD5, PREFIX
from gateway.dialects.base import MultipartStep, Rendered
from gateway.dialects.xml import Element, XmlLimits, parse
from gateway.errors import ApiError
from gateway.journeys import multipart, part_copy, rewrite
from gateway.request import parse_query
from gateway.stores.uploads import PAGE_PARTS, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from gateway.dialects.base import Forward, MultipartCall, StoreRequest
    from gateway.request import Headers
    from gateway.stores.uploads import Part
    from gateway.stores.upstream import Body, StoreBucket

_STEPS = frozenset(MultipartStep) - {MultipartStep.LIST_UPLOADS}
_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-"


def taken(intent: Forward) -> MultipartCall | None:
    """Return the call that `answered` is for; the list of uploads is the store's own matter."""
    call = _call(intent)
    return call if call and call.step in _STEPS else None


def _call(intent: Forward) -> MultipartCall | None:
    return intent.multipart if intent.uploads and intent.uploads.small_parts else None


async def answered(
    call: MultipartCall,
    intent: Forward,
    request: StoreRequest,
    body: Body | None,
    store: StoreBucket,
    translate: Callable[[Headers], Headers],
    now: datetime,
) -> Rendered | None:
    """Do what the call asks; return the answer in the client's words, into which `translate` puts S3's headers.

    None for a copy of a part that the store is to make itself. Raises the store's errors, and those of `multipart`.
    """
    max_age_s = intent.uploads.max_age_s if intent.uploads else 0.0
    try:
        done = await _done(call, request, body, store, now, max_age_s)
    except ApiError as error:
        raise rewrite.in_the_clients_terms(error, request, call) from None
    if done is None:
        return None
    status, headers, root = done
    if root is None or intent.answer_rewrite is None:
        return Rendered(status, translate(headers), b"")
    return rewrite.rendered(intent.answer_rewrite(root), translate(headers))


async def _done(
    call: MultipartCall, request: StoreRequest, body: Body | None, store: StoreBucket, now: datetime, max_age_s: float
) -> tuple[int, Headers, Element | None] | None:
    """Do what the call asks; return status, headers and document as S3 would have answered, None if it is to."""
    upload = Upload(store, request.raw_key, call.upload_id, _starting(request.headers, (_CUSTOMER_KEY,)))
    match call.step:
        case MultipartStep.INITIATE:
            upload_id = await multipart.initiate(store, request.raw_key, request.headers, now, max_age_s)
            return 200, (), _element("InitiateMultipartUploadResult", ("UploadId", upload_id))
        case MultipartStep.UPLOAD_PART if body is not None:
            # Not an ACL, say: it would publish a part that is kept as an object.
            headers = _starting(request.headers, (CONTENT_MD5, PREFIX))
            return 200, (("ETag", await multipart.put_part(upload, call.part_number, body, headers)),), None
        case MultipartStep.COPY_PART:
            tag = await part_copy.small_part(upload, call.part_number, request.headers)
            told = (("ETag", tag), ("LastModified", now.strftime("%Y-%m-%dT%H:%M:%S.000Z")))
            return (200, (), _element("CopyPartResult", *told)) if tag else None
        case MultipartStep.LIST_PARTS:
            return 200, (), await _parts(upload, request)
        case MultipartStep.COMPLETE if body is not None:
            wanted = list(_wanted(await _whole(body)))
            conditions = _starting(request.headers, ("if-",))
            etag, headers = await multipart.complete(upload, wanted, conditions)
            tagged = (("ETag", f'"{etag}"'),) if etag else ()
            return 200, headers, _element("CompleteMultipartUploadResult", *tagged)
        case MultipartStep.ABORT:
            await multipart.abort(upload)
            return 204, (), None
        case _:
            raise AssertionError(call.step)


async def heed_copy(intent: Forward, request: StoreRequest, store: StoreBucket) -> None:
    """Let a part count if it is one that the store has just copied; see `multipart.part_was_copied`."""
    call = _call(intent)
    if call and call.step is MultipartStep.COPY_PART:
        await multipart.part_was_copied(Upload(store, request.raw_key, call.upload_id), call.part_number)


async def _parts(upload: Upload, request: StoreRequest) -> Element:
    asked = {parameter.name: parameter.value for parameter in parse_query(request.raw_query)}
    after = int(asked.get("part-number-marker") or 0)
    most = min(int(asked.get("max-parts") or PAGE_PARTS), PAGE_PARTS)
    page = await multipart.list_parts(upload, after, max(1, most))
    told = (
        ("UploadId", upload.upload_id),
        ("PartNumberMarker", str(after)),
        ("NextPartNumberMarker", str(page.parts[-1].number if page.parts else after)),
        ("MaxParts", str(most)),
        ("IsTruncated", "true" if page.truncated else "false"),
    )
    root = _element("ListPartsResult", *told)
    return Element(root.name, "", (*root.children, *map(_part, page.parts)))


def _part(part: Part) -> Element:
    told = (("ETag", f'"{part.etag}"'), ("Size", str(part.size)))
    dated = (("LastModified", part.modified),) if part.modified else ()
    return _element("Part", ("PartNumber", str(part.number)), *dated, *told)


def _wanted(document: bytes) -> Iterator[tuple[int, str]]:
    """Yield (number, entity tag) of S3's CompleteMultipartUpload, as the dialect has just written it."""
    for row in parse(document, XmlLimits()).children:
        yield int(row.child_text("PartNumber")), row.child_text("ETag")


async def _whole(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.chunks])


def _starting(headers: Headers, prefixes: tuple[str, ...]) -> Headers:
    return tuple(pair for pair in headers if pair[0].startswith(prefixes))


def _element(name: str, *texts: tuple[str, str]) -> Element:
    return Element(name, "", tuple(Element(each, text, ()) for each, text in texts))
