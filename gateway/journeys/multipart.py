"""The journey of a multipart upload whose parts may be smaller than S3 allows. Knows no dialect.

The upload is the store's own, under the store's own id: it holds the object's metadata, and its completion is the one
moment at which the object comes into being. Parts that are large enough go straight into it; the others wait beside it
as hidden objects and are merged when the upload is completed. ADR 10.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import INVALID_PART, NO_SUCH_UPLOAD, ApiError
from gateway.journeys.part_plan import Piece, check_list, check_number, combined_etag, pieces_of, same_etag
from gateway.request import percent_encode
from gateway.stores import parts as hidden
from gateway.stores import uploads
from gateway.stores.documents import stored_etag
from gateway.stores.uploads import MIN_PART_BYTES, Part, Upload
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence
    from datetime import datetime

    from gateway.request import Headers
    from gateway.stores.parts import HiddenParts
    from gateway.stores.upstream import StoreBucket

_Item = TypeVar("_Item")
_One = TypeVar("_One")
_Other = TypeVar("_Other")
_AT_ONCE = 4  # pieces that are merged at the same time
_LOOK_UPS = 100  # parts that a listing lacks and that are asked for one by one
_TIDY_S = 20.0  # longest that a client waits for the removal of its own upload's parts
_SWEEP_S = 5.0  # and of others'
_UPLOADS_SEEN = 10_000  # of a bucket, in one sweep
_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-"


@dataclass(frozen=True, slots=True)
class PartPage:
    """Some of an upload's parts, ascending by number, and whether more follow."""

    parts: tuple[Part, ...]
    truncated: bool


async def initiate(store: StoreBucket, raw_key: str, headers: Headers, now: datetime, max_age_s: float) -> str:
    """Begin an upload of an object with these headers (S3's); return the store's id of it.

    Meanwhile the hidden parts of uploads that nobody completed are removed (`sweep`), unless `max_age_s` is 0. Raises
    the store's errors.
    """
    upload_id, _ = await _both(uploads.initiate(store, raw_key, headers), swept(store, now, max_age_s))
    return upload_id


async def put_part(upload: Upload, number: int, body: Body, headers: Headers = ()) -> str:
    """Take one part, in place of an earlier one of its number; return its entity tag, as the store says it.

    `body` proves itself: whatever it raises, no part comes into being. `headers` are about its bytes (Content-MD5) or
    hold a customer's key. Raises INVALID_ARGUMENT for a number that is not in 1 to 10,000, NO_SUCH_UPLOAD and other
    errors of the store.
    """
    check_number(number)
    beside = hidden.of(upload)
    # What a customer's key has encrypted could not be read again when the upload is completed.
    with_key = any(name.startswith(_CUSTOMER_KEY) for name, _ in (*upload.headers, *headers))
    if with_key or (body.length >= MIN_PART_BYTES and not await beside.any()):
        return await uploads.send_part(upload, number, body, headers)
    await _check_exists(upload)
    return await beside.put(number, body, headers)


async def part_was_copied(upload: Upload, number: int) -> None:
    """Let a part count that the store itself has just copied into its upload (UploadPartCopy), whatever its size.

    An earlier part of this number that is hidden would hide it. Raises the store's errors.
    """
    beside = hidden.of(upload)
    if await beside.look_up(number):
        await beside.remove_one(number)


async def list_parts(upload: Upload, after: int, max_parts: int) -> PartPage:
    """Return the first `max_parts` parts with numbers above `after`. Raises NO_SUCH_UPLOAD, other store's errors."""
    known = await _known_parts(upload, after, max_parts + 1)
    return PartPage(tuple(known[:max_parts]), len(known) > max_parts)


async def complete(upload: Upload, wanted: Sequence[tuple[int, str]], headers: Headers = ()) -> tuple[str, Headers]:
    """Make the object out of these parts (number, entity tag); `headers` go with the store's own completion.

    Returns the object's entity tag, without quotes, as the store will tell it from now on, and further headers of
    its answer. Until the store has completed the upload nothing has happened to the object, and the upload stays as it
    was. Raises INVALID_PART, INVALID_PART_ORDER, INVALID_ARGUMENT, INVALID_REQUEST, ENTITY_TOO_SMALL (small parts
    between large ones), NO_SUCH_UPLOAD and other errors of the store.
    """
    check_list(wanted)
    beside = hidden.of(upload)
    chosen = await _chosen(upload, beside, wanted)
    try:
        sent = await _send(upload, beside, pieces_of(chosen))
    except ApiError as error:
        if error.kind is INVALID_PART:  # a part vanished: perhaps because somebody else completed or aborted
            await _check_exists(upload)
        raise
    answer = await _completed(upload, sent, headers)
    await _tidied_up(beside)
    return answer


async def abort(upload: Upload) -> None:
    """Forget an upload and its parts. Raises NO_SUCH_UPLOAD and other errors of the store."""
    try:
        await uploads.abort(upload)
    finally:
        await _tidied_up(hidden.of(upload))


async def sweep(store: StoreBucket, now: datetime, max_age_s: float) -> None:
    """Remove hidden parts of uploads into which none has come for `max_age_s` seconds, and abort these uploads.

    Looks at 1,000 parts at most, at another place each time. Raises the store's errors.
    """
    before = (now - timedelta(seconds=max_age_s)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    expired = await hidden.expired(store, before, secrets.token_hex(2))
    if not expired:
        return
    async with aclosing(uploads.list_uploads(store)) as listed:
        known = [each async for each in _first(listed, _UPLOADS_SEEN)]
    for key, upload_id in ((key, upload_id) for keys, upload_id in known for key in keys):
        if hidden.folder(key, upload_id) in expired:  # else it is somebody's who needs no hidden parts
            with suppress(ApiError):  # gone already, or the store will not: the parts are too old all the same
                await uploads.abort(Upload(store, percent_encode(key, safe="/"), upload_id))
    for folder, keys in expired.items():
        await hidden.remove(store, folder, keys)


async def _check_exists(upload: Upload) -> None:
    """Raise NO_SUCH_UPLOAD unless the store knows the upload."""
    async with aclosing(uploads.list_parts(upload, page_parts=1)) as listed:
        await anext(listed, None)


async def _known_parts(upload: Upload, after: int, count: int) -> list[Part]:
    """Return at least the first `count` parts behind `after`; a hidden part hides the store's one of its number.

    A part is put into the store's upload only while none is hidden, so the hidden one is the later one (or a merged
    one that a failed completion has left in its place).
    """
    own, beside = uploads.list_parts(upload, after, min(count, uploads.PAGE_PARTS)), hidden.of(upload).list(after)
    async with aclosing(own), aclosing(beside):
        own_parts, hidden_parts = await _both(_collected(own, count), _collected(beside, count))
    known = {part.number: part for part in (*own_parts, *hidden_parts)}
    return [known[number] for number in sorted(known)]


async def _both(one: Awaitable[_One], other: Awaitable[_Other]) -> tuple[_One, _Other]:
    """Wait for both, also where one fails: what it leaves running would meet closed doors later."""
    done = await asyncio.gather(one, other, return_exceptions=True)
    if failures := [result for result in done if isinstance(result, BaseException)]:
        raise failures[0]
    return done[0], done[1]  # type: ignore[return-value] # no failure is among them


async def _collected(listed: AsyncIterator[Part], count: int) -> list[Part]:
    return [part async for part in _first(listed, count)]


async def _first(items: AsyncIterator[_Item], count: int) -> AsyncIterator[_Item]:
    async for item in items:
        yield item
        count -= 1
        if count <= 0:
            return


async def _chosen(upload: Upload, beside: HiddenParts, wanted: Sequence[tuple[int, str]]) -> list[Part]:
    """Return the parts that the client names. Raises INVALID_PART unless each is there, with this entity tag.

    Swift forgets the tag of a part that it copied: the client's one is taken then, and the store judges it.
    """
    tags = dict(wanted)
    known = {
        part.number: part if part.etag else replace(part, etag=tags.get(part.number, "").strip('"'))
        for part in await _known_parts(upload, 0, uploads.MAX_PARTS)
    }
    lacking = [number for number, etag in wanted if number not in known or not same_etag(known[number].etag, etag)]
    if len(lacking) <= _LOOK_UPS:
        for number in lacking:
            if part := await beside.look_up(number):
                known[number] = part
    for number, etag in wanted:
        if number not in known or not same_etag(known[number].etag, etag):
            raise ApiError(INVALID_PART, f"part {number}", fields=(("PartNumber", str(number)), ("ETag", etag)))
    return [known[number] for number, _ in wanted]


async def _send(upload: Upload, beside: HiddenParts, pieces: Sequence[Piece]) -> list[tuple[int, str]]:
    """Bring every piece into the store's upload, several at a time; return (number, entity tag) of each, in order."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def sent(piece: Piece) -> tuple[int, str]:
        if not piece.parts[0].hidden:
            return piece.number, f'"{piece.parts[0].etag}"'
        async with turns:
            body = Body(beside.stream(piece.parts), piece.length)
            return piece.number, await uploads.send_part(upload, piece.number, body)

    tasks = [asyncio.ensure_future(sent(piece)) for piece in pieces]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _completed(upload: Upload, sent: Sequence[tuple[int, str]], headers: Headers) -> tuple[str, Headers]:
    """Complete the upload at the store; where somebody else has just done the same with it, that counts too."""
    try:
        return await uploads.complete(upload, sent, headers)
    except ApiError as error:
        if error.kind is not NO_SUCH_UPLOAD:
            raise
        etag = await stored_etag(upload.store, upload.raw_key, "", upload.headers)
        if not etag or etag != combined_etag([etag for _, etag in sent]):
            raise
        return etag, ()


async def _tidied_up(beside: HiddenParts) -> None:
    """Remove hidden parts that are of no use any more; what is left after an error is for a sweep."""
    with suppress(ApiError, TimeoutError):
        async with asyncio.timeout(_TIDY_S):
            await beside.remove()


async def swept(store: StoreBucket, now: datetime, max_age_s: float) -> None:
    """Sweep, for a few seconds and whatever comes of it; not at all where `max_age_s` is 0."""
    if not max_age_s:
        return
    with suppress(ApiError, TimeoutError):  # nobody's upload fails because of somebody else's remains
        async with asyncio.timeout(_SWEEP_S):
            await sweep(store, now, max_age_s)
