"""One client's connection: requests off it, in their order, one task for each run of them.

aiohttp's parser reads heads and frames bodies, its protocol holds back whoever is too fast; what its server adds (a
request object, a response object, a second task, timers) is left out. Must not know what a request means.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import EMPTY_PAYLOAD
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp import StreamReader
    from aiohttp.http import HttpVersion, RawRequestMessage

_log = logging.getLogger("gateway")
# Long presigned URLs and session tokens exceed aiohttp's 8190 bytes.
_MAX_LINE_BYTES = 65_536
_MAX_HEADERS = 256
_MAX_WAITING = 32  # requests that a client may send ahead; the rest stays with it
_BODY_BUFFER_BYTES = 262_144
_LINGER_S = 3.0  # how long a refused upload is read on, so that its client gets to read the refusal


class BrokenBodyError(Exception):
    """A request's body broke off, or is not framed as HTTP wants it."""


class Incoming:
    """A request as it came; `content` is its body, still to be read.

    `error` says why it could not be read as a request: then there is nothing else to know of it. `stays_open` tells
    whether the connection is of use after the answer; whoever answers may take that back.
    """

    __slots__ = (
        "connection",
        "content",
        "error",
        "headers",
        "method",
        "raw_headers",
        "raw_path",
        "stays_open",
        "version",
    )

    def __init__(self, connection: Connection, message: RawRequestMessage, content: StreamReader) -> None:
        self.connection = connection
        self.content = content
        self.error: HttpProcessingError | None = None
        self.method, self.raw_path, self.version = message.method, message.path, message.version
        self.headers, self.raw_headers = message.headers, message.raw_headers
        self.stays_open = not message.should_close

    @classmethod
    def unreadable(cls, connection: Connection, error: HttpProcessingError) -> Incoming:
        """Stand for what is no request; nothing can be told of what follows it on its connection."""
        incoming = cls.__new__(cls)
        incoming.connection, incoming.content, incoming.error = connection, EMPTY_PAYLOAD, error
        incoming.method, incoming.raw_path, incoming.version = "", "/", HttpVersion11
        incoming.headers, incoming.raw_headers = CIMultiDictProxy(CIMultiDict()), ()
        incoming.stays_open = False
        return incoming

    @property
    def has_body(self) -> bool:
        """Tell whether it carries a body, of whatever length."""
        return self.content is not EMPTY_PAYLOAD

    @property
    def is_http_1_0(self) -> bool:
        """Tell whether its client speaks HTTP/1.0: no chunks, no 100 Continue, and connections end by default."""
        version: HttpVersion = self.version
        return version == HttpVersion10


class Progress(NamedTuple):
    """How far a connection's requests have got; where this stays the same, nothing moves."""

    requests: int  # that have begun
    answering: bool  # one of them, now
    untaken_bytes: int  # of answers, that the client has not taken yet

    @property
    def waits_for_client(self) -> bool:
        """Tell whether it is the client's turn: to ask for something, or to take what it asked for."""
        return not self.answering or self.untaken_bytes > 0


class Connection(BaseProtocol):
    """The protocol of one connection. `answer` is called with each request; it is cancelled when the client goes."""

    __slots__ = (
        "_answer",
        "_answering",
        "_body",
        "_connections",
        "_finishing",
        "_requests",
        "_unreadable",
        "_waiting",
        "peer",
        "secure",
        "task",
    )

    def __init__(self, answer: Callable[[Incoming], Awaitable[None]], connections: set[Connection]) -> None:
        """Have each request answered; be one of `connections` until this one, and who answers on it, have ended."""
        loop = asyncio.get_running_loop()
        parser = HttpRequestParser(
            self,
            loop,
            _BODY_BUFFER_BYTES,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
            payload_exception=BrokenBodyError,
            auto_decompress=False,
            max_msg_queue_size=_MAX_WAITING,
        )
        super().__init__(loop, parser)
        self._answer = answer
        self._connections = connections
        self._waiting: deque[Incoming] = deque()
        self._body: StreamReader = EMPTY_PAYLOAD  # of the request that came last
        self._requests = 0
        self._answering = False
        self._unreadable = False  # from here on nothing can be told of what comes
        self._finishing = False
        self.task: asyncio.Task[None] | None = None  # answers what waits; None while nothing does
        self.peer = ""
        self.secure = False

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else ""
        self.secure = transport.get_extra_info("sslcontext") is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop whoever works on an answer."""
        super().connection_lost(exc or ConnectionResetError("the client went"))
        self._waiting.clear()
        self._parser = None
        if self.task is None:
            self._connections.discard(self)
        else:
            self.task.cancel()

    def eof_received(self) -> None:
        """End a connection on which nobody will ask for more: whoever closes one half is gone."""

    def data_received(self, data: bytes) -> None:
        """Take what has come: heads go into the queue, bodies to who reads them."""
        if self._unreadable or self._parser is None:
            return
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
            self._queue(messages)
            while upgraded:  # an offer that is not taken up: what follows it is the next request
                self._parser.set_upgraded(False)
                messages, upgraded, tail = self._parser.feed_data(tail)
                self._queue(messages)
        except HttpProcessingError as error:
            self._unreadable = True
            if self._body.is_eof():
                self._waiting.append(Incoming.unreadable(self, error))
            else:
                self._body.set_exception(BrokenBodyError(type(error).__name__))
        if self._waiting:
            if self.task is None:
                self.task = self._loop.create_task(self._serve())
            if len(self._waiting) >= _MAX_WAITING and not self._buffer_paused:
                self._pause_reading_for_buffer()

    # What the rest of the gateway calls

    async def drain(self) -> None:
        """Return when the client has taken enough for more to be written. Raises ConnectionError when it has gone."""
        if self._paused:
            await self._drain_helper()
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client went")

    async def flushed(self) -> asyncio.Transport:
        """Return the transport when all that was written is with the kernel. Raises ConnectionError without a client.

        Nothing is written to it meanwhile by anybody else, so it stays so until the next `write`.
        """
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.transport.set_write_buffer_limits(0)
            try:
                await self.drain()
            finally:
                if self.transport is not None:
                    self.transport.set_write_buffer_limits()
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client went")
        return self.transport

    def progress(self) -> Progress:
        """Return how far the requests on this connection have got."""
        return Progress(self._requests, self._answering, _untaken_bytes(self.transport))

    def finish(self) -> None:
        """End the connection as soon as the request that is being answered now, if any, has its answer."""
        self._finishing = True
        if self.task is None and self.transport is not None:
            self.transport.close()

    def cut(self) -> None:
        """End the connection; what the client has not taken is lost, and whoever works on an answer stops."""
        if self.transport is not None:
            self.transport.abort()  # leads to connection_lost
        elif self.task is not None:
            self.task.cancel()

    # Its own

    def _queue(self, messages: Sequence[tuple[RawRequestMessage, StreamReader]]) -> None:
        for message, content in messages:
            self._requests += 1
            self._body = content
            self._waiting.append(Incoming(self, message, content))

    async def _serve(self) -> None:
        """Answer what waits, one after the other; ends the connection where nothing can follow."""
        try:
            while self._waiting:
                incoming = self._next()
                self._answering = True
                if not await self._has_sent():
                    return
                await self._answer(incoming)
                stays_open = await _is_read(incoming.content) and incoming.stays_open and not self._finishing
                self._answering = False
                if self.transport is None or self.transport.is_closing():
                    return
                if not stays_open:
                    self.transport.close()
                    return
        except Exception:  # noqa: BLE001 # the last net: what a handler raises must not leave a client waiting
            _log.exception("a connection failed")
            self.cut()
        finally:
            self._answering = False
            self.task = None
            if self.transport is None:
                self._connections.discard(self)

    async def _has_sent(self) -> bool:
        """Wait until all earlier answers are with the kernel; False when their client has gone.

        An answer that has to be cut short takes with it what still waits here.
        """
        if self.transport is not None and self.transport.get_write_buffer_size():
            try:
                await self.flushed()
            except ConnectionError:
                return False
        return True

    def _next(self) -> Incoming:
        """Take the next request out of the queue, and room for another one from the client."""
        incoming = self._waiting.popleft()
        if self._parser is not None and incoming.error is None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._waiting) <= _MAX_WAITING // 2:
            self.data_received(b"")  # what the parser has kept back
            if len(self._waiting) < _MAX_WAITING:
                self._resume_reading_for_buffer()
        return incoming


async def _is_read(content: StreamReader) -> bool:
    """Read what nobody wanted of a body, for a while; tell whether the next request can be found behind it."""
    if content.is_eof():
        return True
    try:
        async with asyncio.timeout(_LINGER_S):
            while not content.is_eof():
                await content.readany()
    except (TimeoutError, BrokenBodyError, ConnectionError):
        return False
    return True


def _untaken_bytes(transport: asyncio.Transport | None) -> int:
    """Return how much waits for the client to take it, here and in the kernel (where that tells)."""
    if transport is None:
        return 0
    waiting = transport.get_write_buffer_size()
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        return waiting + int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, AttributeError):
        return waiting
