"""A request without a body on one of aiohttp's pooled connections, below its client session. Must not know S3.

The session builds some forty objects for each request; here it is one text, and the answer is what the parser found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.stores.patience import Patience

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage

    from gateway.request import Headers

METHODS = frozenset({"GET", "HEAD"})  # what `Line.ask` can send: anything else is told a length
MAX_FIELD_BYTES = 65_536
_MAX_HEADERS = 128


class Answer:
    """An answer's head, and its body still to be read; has the names of `aiohttp.ClientResponse`."""

    __slots__ = ("_connection", "content", "idle_s", "raw_headers", "reason", "status")

    def __init__(
        self, message: RawResponseMessage, content: aiohttp.StreamReader, connection: Connection, idle_s: float | None
    ) -> None:
        self.status, self.reason, self.raw_headers = message.code, message.reason, message.raw_headers
        self.content = content
        self.idle_s = idle_s  # None: any silence is allowed
        self._connection: Connection | None = connection
        content.on_eof(self.release)

    def pause(self) -> bool:
        """Read no more, so that somebody else can read the rest from `socket`, who then calls `taken`.

        False, and nothing has changed, where the bytes on it would not be those of the body.
        """
        connection = self._connection
        if connection is None or connection.protocol is None or connection.transport is None:
            return False
        if connection.transport.get_extra_info("sslcontext") is not None or connection.transport.is_closing():
            return False
        connection.protocol.pause_reading()
        return True

    @property
    def socket(self) -> int:
        """The descriptor of the connection's socket, -1 when that has been closed."""
        connection = self._connection
        transport = connection.transport if connection else None
        return transport.get_extra_info("socket").fileno() if transport else -1

    def taken(self) -> None:
        """Note that the rest has been read, so that the connection can be used again."""
        self.content.feed_eof()  # the parser that still waits for that rest will see no other answer

    def release(self) -> None:
        """Give the connection back to the pool, which closes it unless the answer has ended."""
        if self._connection is not None:
            self._connection.release()
            self._connection = None

    def close(self) -> None:
        """Close the connection, unless it went back to the pool when the answer ended."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Line:
    """Requests by the connections of one connector; `timeout`'s sock_connect and sock_read (seconds) hold.

    `answer_s` is how long the head of an answer may take.
    """

    def __init__(
        self, connector: aiohttp.BaseConnector, timeout: aiohttp.ClientTimeout, answer_s: float, buffer_bytes: int
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        self._patience = Patience(min(answer_s, timeout.sock_read or answer_s))
        self._buffer_bytes = buffer_bytes
        self._destinations: dict[str, aiohttp.ClientRequest] = {}

    async def ask(self, method: str, origin: str, target: str, headers: Headers) -> Answer:
        """Send a request of `METHODS` for a raw target to an origin (`http://host:port`); return the answer.

        Tries once more when a connection broke before the answer, as it does when the other side has just closed an
        idle one. Raises aiohttp.ClientError, OSError.
        """
        head = _head(method, target, headers)
        try:
            return await self._ask_once(method, origin, head)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            return await self._ask_once(method, origin, head)

    async def _ask_once(self, method: str, origin: str, head: bytes) -> Answer:
        try:
            connection = await self._connector.connect(self._destination(origin), [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {origin} in time") from error
        try:
            message, content = await self._exchange(connection, head, without_body=method == "HEAD")
            return Answer(message, content, connection, self._timeout.sock_read or None)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError("an unreadable answer") from error
        except BaseException:
            connection.close()
            raise

    async def _exchange(
        self, connection: Connection, head: bytes, *, without_body: bool
    ) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            skip_payload=without_body,
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=None,
            read_bufsize=self._buffer_bytes,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=_MAX_HEADERS,
        )
        transport.write(head)
        fail = protocol.set_exception
        self._patience.begin(fail)
        try:
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    break
        finally:
            self._patience.end(fail)
        if without_body and message.chunked:
            protocol.force_close()  # Ceph RGW sends the last chunk all the same, perhaps in front of the next answer
        if not content.is_eof():
            protocol.read_timeout = self._timeout.sock_read
            protocol.start_timeout()
        return message, content

    def _destination(self, origin: str) -> aiohttp.ClientRequest:
        """Return what the connector wants to be asked with; nothing of it but the address is used."""
        found = self._destinations.get(origin)
        if found is None:
            if len(self._destinations) >= 1024:  # a name for each bucket, where these are part of the host
                self._destinations.clear()
            found = self._destinations[origin] = aiohttp.ClientRequest("GET", URL(origin, encoded=True))
        return found


def _head(method: str, target: str, headers: Headers) -> bytes:
    """Write a request's head. Raises ValueError where a line break in a field would begin another one."""
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers]]
    text = "\r\n".join(lines)
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise ValueError("a line break inside of a header")
    return f"{text}\r\n\r\n".encode()
