"""The store's own multipart uploads: one function a call of S3's. Must not know who asks, nor whose parts those are."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.dialects.base import StoreRequest
from gateway.dialects.xml import Element, XmlLimits, write
from gateway.errors import NO_SUCH_KEY, NO_SUCH_UPLOAD, UPSTREAM_BROKEN, ApiError
from gateway.request import percent_decode, percent_encode
from gateway.stores.documents import document, refuse_error, stored_etag
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.upstream import StoreBucket

MAX_PARTS = 10_000  # S3's own limit, of parts and of their numbers
MIN_PART_BYTES = 5 * 1024 * 1024  # what S3 asks for in every part but the last
PAGE_PARTS = 1000
_PAGE_LIMITS = XmlLimits(max_bytes=1024 * 1024)


@dataclass(frozen=True, slots=True)
class Upload:
    """One multipart upload that has been initiated; `headers` go with each of its calls."""

    store: StoreBucket
    raw_key: str
    upload_id: str
    headers: Headers = ()

    def request(self, method: str, query: str = "") -> StoreRequest:
        """Return a call about this upload; `query` ends in `&` where it is not empty."""
        raw_query = f"{query}uploadId={percent_encode(self.upload_id)}"
        return StoreRequest(method, self.raw_key, raw_query, self.headers)


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has been uploaded: `etag` without quotes, `size` in bytes, `modified` as the store wrote it.

    `hidden` says that it waits beside the store's own upload, and not inside of it.
    """

    number: int
    etag: str
    size: int
    modified: str = ""
    hidden: bool = False


async def initiate(store: StoreBucket, raw_key: str, headers: Headers) -> str:
    """Begin an upload of an object with these headers; return its id. Raises ApiError."""
    async with store.open(StoreRequest("POST", raw_key, "uploads", headers), whole(b"")) as answer:
        upload_id = (await document(answer)).child_text("UploadId")
    if not upload_id:
        raise ApiError(UPSTREAM_BROKEN, "an upload without an id")
    return upload_id


async def send_part(upload: Upload, number: int, body: Body, headers: Headers = ()) -> str:
    """Upload one part, with `headers` about its bytes; return its entity tag as the store says it. Raises ApiError."""
    request = upload.request("PUT", f"partNumber={number}&")
    async with _asked(upload, replace(request, headers=(*request.headers, *headers)), body) as answer:
        return answer.header("etag")


async def list_parts(upload: Upload, after: int = 0, page_parts: int = PAGE_PARTS) -> AsyncGenerator[Part]:
    """Yield the parts with numbers above `after`, ascending; the store is asked for `page_parts` at a time.

    Raises ApiError: NoSuchUpload and the store's other errors.
    """
    while True:
        query = f"max-parts={page_parts}&part-number-marker={after}&"
        async with _asked(upload, upload.request("GET", query)) as answer:
            page = await document(answer, _PAGE_LIMITS)
        for row in page.children:
            if row.name == "Part":
                yield _part(row)
        if page.child_text("IsTruncated") != "true":
            return
        before, after = after, _number(page, "NextPartNumberMarker")
        if after <= before:
            raise ApiError(UPSTREAM_BROKEN, "a truncated list of parts that does not say how to go on")


async def complete(upload: Upload, parts: Iterable[tuple[int, str]], headers: Headers = ()) -> tuple[str, Headers]:
    """Make the object out of parts (number, entity tag).

    Returns the object's entity tag without quotes (`""` where the store does not tell) and those headers of the answer
    that are not about its document. Raises ApiError.
    """
    rows = [("Part", [("PartNumber", str(number)), ("ETag", etag)]) for number, etag in parts]
    request = upload.request("POST")
    request = replace(request, headers=(*request.headers, *headers, ("content-type", "application/xml")))
    async with _asked(upload, request, whole(write(("CompleteMultipartUpload", rows)))) as answer:
        etag = (await document(answer)).child_text("ETag").strip('"')
        version = answer.header("x-amz-version-id")
        about_the_document = ("content-", "etag", "transfer-encoding")
        kept = tuple(pair for pair in answer.headers if not pair[0].lower().startswith(about_the_document))
    return etag or await stored_etag(upload.store, upload.raw_key, version, upload.headers), kept


async def abort(upload: Upload) -> None:
    """Let the store forget the upload. Raises ApiError: NoSuchUpload and other store's errors."""
    async with _asked(upload, upload.request("DELETE")):
        pass


@asynccontextmanager
async def _asked(upload: Upload, request: StoreRequest, body: Body | None = None) -> AsyncIterator[StoreAnswer]:
    """Send a call about an upload. Raises the store's error, NO_SUCH_UPLOAD where Ceph RGW says NoSuchKey."""
    try:
        async with upload.store.open(request, body) as answer:
            await refuse_error(answer)
            yield answer
    except ApiError as error:
        if error.kind is NO_SUCH_KEY:
            raise ApiError(NO_SUCH_UPLOAD, error.detail) from error
        raise


async def list_uploads(store: StoreBucket) -> AsyncGenerator[tuple[frozenset[str], str]]:
    """Yield (key, id) of the bucket's uploads, in the store's order. Raises ApiError.

    The key comes in every form that it may have: Ceph RGW encodes it when asked to, but does not say so.
    """
    query = first = "uploads&encoding-type=url"
    while True:
        async with store.open(StoreRequest("GET", "", query, ())) as answer:
            page = await document(answer, _PAGE_LIMITS)
        for row in page.children:
            if row.name == "Upload":
                text = _text(row, "Key")
                yield frozenset({text, _decoded(text)}), row.child_text("UploadId")
        if page.child_text("IsTruncated") != "true":
            return
        marker, upload_id = _text(page, "NextKeyMarker"), page.child_text("NextUploadIdMarker")
        marker = _decoded(marker) if page.child_text("EncodingType") == "url" else marker
        before, query = (
            query,
            f"{first}&key-marker={percent_encode(marker)}&upload-id-marker={percent_encode(upload_id)}",
        )
        if query == before:
            raise ApiError(UPSTREAM_BROKEN, "a truncated list of uploads that does not say how to go on")


def _text(element: Element, name: str) -> str:
    return next((child.text for child in element.children if child.name == name), "")


def _decoded(text: str) -> str:
    return percent_decode(text.replace("+", "%20"))  # a blank may be a plus here, as in a listing of objects


def _part(row: Element) -> Part:
    etag = row.child_text("ETag").strip('"')
    return Part(_number(row, "PartNumber"), etag, _number(row, "Size"), row.child_text("LastModified"))


def _number(element: Element, name: str) -> int:
    text = element.child_text(name)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ApiError(UPSTREAM_BROKEN, f"a list of parts whose {name} is no number")
    return int(text)


def whole(data: bytes) -> Body:
    """Return a body of these bytes."""
    return Body(_once(data), len(data))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
