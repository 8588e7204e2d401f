"""aiohttp's server as this gateway needs it: no router, unreadable requests refused in the dialect, silence bounded.

Knows aiohttp's connections; must not know what a request means.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError

from gateway.errors import INVALID_REQUEST, INVALID_URI, ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.dialects.base import Rendered

_log = logging.getLogger("gateway")
# Long presigned URLs and session tokens exceed aiohttp's 8190 bytes.
_MAX_LINE_BYTES = 65_536
_MAX_HEADERS = 256
_KEEPALIVE_S = 75.0
_LINGER_S = 3.0  # how long a refused upload is read on, so that its client gets to read the refusal
_LOOK_EVERY_S = 5.0


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
        kind = INVALID_URI if isinstance(exc, InvalidURLError) else INVALID_REQUEST
        rendered = self.refuse(ApiError(kind, "unreadable"))
        response = web.Response(status=rendered.status, body=rendered.body, headers=rendered.headers)
        response.force_close()
        return response

    def progress(self) -> tuple[int, bool]:
        """Return how many requests have begun here, and whether one is being answered now."""
        return self._request_count, self._request_in_progress


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
        """
        clock = asyncio.get_running_loop().time
        since: dict[Connection, tuple[tuple[int, bool], float]] = {}
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, limit_s / 2))
            seen: dict[Connection, tuple[tuple[int, bool], float]] = {}
            for connection in self.connections:
                if not isinstance(connection, Connection):
                    continue
                now, (before, at) = connection.progress(), since.get(connection, ((-1, True), clock()))
                seen[connection] = (now, at if now == before and not now[1] else clock())
                if clock() - seen[connection][1] > limit_s:
                    connection.force_close()
            since = seen
