"""What is in an object: remembered from the last time, or found out by a processor while the object streams in.

Whatever is remembered counts only when the store says, to this very request, that the object is still the same. So the
store's own rights and its latest write hold for every answer, and all that a repeated question costs is that word.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.dialects.base import StoredObject, StoreRequest, derived_etag, not_modified
from gateway.errors import UPSTREAM_BROKEN, ApiError
from gateway.imaging.registry import processor
from gateway.imaging.small import is_whole
from gateway.journeys.remembered import Remembered, decode, encode
from gateway.report import QualityReport
from gateway.request import percent_encode
from gateway.stores.documents import store_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from gateway.imaging.pool import ScorerClient
    from gateway.imaging.registry import Processor
    from gateway.report import Result
    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.cache import Lease
    from gateway.stores.upstream import StoreBucket

_TOLD = {
    "last-modified": "last_modified",
    "x-amz-storage-class": "storage_class",
    "x-amz-version-id": "version_id",
}
_FIRST_BYTES = 65_536  # what is asked for where a header is all that is wanted: most fit, with EXIF and its thumbnail


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out about which object; `version_id` None is the current version.

    `held` is the client's If-None-Match: tags of earlier answers. With `small_decides` a small picture is told as such
    and nothing else of it (`imaging.small`).
    """

    key: str
    version_id: str | None = None
    processor: str = "score"
    small_decides: bool = False
    held: str | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """What the store said of the object (`stored.etag` is the object's own), with what was found in it.

    `outcome` is None where the client holds the answer already, an ApiError where the picture cannot be processed.
    """

    stored: StoredObject
    outcome: Result | ApiError | None


async def examine(question: Question, store: StoreBucket, scorer: ScorerClient) -> Examined:
    """Answer a question about a stored object. The right to ask it must be certain by then.

    Raises the store's error. Of many that ask the same at once, one downloads and processes; the others wait for it.
    """
    return await _Examination(question, store, scorer, _name(question, store, scorer)).run()


def _name(question: Question, store: StoreBucket, scorer: ScorerClient) -> str:
    """Return the name of the answer: of everything that it depends on, but the object's bytes."""
    place = (*store.upstream.name, store.signed, store.name, question.key, question.version_id)
    return _digest((*place, processor(question.processor).variant, scorer.fingerprint))


@lru_cache(maxsize=1024)
def _digest(told: tuple[object, ...]) -> str:
    return hashlib.sha256(json.dumps(told).encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Examination:
    question: Question
    store: StoreBucket
    scorer: ScorerClient
    name: str

    async def run(self) -> Examined:
        results = self.store.upstream.results
        old = results.near(self.name)
        if known := self._read(old):
            async with self._opened(known) as answer:
                if answered := await self._answered(answer, known):
                    return answered
                # The object has changed, and its new bytes are coming; somebody may have had them before.
                async with results.lease(self.name) as lease:
                    if lease is not None:
                        newer = self._read(await results.get(self.name, unlike=old))
                        return await self._answered(answer, newer) or await self._process(answer, lease)
        elif found := await self._find_out():
            return found
        # Somebody else has just found it out; what serves only another question has to be found out again.
        while (value := await results.get(self.name)) is not None and self._read(value) is None:
            if found := await self._find_out():
                return found
        return await self._ask(self._read(value), None)

    async def _find_out(self) -> Examined | None:
        """Answer for all who ask the same; None when somebody else has just done so."""
        results = self.store.upstream.results
        async with results.lease(self.name) as lease:
            return None if lease is None else await self._ask(self._read(await results.get(self.name)), lease)

    async def _ask(self, known: Remembered | None, lease: Lease | None) -> Examined:
        async with self._opened(known) as answer:
            answered = await self._answered(answer, known)
            if answered is None:
                return await self._process(answer, lease)
            if lease is not None and known is None:
                lease.abandoned = True  # this client holds the answer, and nobody has learnt it
            return answered

    def _read(self, value: bytes | None) -> Remembered | None:
        known = None if value is None else decode(self.name, value)
        if known and isinstance(known.outcome, QualityReport) and not is_whole(known.outcome):
            return known if self.question.small_decides else None
        return known

    # --- the store's word ---

    def _opened(self, known: Remembered | None) -> AbstractAsyncContextManager[StoreAnswer]:
        """Ask for the object unless it is the known one, or the one whose answer the client holds."""
        tag = known.stored.etag if known else self._held_tag()
        condition = (("if-none-match", tag),) if tag else ()
        return self._first_bytes(condition) if self._row.header_only else self.store.open(self._request(*condition))

    @asynccontextmanager
    async def _first_bytes(self, condition: Headers) -> AsyncIterator[StoreAnswer]:
        span = ("range", f"bytes=0-{_FIRST_BYTES - 1}")
        async with self.store.open(self._request(*condition, span)) as answer:
            if answer.status != 416:
                yield answer
                return
        async with self.store.open(self._request(*condition)) as answer:  # an empty object has no first bytes
            yield answer

    def _request(self, *headers: tuple[str, str]) -> StoreRequest:
        version_id = self.question.version_id
        version = f"versionId={percent_encode(version_id)}" if version_id is not None else ""
        return StoreRequest("GET", percent_encode(self.question.key, safe="/"), version, headers)

    def _held_tag(self) -> str:
        """Return the object's tag inside the first of the client's that is one of ours; stores may compare but one."""
        ending = f'-{self._row.variant}"'
        held = (tag.strip().removeprefix("W/") for tag in (self.question.held or "").split(","))
        return next((f'{tag.removesuffix(ending)}"' for tag in held if tag.endswith(ending) and tag[0] == '"'), "")

    async def _answered(self, answer: StoreAnswer, known: Remembered | None) -> Examined | None:
        """Return what can be said without the object's bytes. Raises the store's error."""
        if answer.status not in (200, 206, 304):
            raise await store_error(answer)
        if known is not None and (answer.status == 304 or answer.header("etag") == known.stored.etag):
            self._count("hit")
            is_held = not isinstance(known.outcome, ApiError) and self._is_held(known.stored.etag)
            return Examined(_told_anew(known.stored, answer), None if is_held else known.outcome)
        stored = _stored(answer)
        if answer.status == 304:
            stored = stored._replace(etag=stored.etag or self._held_tag())
        if answer.status == 304 or self._is_held(stored.etag):
            self._count("hit")
            return Examined(stored, None)
        return None

    def _is_held(self, etag: str) -> bool:
        held = self.question.held
        return held is not None and not_modified(derived_etag(etag, self._row.variant), held)

    # --- the object's bytes ---

    async def _process(self, answer: StoreAnswer, lease: Lease | None) -> Examined:
        asked, results = self.question, self.store.upstream.results
        outcome: Result | ApiError
        try:
            async with aclosing(self._chunks(answer)) as chunks:
                outcome = await self.scorer.process(
                    asked.processor,
                    chunks,
                    declared_bytes=_whole_length(answer),
                    small_decides=asked.small_decides,
                    rest=answer if answer.status == 200 else None,
                )
        except ApiError as error:
            outcome = error
        self._count("computed")
        found = Remembered(_stored(answer), outcome)
        if found.lasts:
            await results.put(self.name, encode(self.name, found), brief=isinstance(outcome, ApiError))
        elif lease is not None and isinstance(outcome, ApiError):
            lease.failure = outcome
        return Examined(found.stored, outcome)

    async def _chunks(self, answer: StoreAnswer) -> AsyncGenerator[bytes]:
        """Yield the whole object; what is behind the first bytes is asked for when it is needed."""
        count = 0
        async for chunk in answer.chunks():
            count += len(chunk)
            yield chunk
        length = _whole_length(answer)
        if answer.status != 206 or (length is not None and count >= length):
            return
        rest = self._request(("if-match", answer.header("etag")), ("range", f"bytes={count}-"))
        async with self.store.open(rest) as more:
            if more.status != 206:
                raise ApiError(UPSTREAM_BROKEN, f"the store answered {more.status} to the second range")
            async for chunk in more.chunks():
                yield chunk

    @property
    def _row(self) -> Processor:
        return processor(self.question.processor)

    def _count(self, event: str) -> None:
        self.store.upstream.results.count(event)


def _stored(answer: StoreAnswer) -> StoredObject:
    return StoredObject(
        etag=answer.header("etag"),
        last_modified=answer.header("last-modified"),
        storage_class=answer.header("x-amz-storage-class"),
        version_id=answer.header("x-amz-version-id"),
    )


def _told_anew(stored: StoredObject, answer: StoreAnswer) -> StoredObject:
    """Return what is told of an object that is still the same; the same bytes may have been written again."""
    changed: dict[str, str] = {}
    for name, value in answer.headers:  # once through: every known score comes this way
        field = _TOLD.get(name.lower())
        if field and value and value != getattr(stored, field):
            changed.setdefault(field, value)
    return stored._replace(**changed) if changed else stored


def _whole_length(answer: StoreAnswer) -> int | None:
    """Return the object's length in bytes, as far as the store has said it."""
    if answer.status != 206:
        return answer.length
    whole = answer.header("content-range").rpartition("/")[2]
    return int(whole) if whole.isdecimal() else None
