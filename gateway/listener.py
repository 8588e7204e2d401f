"""The public port: what a connection brings is answered, unreadable requests refused in the dialect, silence bounded.

Knows connections; must not know what a request means.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError

from gateway.connection import Connection
from gateway.errors import INVALID_REQUEST, INVALID_URI, METHOD_NOT_ALLOWED, ApiError
from gateway.wire import ClientGoneError, Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.connection import Incoming, Progress
    from gateway.dialects.base import Rendered
    from gateway.errors import ErrorKind

_log = logging.getLogger("gateway")
_IDLE_S = 75.0  # how long a connection on which nothing is asked stays open
_LOOK_EVERY_S = 5.0
_DRAIN_LOOK_S = 0.05
# A method as it could be, at the start of the bytes that the parser quotes.
_METHOD = re.compile(r"\bb['\"][!#$%&*+.^_`|~0-9A-Za-z-]+ ")


class PublicServer:
    """Makes the protocol of each new connection, and ends them all; `handler` is cancelled when its client goes."""

    def __init__(self, handler: Callable[[Incoming], Awaitable[None]], refuse: Callable[[ApiError], Rendered]) -> None:
        self._handler = handler
        self._refuse = refuse
        self.connections: set[Connection] = set()

    def __call__(self) -> Connection:
        """Make the protocol of one new connection."""
        return Connection(self._answer, self.connections)

    async def _answer(self, incoming: Incoming) -> None:
        if incoming.error is None:
            await self._handler(incoming)
        else:
            await self._refuse_unreadable(incoming)

    async def _refuse_unreadable(self, incoming: Incoming) -> None:
        """Refuse what cannot be parsed; it is never logged, because it may hold a signature."""
        _log.info("unreadable request from %s: %s", incoming.connection.peer, type(incoming.error).__name__)
        exchange = Exchange(incoming, 0)
        try:
            await exchange.send(self._refuse(ApiError(_kind(incoming.error), "unreadable")))
        except ClientGoneError:
            exchange.abort()

    def pre_shutdown(self) -> None:
        """Close idle connections now, the others after the answer that is being given."""
        for connection in [*self.connections]:
            connection.finish()

    async def shutdown(self, limit_s: float) -> None:
        """Let running requests end, and clients take their answers, for so many seconds; then cut them off."""
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + limit_s
        tasks = [connection.task for connection in self.connections if connection.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for connection in [*self.connections]:
                if connection.task in late:
                    connection.cut()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in [*self.connections]:
            connection.finish()
        # What was written may still wait here for a slow client.
        while self.connections and clock() < give_up_at:  # noqa: ASYNC110 # no event says that the last of many is gone
            await asyncio.sleep(_DRAIN_LOOK_S)
        for connection in [*self.connections]:
            connection.cut()

    async def close_silent(self, limit_s: float) -> None:
        """Close, for ever, connections on which no request has got anywhere for `limit_s` seconds.

        A head that drips in byte by byte is such a silence too, and so is an answer of which the client takes nothing;
        one that it takes slowly is none.
        """
        clock = asyncio.get_running_loop().time
        since: dict[Connection, tuple[Progress, float]] = {}
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, limit_s / 2))
            seen: dict[Connection, tuple[Progress, float]] = {}
            for connection in [*self.connections]:
                now, (before, at) = connection.progress(), since.get(connection, (None, clock()))
                seen[connection] = (now, at if now == before and now.waits_for_client else clock())
                if clock() - seen[connection][1] > (
                    limit_s if now.answering or now.untaken_bytes else min(limit_s, _IDLE_S)
                ):
                    connection.cut()
            since = seen


def _kind(error: BaseException | None) -> ErrorKind:
    if isinstance(error, InvalidURLError):
        return INVALID_URI
    is_method = isinstance(error, BadHttpMethod) and _METHOD.search(error.message)
    return METHOD_NOT_ALLOWED if is_method else INVALID_REQUEST
