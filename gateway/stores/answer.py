"""The store's answer as a stream: what has come, what comes, what is moved on unseen. Must not know S3."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from gateway.errors import UPSTREAM_BROKEN, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, ApiError
from gateway.splice import SourceEndedError, can_splice, splice
from gateway.stores.connection import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gateway.request import Headers

_WORTH_POURING = 64 * 1024  # bytes; below, reading them costs less than the calls around a splice
# What the metrics call the ways in which a store fails.
FAILURES = {UPSTREAM_UNREACHABLE: "unreachable", UPSTREAM_BROKEN: "broken", UPSTREAM_TIMEOUT: "timeout"}


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The store's answer: head as it came, body still to be read."""

    status: int
    reason: str
    headers: Headers  # names in the store's spelling
    _response: aiohttp.ClientResponse | Answer
    _told: Callable[[str], None] = lambda _: None  # of what fails inside the body

    def header(self, name: str) -> str:
        """Return a header's value by its lower-case name, `""` when absent."""
        return next((value for given, value in self.headers if given.lower() == name), "")

    @property
    def length(self) -> int | None:
        """The declared length of the body in bytes."""
        text = self.header("content-length")
        return int(text) if text.isdigit() else None

    def at_hand(self) -> bytes:
        """Take what of the body has come already, mostly with the head; `b""` when nothing has, or it broke off."""
        content = self._response.content
        return content.read_nowait() if content.exception() is None else b""

    @property
    def has_ended(self) -> bool:
        """Tell whether the whole body has been taken."""
        return self._response.content.at_eof() and self._response.content.exception() is None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises UPSTREAM_BROKEN when it ends early, UPSTREAM_TIMEOUT when it stalls."""
        with self._failures_told():
            async for chunk in self._response.content.iter_any():
                yield chunk

    def claim_rest(self) -> int:
        """Keep the body's rest in the socket for `pour`, when it is long and can be had there; return its bytes or 0.

        All that is `at_hand` must have been taken just now: what comes after it is the rest.
        """
        content = self._response.content
        if not isinstance(self._response, Answer) or content.is_eof() or content.exception() or not can_splice():
            return 0
        left = (self.length or 0) - content.total_bytes
        return left if left >= _WORTH_POURING and self._response.pause() else 0

    async def pour(self, count: int, sink: int, moved: Callable[[int], None]) -> None:
        """Move the claimed rest to a socket, unseen; `moved` is told of each piece.

        Raises what `chunks` raises, and SinkGoneError.
        """
        assert isinstance(self._response, Answer), "claim_rest() comes first"  # noqa: S101 # a caller's mistake
        with self._failures_told():
            await splice(self._response.socket, sink, count, self._response.idle_s, moved)
        self._response.taken()

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self._told(FAILURES[UPSTREAM_TIMEOUT])
            raise ApiError(UPSTREAM_TIMEOUT, "the store stalled inside the body") from error
        except (aiohttp.ClientError, OSError, SourceEndedError) as error:
            self._told(FAILURES[UPSTREAM_BROKEN])
            raise ApiError(UPSTREAM_BROKEN, f"body broke off: {type(error).__name__}") from error

    def close(self) -> None:
        """Cut the connection, unless the body came to its end, and others may use it already."""
        if not self._response.content.at_eof():
            self._response.close()

    async def read(self, limit: int) -> bytes:
        """Return at most `limit` bytes of the body (an error's XML, say)."""
        parts: list[bytes] = []
        async for chunk in self.chunks():
            parts.append(chunk[:limit])
            limit -= len(chunk)
            if limit <= 0:
                break
        return b"".join(parts)
