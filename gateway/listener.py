"""aiohttp's server as this gateway needs it: no router, unreadable requests refused in the dialect, silence bounded.

Knows aiohttp's connections; must not know what a request means.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import re
import struct
import termios
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError

from gateway.errors import INVALID_REQUEST, INVALID_URI, METHOD_NOT_ALLOWED, ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.dialects.base import Rendered
    from gateway.errors import ErrorKind

_log = logging.getLogger("gateway")
# Long presigned URLs and session tokens exceed aiohttp's 8190 bytes.
_MAX_LINE_BYTES = 65_536
_MAX_HEADERS = 256
_KEEPALIVE_S = 75.0
_LINGER_S = 3.0  # how long a refused upload is read on, so that its client gets to read the refusal
_LOOK_EVERY_S = 5.0
# A method as it could be, at the start of the bytes that the parser quotes.
_METHOD = re.compile(r"\bb['\"][!#$%&*+.^_`|~0-9A-Za-z-]+ ")


class Connection(web.RequestHandler):
    """A client's connection; what cannot be parsed is refused in XML, and never logged: it may hold a signature."""

    __slots__ = ("refuse",)

    refuse: Callable[[ApiError], Rendered]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, and close."""
        del status, message
        _log.info("unreadable request from %s: %s", request.remote, type(exc).__name__)
        rendered = self.refuse(ApiError(_kind(exc), "unreadable"))
        response = web.Response(status=rendered.status, body=rendered.body, headers=rendered.headers)
        response.force_close()
        return response

    def progress(self) -> Progress:
        """Return how far the requests on this connection have got."""
        return Progress(self._request_count, self._request_in_progress, _untaken_bytes(self.transport))

    def cut(self) -> None:
        """End the connection; what the client has not taken is lost, and whoever works on an answer stops."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()


class Progress(NamedTuple):
    """How far a connection's requests have got; where this stays the same, nothing moves."""

    requests: int  # that have begun
    answering: bool  # one of them, now
    untaken_bytes: int  # of answers, that the client has not taken yet

    @property
    def waits_for_client(self) -> bool:
        """Tell whether it is the client's turn: to ask for something, or to take what it asked for."""
        return not self.answering or self.untaken_bytes > 0


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


def _kind(error: BaseException | None) -> ErrorKind:
    if isinstance(error, InvalidURLError):
        return INVALID_URI
    is_method = isinstance(error, BadHttpMethod) and _METHOD.search(error.message)
    return METHOD_NOT_ALLOWED if is_method else INVALID_REQUEST


class PublicServer(web.Server):
    """The low-level server: no router, no decompression, a handler is cancelled when its client goes."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        refuse: Callable[[ApiError], Rendered],
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._refuse = refuse

    def __call__(self) -> Connection:
        """Make the protocol of one new connection."""
        connection = Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # what aiohttp's own documentation says for "none"
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
        )
        connection.refuse = self._refuse
        return connection

    async def close_silent(self, limit_s: float) -> None:
        """Close, for ever, connections on which no request has got anywhere for `limit_s` seconds.

        A head that drips in byte by byte is such a silence too; aiohttp itself bounds only the time between requests.
        So is an answer of which the client takes nothing; one that it takes slowly is none.
        """
        clock = asyncio.get_running_loop().time
        since: dict[Connection, tuple[Progress, float]] = {}
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, limit_s / 2))
            seen: dict[Connection, tuple[Progress, float]] = {}
            for connection in self.connections:
                if not isinstance(connection, Connection):
                    continue
                now, (before, at) = connection.progress(), since.get(connection, (None, clock()))
                seen[connection] = (now, at if now == before and now.waits_for_client else clock())
                if clock() - seen[connection][1] > limit_s:
                    connection.cut()
            since = seen
