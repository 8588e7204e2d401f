"""Requests without a body by connections that are kept, and used again. Must not know S3."""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from gateway.stores.connection import StoreConnection
from gateway.stores.patience import Patience

if TYPE_CHECKING:
    import ssl

    from gateway.request import Headers
    from gateway.stores.connection import Answer

METHODS = frozenset({"GET", "HEAD"})  # what `Line.ask` can send: anything else is told a length
_KEPT_S = 30.0  # how long nobody needs a connection until it is closed
_LOOK_EVERY_S = 5.0
_SECOND_FAMILY_S = 0.25  # after which a name's address of the other family is tried beside the first (RFC 8305)


class UnreachableError(aiohttp.ClientConnectionError):
    """No connection came about, so nothing was sent."""


class Line:
    """Requests to whichever origins, each by a connection that is free or by a new one.

    A connection has to be there within `connect_s` seconds, the head of an answer within `answer_s`; a body may be
    silent for `idle_s`. None is any time.
    """

    def __init__(
        self, trust: ssl.SSLContext, connect_s: float | None, answer_s: float | None, idle_s: float | None
    ) -> None:
        self._trust = trust
        self._connect_s = connect_s
        self._heads, self._bodies = Patience(answer_s), Patience(idle_s)
        self._connections: set[StoreConnection] = set()
        self._free: dict[str, list[StoreConnection]] = {}  # by origin; the last one is the one that was used last
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def ask(self, method: str, origin: str, target: str, headers: Headers) -> Answer:
        """Send a request of `METHODS` for a raw target to an origin (`http://host:port`); return the answer.

        Tries once more when a connection broke before the answer, as it does when the other side has just closed an
        idle one. Raises UnreachableError, another aiohttp.ClientError, TimeoutError.
        """
        head, bodiless = _head(method, target, headers), method == "HEAD"
        try:
            connection = self._take(origin) or await self._connect(origin)
            return await connection.ask(head, bodiless=bodiless)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            connection = await self._connect(origin)  # the other idle ones have most likely died as well
            return await connection.ask(head, bodiless=bodiless)

    async def close(self) -> None:
        """Close all connections, whoever waits for something on them."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self._connections):
            connection.cut()
        await asyncio.sleep(0)  # that is how long the event loop takes to close a socket

    def _take(self, origin: str) -> StoreConnection | None:
        free = self._free.get(origin)
        while free:
            connection = free.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, origin: str) -> StoreConnection:
        """Open a connection. Who stops waiting leaves it to the next one: asyncio may lose a socket just then."""
        opening = asyncio.ensure_future(self._open(origin))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._opened_for_nobody)
            raise

    def _opened_for_nobody(self, opening: asyncio.Future[StoreConnection]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._freed(opening.result())

    async def _open(self, origin: str) -> StoreConnection:
        url = URL(origin, encoded=True)
        host, secure = (url.raw_host or "").rstrip("."), url.scheme == "https"
        new = partial(StoreConnection, origin, self._heads, self._bodies, self._freed, self._lost)
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    new,
                    host,
                    url.port or 0,
                    ssl=self._trust if secure else None,
                    server_hostname=host if secure else None,
                    happy_eyeballs_delay=_SECOND_FAMILY_S,
                )
        except OSError as error:  # names that are unknown, refusals, certificates, and no answer in time
            raise UnreachableError(f"no connection to {origin}: {type(error).__name__}") from error
        self._connections.add(connection)
        return connection

    def _freed(self, connection: StoreConnection) -> None:
        if self._closed:
            connection.end()
            return
        connection.free_since = monotonic()
        self._free.setdefault(connection.origin, []).append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    def _lost(self, connection: StoreConnection) -> None:
        self._connections.discard(connection)
        free = self._free.get(connection.origin, [])
        if connection in free:
            free.remove(connection)

    def _look(self) -> None:
        """Close what nobody has needed for long."""
        needed_after = monotonic() - _KEPT_S
        for free in self._free.values():
            for connection in free:
                if connection.free_since < needed_after:
                    connection.end()
        self._free = {origin: free for origin, free in self._free.items() if free}
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_EVERY_S, self._look) if self._free else None


def _head(method: str, target: str, headers: Headers) -> bytes:
    """Write a request's head. Raises ValueError where a line break in a field would begin another one."""
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers]]
    text = "\r\n".join(lines)
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise ValueError("a line break inside of a header")
    return f"{text}\r\n\r\n".encode()
