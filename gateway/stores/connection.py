"""One connection to a store: a request goes out, its answer comes in. Must not know S3, nor of other connections.

The counterpart of `gateway/connection.py`: aiohttp's parser reads heads and frames bodies, its protocol holds back a
store that is too fast; what its client adds for each request (some forty objects, a timer, a queue) is left out.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import EMPTY_PAYLOAD
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.http import RawResponseMessage

    from gateway.stores.patience import Patience

MAX_FIELD_BYTES = 65_536
_MAX_HEADERS = 128
_MAX_HEAD_BYTES = 4 * MAX_FIELD_BYTES
READ_BUFFER_BYTES = 128 * 1024
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class Answer:
    """An answer's head, and its body still to be read; has the names of `aiohttp.ClientResponse`."""

    __slots__ = ("_connection", "content", "raw_headers", "reason", "status")

    def __init__(self, message: RawResponseMessage, content: aiohttp.StreamReader, connection: StoreConnection) -> None:
        self.status, self.reason, self.raw_headers = message.code, message.reason, message.raw_headers
        self.content = content
        self._connection = connection

    @property
    def idle_s(self) -> float | None:
        """How long a silence inside of the body may last (None: any is allowed)."""
        return self._connection.idle_s

    def pause(self) -> bool:
        """Read no more, so that somebody else can read the rest from `socket`, who then calls `taken`.

        False, and nothing has changed, where the bytes on it would not be those of the body.
        """
        return self._connection.hold()

    @property
    def socket(self) -> int:
        """The descriptor of the connection's socket, -1 when that has been closed."""
        return self._connection.descriptor

    def taken(self) -> None:
        """Note that the rest has been read, so that the connection can be used again."""
        self._connection.let_go()
        self.content.feed_eof()

    def close(self) -> None:
        """Cut the connection, unless the answer has come to its end: then others may have it already."""
        if not self.content.is_eof():
            self._connection.cut()


class StoreConnection(BaseProtocol):
    """The protocol of one connection. `free` is called when it can be asked again, `lost` when it has ended.

    `heads` has patience with the beginnings of answers, `bodies` with silences inside of them, for `idle_s` seconds.
    """

    __slots__ = (
        "_awaited",
        "_bodies",
        "_bodiless",
        "_body",
        "_ends",
        "_free",
        "_heads",
        "_held",
        "_kept",
        "_lost",
        "_parser_is_spent",
        "free_since",
        "idle_s",
        "origin",
    )

    def __init__(
        self,
        origin: str,
        heads: Patience,
        bodies: Patience,
        free: Callable[[StoreConnection], None],
        lost: Callable[[StoreConnection], None],
    ) -> None:
        super().__init__(asyncio.get_running_loop())
        self.origin = origin
        self.idle_s = bodies.limit_s
        self.free_since = 0.0  # monotonic seconds; kept up by whoever lends connections out
        self._heads, self._bodies = heads, bodies
        self._free, self._lost = free, lost
        self._awaited: asyncio.Future[Answer] | None = None  # what `ask` waits for
        self._body: aiohttp.StreamReader = EMPTY_PAYLOAD  # of the answer that came last
        self._bodiless = False  # whether that is, or will be, one to HEAD
        self._kept = b""  # of an answer to HEAD, while its head is not complete
        self._held = False  # somebody else reads from the socket
        self._parser_is_spent = False
        self._ends = False  # no other request can follow

    @property
    def is_open(self) -> bool:
        """Tell whether a request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def descriptor(self) -> int:
        """The descriptor of the socket, -1 when that has been closed."""
        return self.transport.get_extra_info("socket").fileno() if self.transport is not None else -1

    async def ask(self, head: bytes, *, bodiless: bool) -> Answer:
        """Send a request; return its answer, unread. `bodiless` says that it is a HEAD.

        Raises aiohttp.ClientError, TimeoutError, after which the connection is of no more use.
        """
        if self.transport is None or self.transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        if self._parser is None or self._parser_is_spent or bodiless:
            self._parser = self._new_parser(with_body=not bodiless)
        self._bodiless = self._parser_is_spent = bodiless
        awaited: asyncio.Future[Answer] = self._loop.create_future()
        self._awaited = awaited
        self.transport.write(head)
        self._heads.begin(self.fail)
        try:
            return await awaited
        except BaseException:
            if awaited.done() and not awaited.cancelled() and awaited.exception() is None:
                awaited.result().close()  # it came, but nobody is left to read it
            else:
                self.cut()
            raise

    def hold(self) -> bool:
        """Read no more of the answer, so that somebody else can; False where its bytes are not those on the socket."""
        if self.transport is None or self.transport.is_closing() or self.transport.get_extra_info("sslcontext"):
            return False
        self.pause_reading()
        self._held = True
        return True

    def let_go(self) -> None:
        """Read again, now that the rest of the answer has been read elsewhere."""
        self._held = False
        self._parser = None  # it still waits for that rest, and will see no other answer

    def end(self) -> None:
        """Close the connection, on which nobody waits for anything."""
        self._ends = True
        if self.transport is not None:
            self.transport.close()

    def cut(self) -> None:
        """Close the connection at once: for whoever reads a body on it that is no end, even of one without a length."""
        self.fail(aiohttp.ClientPayloadError("the connection was cut here"))

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits that nothing more comes, and close the connection."""
        self._ends = True
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            self._heads.end(self.fail)
            if not awaited.done():
                awaited.set_exception(error)
        elif not self._body.is_eof() and self._body.exception() is None:
            self._bodies.end(self.fail)
            self._body.set_exception(error)
        if self.transport is not None:
            self.transport.abort()  # leads to connection_lost

    # What the event loop and the bodies' readers call

    def data_received(self, data: bytes) -> None:
        """Take what has come of an answer. What nobody has asked for ends the connection."""
        if self._awaited is None and self._body.is_eof():
            if data:
                self.end()
        elif self._bodiless:
            self._take_heads(data)
        else:
            self._take(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whoever waits; the end of the connection may be the end of a body, but not of one that has a length."""
        super().connection_lost(exc)
        self._ends = True
        if self._awaited is not None:
            self.fail(
                aiohttp.ClientOSError(*exc.args) if isinstance(exc, OSError) else aiohttp.ServerDisconnectedError()
            )
        elif not self._body.is_eof() and self._body.exception() is None:
            self._bodies.end(self.fail)
            error = exc or self._short_of()
            if error is not None:
                self._body.set_exception(aiohttp.ClientPayloadError(f"a body broke off: {error!r}"))
        self._parser = None
        self._lost(self)

    def pause_reading(self) -> None:
        """Wait for whoever reads the body, who may take his time."""
        super().pause_reading()
        self._bodies.end(self.fail)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 # aiohttp's
        """Read on; most bodies come and are read without ever having been paused.

        Whoever asks for it may be a slow reader of an earlier answer, while somebody else holds the present one.
        """
        if self._reading_paused and not self._held and self.transport is not None:
            super().resume_reading(resume_parser)

    # Its own

    def _new_parser(self, *, with_body: bool) -> HttpResponseParser:
        return HttpResponseParser(
            self,
            self._loop,
            READ_BUFFER_BYTES,
            payload_exception=aiohttp.ClientPayloadError,
            response_with_body=with_body,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=_MAX_HEADERS,
        )

    def _short_of(self) -> BaseException | None:
        """End the body here; return what is wrong with that, if anything is."""
        try:
            if self._parser is not None:
                self._parser.feed_eof()
        except HttpProcessingError as error:
            return error
        return None

    def _take_heads(self, data: bytes) -> None:
        """Take answers to HEAD, and nothing behind them: Ceph RGW sends the last chunk of a body all the same."""
        self._kept += data
        while self._awaited is not None and (end := _HEAD_END.search(self._kept)):
            head, self._kept = self._kept[: end.end()], self._kept[end.end() :]
            self._take(head)
        if self._awaited is None:
            if self._kept:
                self.end()
            self._kept = b""
        elif len(self._kept) > _MAX_HEAD_BYTES:
            self.fail(aiohttp.ClientPayloadError("an endless head"))

    def _take(self, data: bytes) -> None:
        assert self._parser is not None  # noqa: S101 # `ask` has made one
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError:
            self.fail(aiohttp.ClientPayloadError("an unreadable answer"))
            return
        for message, body in messages:
            if 100 <= message.code < 200 and message.code != 101:
                continue  # the answer is still to come
            if self._awaited is None:
                self._ends = True  # an answer that nobody has asked for
                break
            self._answered(message, body)
        self._ends = self._ends or upgraded
        if not self._body.is_eof():
            if not self._reading_paused:
                self._bodies.begin(self.fail)
        elif self._ends and self._awaited is None:
            self.end()

    def _answered(self, message: RawResponseMessage, body: aiohttp.StreamReader) -> None:
        awaited, self._awaited = self._awaited, None
        self._heads.end(self.fail)
        if message.should_close or (self._bodiless and message.chunked):
            self._ends = True
        if message.chunked:
            self._parser_is_spent = True  # it may stay paused: so it is behind 8,192 chunks that nobody has read
        self._body = body
        if awaited is not None and not awaited.done():
            awaited.set_result(Answer(message, body, self))
        else:
            self._ends = True  # whoever asked has gone
        body.on_eof(self._body_ended)

    def _body_ended(self) -> None:
        self._bodies.end(self.fail)
        self._body = EMPTY_PAYLOAD  # what of it nobody has read yet is the reader's to keep
        if self._ends:
            self.end()
        elif self.is_open:
            self._free(self)
