"""Parts too small for the store's own multipart uploads, as hidden objects. Knows where they are; must not know why.

An upload's folder follows from the object's key and the upload's id alone, so every process finds it, also after a
restart, and nothing else needs to be remembered.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.base import StoreRequest
from gateway.dialects.hidden import HIDDEN
from gateway.dialects.xml import XmlError, XmlLimits, parse, write
from gateway.errors import INVALID_PART, UPSTREAM_BROKEN, ApiError
from gateway.request import percent_decode, percent_encode
from gateway.stores.documents import refuse_error
from gateway.stores.listing import PAGE_KEYS, Listed, list_objects
from gateway.stores.uploads import Part, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.uploads import Upload
    from gateway.stores.upstream import Body, StoreBucket

SWEEP_KEYS = 1000  # looked at in one sweep
_FOLDER_DIGITS = 40
_NUMBER_DIGITS = 5  # so that names sort as numbers do
_ANSWER_LIMITS = XmlLimits(max_bytes=4 * 1024 * 1024)
_NAMESPACE = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
_VERSION_ROUNDS = 100  # pages of versions that are removed from one folder


def folder(key: str, upload_id: str) -> str:
    """Return the prefix of an upload's hidden parts; `key` is the object's, decoded."""
    text = f"{key}\0{upload_id}".encode("utf-8", "surrogateescape")
    return f"{HIDDEN}{hashlib.sha256(text).hexdigest()[:_FOLDER_DIGITS]}/"


@dataclass(frozen=True, slots=True)
class HiddenParts:
    """The hidden parts of one upload."""

    store: StoreBucket
    folder: str

    async def put(self, number: int, body: Body, headers: Headers = ()) -> str:
        """Store a part, in place of an earlier one of this number; return its entity tag. Raises ApiError."""
        async with self.store.open(StoreRequest("PUT", self._key(number), "", headers), body) as answer:
            await refuse_error(answer)
            return answer.header("etag")

    async def any(self) -> bool:
        """Tell whether the upload has a hidden part."""
        async with aclosing(list_objects(self.store, self.folder, page_keys=1)) as listed:
            return await anext(listed, None) is not None

    async def list(self, after: int = 0) -> AsyncGenerator[Part]:
        """Yield the parts with numbers above `after`, ascending."""
        behind = self._key(after) if after else ""
        async with aclosing(list_objects(self.store, self.folder, after=behind)) as listed:
            async for each in listed:
                number = each.key.removeprefix(self.folder)
                if number.isdecimal():
                    yield Part(int(number), each.etag, each.size, each.modified, hidden=True)

    async def look_up(self, number: int) -> Part | None:
        """Ask for one part itself: Swift's listings may lack for a while what has just been stored."""
        async with self.store.open(StoreRequest("HEAD", self._key(number), "", ())) as answer:
            if answer.status != 200 or answer.length is None:
                return None
            return Part(number, _etag(answer), answer.length, hidden=True)

    async def stream(self, parts: Iterable[Part]) -> AsyncIterator[bytes]:
        """Yield the bytes of these parts, one after the other.

        Raises INVALID_PART when one is gone or is no longer the one that was listed, and the store's errors.
        """
        for part in parts:
            async with self.store.open(StoreRequest("GET", self._key(part.number), "", ())) as answer:
                if answer.status == 404:
                    raise ApiError(INVALID_PART, f"hidden part {part.number} is gone")
                await refuse_error(answer)
                if (_etag(answer), answer.length) != (part.etag, part.size):
                    raise ApiError(INVALID_PART, f"hidden part {part.number} has changed")
                async for chunk in answer.chunks():
                    yield chunk

    async def remove_one(self, number: int) -> None:
        """Remove one part. Raises ApiError."""
        await remove(self.store, self._key(number), [self._key(number)])

    async def remove_these(self, numbers: Iterable[int]) -> None:
        """Remove all parts, where these are known to be all. Raises ApiError."""
        await remove(self.store, self.folder, [self._key(number) for number in numbers])

    async def remove(self) -> None:
        """Remove all of them, and in a versioned bucket their versions too. Raises ApiError."""
        async with aclosing(list_objects(self.store, self.folder)) as listed:
            keys = [each.key async for each in listed]
        await remove(self.store, self.folder, keys)

    def _key(self, number: int) -> str:
        return f"{self.folder}{number:0{_NUMBER_DIGITS}}"


def of(upload: Upload) -> HiddenParts:
    """Return the hidden parts of an upload."""
    return HiddenParts(upload.store, folder(percent_decode(upload.raw_key), upload.upload_id))


async def remove(store: StoreBucket, below: str, keys: Sequence[str]) -> None:
    """Remove objects whose keys all begin with `below`: everything that does. Raises ApiError."""
    marked = False
    for start in range(0, len(keys), PAGE_KEYS):
        marked |= await _delete(store, [(key, "") for key in keys[start : start + PAGE_KEYS]])
    if not marked:
        return
    for _ in range(_VERSION_ROUNDS):  # what is removed in a versioned bucket has only got another version
        versions = await _versions(store, below)
        if not versions:
            return
        await _delete(store, versions)


async def _delete(store: StoreBucket, wanted: Sequence[tuple[str, str]]) -> bool:
    """Delete up to 1,000 objects, or versions of them (key, version id); tell whether the bucket keeps versions."""
    rows = [("Object", [("Key", key), *([("VersionId", version)] if version else [])]) for key, version in wanted]
    body = write(("Delete", rows)).replace(b"<Delete>", _NAMESPACE, 1)
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")
    headers = (("content-md5", md5), ("content-type", "application/xml"))
    async with store.open(StoreRequest("POST", "", "delete", headers), whole(body)) as answer:
        document = await _read(answer)
    return b"<DeleteMarker>true</DeleteMarker>" in document


async def _versions(store: StoreBucket, below: str) -> list[tuple[str, str]]:
    async with store.open(StoreRequest("GET", "", f"versions&prefix={percent_encode(below)}", ())) as answer:
        document = await _read(answer)
    try:
        rows = parse(document, _ANSWER_LIMITS).children
    except XmlError as error:
        raise ApiError(UPSTREAM_BROKEN, f"the store's listing of versions is not usable: {error}") from error
    kinds = ("Version", "DeleteMarker")
    return [(row.child_text("Key"), row.child_text("VersionId")) for row in rows if row.name in kinds]


async def expired(store: StoreBucket, before: str, start: str) -> dict[str, list[str]]:
    """Find uploads whose last hidden part is older than `before`: folder to keys.

    `before` is a time as listings write it (UTC, `2026-11-25T22:00:00.000Z`). At most 1,000 parts are looked at, from
    the folder on whose name begins with `start` (hexadecimal) and around: at another `start` each time, all have
    their turn.
    """
    folders: dict[str, list[Listed]] = {}
    found = [each async for each in _around(store, f"{HIDDEN}{start}")]
    for each in found:
        folders.setdefault(each.key[: len(HIDDEN) + _FOLDER_DIGITS + 1], []).append(each)
    if len(found) == SWEEP_KEYS and len(folders) > 1:
        folders.popitem()  # it may have younger parts that were not looked at
    return {
        name: [each.key for each in rows]
        for name, rows in folders.items()
        if all(each.modified and each.modified < before for each in rows)
    }


async def _around(store: StoreBucket, start: str) -> AsyncIterator[Listed]:
    left = SWEEP_KEYS
    for after, until in ((start, ""), ("", start)):
        async with aclosing(list_objects(store, HIDDEN, after=after)) as listed:
            async for each in _first(listed, until):
                if not left:
                    return
                left -= 1
                yield each


async def _first(listed: AsyncIterator[Listed], until: str) -> AsyncIterator[Listed]:
    async for each in listed:
        if until and each.key >= until:
            return
        yield each


def _etag(answer: StoreAnswer) -> str:
    return answer.header("etag").strip('"')


async def _read(answer: StoreAnswer) -> bytes:
    await refuse_error(answer)
    return await answer.read(_ANSWER_LIMITS.max_bytes)
