"""The store behind the gateway: requests signed anew, sent as they are, answered as a stream. Must not know vendors."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.auth import aws_v4
from gateway.errors import UPSTREAM_BROKEN, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, ApiError
from gateway.request import percent_encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from gateway.dialects.base import StoreRequest
    from gateway.request import Headers
    from gateway.settings import UpstreamSettings
    from gateway.stores.keys import KeySource

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
# What aiohttp would add by itself; a store must see the client's headers and no others.
_NOT_INVENTED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Content-Encoding")
_READ_BUFFER_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """A request body of exactly `length` bytes; `payload` is its x-amz-content-sha256 (digest or UNSIGNED-PAYLOAD)."""

    chunks: AsyncIterator[bytes]
    length: int
    payload: str = UNSIGNED


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The store's answer: head as it came, body still to be read."""

    status: int
    reason: str
    headers: Headers  # names in the store's spelling
    _response: aiohttp.ClientResponse

    def header(self, name: str) -> str:
        """Return a header's value by its lower-case name, `""` when absent."""
        return next((value for given, value in self.headers if given.lower() == name), "")

    @property
    def length(self) -> int | None:
        """The declared length of the body in bytes."""
        text = self.header("content-length")
        return int(text) if text.isdigit() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises UPSTREAM_BROKEN when it ends early, UPSTREAM_TIMEOUT when it stalls."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError as error:
            raise ApiError(UPSTREAM_TIMEOUT, "the store stalled inside the body") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(UPSTREAM_BROKEN, f"body broke off: {type(error).__name__}") from error

    async def read(self, limit: int) -> bytes:
        """Return at most `limit` bytes of the body (an error's XML, say)."""
        parts: list[bytes] = []
        async for chunk in self.chunks():
            parts.append(chunk[:limit])
            limit -= len(chunk)
            if limit <= 0:
                break
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class StoreBucket:
    """One bucket of a store under the store's own name; name `""` is the service."""

    upstream: Upstream
    name: str

    def open(self, request: StoreRequest, body: Body | None = None) -> AbstractAsyncContextManager[StoreAnswer]:
        """Send a request to this bucket; see `Upstream.open`."""
        return self.upstream.open(self.name, request, body)


class Upstream:
    """One store and the pooled connections to it."""

    def __init__(self, settings: UpstreamSettings, keys: KeySource, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._endpoint = URL(settings.endpoint.rstrip("/"), encoded=True)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout_s, sock_read=settings.idle_timeout_s
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            timeout=timeout,
            auto_decompress=False,
            skip_auto_headers=_NOT_INVENTED,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=65_536,
            max_field_size=65_536,
        )

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._session.close()

    @asynccontextmanager
    async def open(self, bucket: str, request: StoreRequest, body: Body | None = None) -> AsyncIterator[StoreAnswer]:
        """Send a request and yield the answer with its body unread; leaving early closes the connection.

        `bucket` is the store's own name (`""`: the service). Raises UPSTREAM_UNREACHABLE, UPSTREAM_BROKEN and
        UPSTREAM_TIMEOUT, all before the first byte of an answer.
        """
        response = await self._send(bucket, request, body)
        headers = tuple((n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in response.raw_headers)
        try:
            yield StoreAnswer(response.status, response.reason or "", headers, response)
        finally:
            # Returns the connection to the pool when the body was read to its end, cuts it otherwise.
            response.release() if response.content.at_eof() else response.close()

    async def _send(self, bucket: str, request: StoreRequest, body: Body | None) -> aiohttp.ClientResponse:
        deadline_s = None if body else self._settings.response_timeout_s
        try:
            async with asyncio.timeout(deadline_s):
                try:
                    return await self._send_once(bucket, request, body)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    # A pooled connection that died in the meantime deserves one more try; a refused one does not.
                    if body is not None or isinstance(error, aiohttp.ClientConnectorError):
                        raise
                    return await self._send_once(bucket, request, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ApiError(UPSTREAM_UNREACHABLE, f"cannot connect: {type(error).__name__}") from error
        except TimeoutError as error:
            raise ApiError(UPSTREAM_TIMEOUT, "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _refusal_behind(error) or ApiError(UPSTREAM_BROKEN, f"no answer: {type(error).__name__}") from error

    async def _send_once(self, bucket: str, request: StoreRequest, body: Body | None) -> aiohttp.ClientResponse:
        host, raw_path = self._address(bucket, request.raw_key)
        payload = body.payload if body else EMPTY_SHA256
        headers: Headers = (("host", host), *request.headers)
        key = await self._keys.current()
        signature = aws_v4.sign(
            request.method,
            raw_path,
            request.raw_query,
            headers,
            access_key_id=key.access_key_id,
            secret=key.secret,
            region=self._settings.region,
            payload=payload,
            now=self._clock(),
            token=key.token,
        )
        length = (("content-length", str(body.length)),) if body else ()
        query = f"?{request.raw_query}" if request.raw_query else ""
        return await self._session.request(
            request.method,
            URL(f"{self._endpoint.scheme}://{host}{raw_path}{query}", encoded=True),
            headers=CIMultiDict((*headers, *signature, *length)),
            data=body.chunks if body else None,
            allow_redirects=False,
        )

    def _address(self, bucket: str, raw_key: str) -> tuple[str, str]:
        """Return (Host, raw path) for the bucket in the store's own addressing style."""
        base = self._endpoint.raw_path.rstrip("/")
        if not bucket:
            return self._endpoint.authority, f"{base}/"
        if self._settings.addressing == "virtual":
            return f"{bucket}.{self._endpoint.authority}", f"{base}/{raw_key}"
        name = percent_encode(bucket)
        return self._endpoint.authority, f"{base}/{name}/{raw_key}" if raw_key else f"{base}/{name}"


def _refusal_behind(error: BaseException) -> ApiError | None:
    """Find our own refusal of a request body (a wrong digest, say) that aiohttp wrapped as a connection's failure."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ApiError):
        cause = cause.__cause__
    return cause
