"""The store behind the gateway: requests signed anew, sent as they are, answered as a stream. Must not know vendors."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway import spans
from gateway.auth import aws_v4
from gateway.errors import REQUEST_TIMEOUT, UPSTREAM_BROKEN, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, ApiError
from gateway.request import percent_encode
from gateway.stores.answer import FAILURES, StoreAnswer
from gateway.stores.cache import MemoryResults
from gateway.stores.connection import MAX_FIELD_BYTES, READ_BUFFER_BYTES, Answer
from gateway.stores.endpoints import Endpoints
from gateway.stores.exchange import METHODS, Line, UnreachableError
from gateway.stores.flow import Flow
from gateway.stores.tries import Tries
from gateway.tls import store_context
from gateway.tracing import TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from gateway.dialects.base import StoreRequest
    from gateway.request import Headers
    from gateway.stores.breaker import StoreEvent
    from gateway.stores.cache import ResultCache
    from gateway.stores.keys import KeySource
    from gateway.stores.upstream_settings import UpstreamSettings

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_LOOK_EVERY_S = 15.0  # at whether an upload still moves, at least


@dataclass(frozen=True, slots=True)
class Body:
    """A request body of exactly `length` bytes; `payload` is its x-amz-content-sha256 (digest or UNSIGNED-PAYLOAD)."""

    chunks: AsyncIterator[bytes]
    length: int
    payload: str = UNSIGNED


class _Opening:
    """An answer while it is read; a generator would do, at ten times the cost."""

    __slots__ = ("_answer", "_ask")

    def __init__(self, ask: Callable[[], Awaitable[StoreAnswer]]) -> None:
        self._ask = ask

    async def __aenter__(self) -> StoreAnswer:
        self._answer = await self._ask()
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        self._answer.close()


@dataclass(frozen=True, slots=True)
class StoreBucket:
    """One bucket of a store under the store's own name; name `""` is the service.

    `signed` is False for an anonymous client whom the store itself is to judge.
    """

    upstream: Upstream
    name: str
    signed: bool = True

    def open(self, request: StoreRequest, body: Body | None = None) -> AbstractAsyncContextManager[StoreAnswer]:
        """Send a request to this bucket; see `Upstream.open`."""
        return self.upstream.open(self.name, request, body, signed=self.signed)


class _PlainRequest(aiohttp.ClientRequest):
    """A request with the headers it was given and no others; saying so to aiohttp costs a copy of them each time."""

    _skip_auto_headers = CIMultiDict[None]({"Content-Type": None})

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add nothing: a store must see the client's headers."""


class Upstream:
    """One store, the pooled connections to it, and what was found out about its objects (`results`)."""

    def __init__(
        self,
        settings: UpstreamSettings,
        keys: KeySource,
        clock: Callable[[], datetime],
        results: ResultCache | None = None,
        on_outcome: Callable[[str, float | None], None] = lambda _outcome, _seconds: None,
        on_event: Callable[[StoreEvent, str], None] = lambda _event, _address: None,
    ) -> None:
        """`on_outcome` is told each answer's status, after how many seconds if that says something, or what failed.

        `on_event` is told what that led to, and for which address.
        """
        self.results = results or MemoryResults(0)
        self._on_outcome = on_outcome
        self._settings = settings
        self._keys = keys
        self._clock = clock
        addresses = (settings.endpoint, *settings.endpoints)
        self._endpoints = Endpoints(
            tuple(URL(each.rstrip("/"), encoded=True) for each in addresses),
            settings.breaker_failures,
            settings.breaker_pause_s,
            settings.retry_share,
        )
        self._tries = Tries(self._endpoints, on_event)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout_s, sock_read=settings.idle_timeout_s
        )
        trust = store_context(settings.ca, verify=settings.verify)
        idle_s = settings.idle_timeout_s or None
        answer_s = min(settings.response_timeout_s, idle_s or math.inf)
        self._line = Line(trust, settings.connect_timeout_s, answer_s, idle_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ssl=trust),
            timeout=timeout,
            auto_decompress=False,
            request_class=_PlainRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
        )

    @property
    def name(self) -> tuple[str, str]:
        """The store and the key that is used there: who has another key may see other objects."""
        return self._settings.endpoint, self._settings.access_key

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the store is, as `on_event` tells it."""
        return tuple(str(each) for each in self._endpoints.addresses)

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._line.close()
        await self._session.close()

    async def failure(self) -> str:
        """Ask all addresses, unsigned, for nothing in particular; return `""` when one answers, else what failed.

        Those that do not answer are left alone by requests for a while.
        """
        failures = await asyncio.gather(*(self._failure_at(each) for each in self._endpoints.addresses))
        return "; ".join(failures) if all(failures) else ""

    async def _failure_at(self, endpoint: URL) -> str:
        origin = f"{endpoint.scheme}://{endpoint.raw_authority}"
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                (await self._line.ask("HEAD", origin, "/", (("host", endpoint.raw_authority),))).close()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._endpoints.rest(endpoint, monotonic())
            return f"{origin}/: {type(error).__name__}"
        self._endpoints.seen(endpoint)
        return ""

    def open(
        self, bucket: str, request: StoreRequest, body: Body | None = None, *, signed: bool = True
    ) -> AbstractAsyncContextManager[StoreAnswer]:
        """Send a request and yield the answer with its body unread; leaving early closes the connection.

        `bucket` is the store's own name (`""`: the service); `signed=False` sends the request as nobody's. Raises
        UPSTREAM_UNREACHABLE, UPSTREAM_BROKEN and UPSTREAM_TIMEOUT, all before the first byte of an answer.
        """
        return _Opening(partial(self._ask, bucket, request, body, signed=signed))

    async def _ask(self, bucket: str, request: StoreRequest, body: Body | None, *, signed: bool) -> StoreAnswer:
        started = monotonic()
        try:
            with spans.calling(request.method, self._settings.endpoint) as call:
                response = await self._send(bucket, request, body, signed=signed)
                call.answered(response.status)
        except ApiError as error:
            if failure := FAILURES.get(error.kind):
                self._on_outcome(failure, None)
            raise
        self._on_outcome(str(response.status), None if body else monotonic() - started)
        headers = tuple([(n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in response.raw_headers])
        return StoreAnswer(response.status, response.reason or "", headers, response, self._body_failed)

    def _body_failed(self, failure: str) -> None:
        self._on_outcome(failure, None)

    async def _send(
        self, bucket: str, request: StoreRequest, body: Body | None, *, signed: bool
    ) -> aiohttp.ClientResponse | Answer:
        """Try one address after the other, before the first byte of an answer, and so that nothing happens twice."""
        return await self._tries.first_answer(
            lambda endpoint: self._send_to(endpoint, bucket, request, body, signed=signed),
            lambda error: self._on_outcome(FAILURES[error.kind], None),
            harmless=body is None and request.method in ("GET", "HEAD"),
        )

    async def _send_to(
        self, endpoint: URL, bucket: str, request: StoreRequest, body: Body | None, *, signed: bool
    ) -> aiohttp.ClientResponse | Answer:
        try:
            if body is not None:
                response = await self._send_body(endpoint, bucket, request, body, signed=signed)
            # Tried once more, here as by aiohttp itself, when a pooled connection has died in the meantime.
            elif request.method in METHODS:
                response = await self._send_once(endpoint, bucket, request, None, signed=signed)
            else:
                async with asyncio.timeout(self._settings.response_timeout_s):
                    response = await self._send_once(endpoint, bucket, request, None, signed=signed)
        except (UnreachableError, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            self._tries.failed(endpoint, rests=True)
            reason = type(error.__cause__ or error).__name__
            raise ApiError(UPSTREAM_UNREACHABLE, f"cannot connect: {reason}") from error
        except TimeoutError as error:
            self._tries.failed(endpoint)
            raise ApiError(UPSTREAM_TIMEOUT, "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            if body is None:  # else it may be the client's fault: a store does so with a body that it refuses
                self._tries.failed(endpoint)
            raise _refusal_behind(error) or ApiError(UPSTREAM_BROKEN, f"no answer: {type(error).__name__}") from error
        self._tries.answered(endpoint, response.status)
        return response

    async def _send_body(
        self, endpoint: URL, bucket: str, request: StoreRequest, body: Body, *, signed: bool
    ) -> aiohttp.ClientResponse | Answer:
        """Send a request with its body, for as long as something moves. Raises REQUEST_TIMEOUT, UPSTREAM_TIMEOUT."""
        idle_s = self._settings.idle_timeout_s or math.inf
        flow = Flow(body.chunks)
        moving = replace(body, chunks=flow.chunks())
        task = asyncio.ensure_future(self._send_once(endpoint, bucket, request, moving, signed=signed))
        try:
            while not (await asyncio.wait({task}, timeout=min(idle_s / 4, _LOOK_EVERY_S)))[0]:
                if flow.still_for_s() > idle_s:
                    kind = REQUEST_TIMEOUT if flow.waits_for_client else UPSTREAM_TIMEOUT
                    if kind is UPSTREAM_TIMEOUT:
                        self._tries.failed(endpoint)
                    raise ApiError(kind, f"nothing moved for {idle_s:g} s")
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _send_once(
        self, endpoint: URL, bucket: str, request: StoreRequest, body: Body | None, *, signed: bool
    ) -> aiohttp.ClientResponse | Answer:
        host, raw_path = self._address(endpoint, bucket, request.raw_key)
        headers: Headers = (("host", host), *spans.passed_on(request.headers))
        payload = body.payload if body else EMPTY_SHA256
        signature = await self._signature(request, raw_path, headers, payload) if signed else ()
        if TRACEPARENT.get() and not any(name == "traceparent" for name, _ in headers):  # else it goes on as it came
            headers = (*headers, ("traceparent", TRACEPARENT.get()))
        target = f"{raw_path}?{request.raw_query}" if request.raw_query else raw_path
        origin = f"{endpoint.scheme}://{host}"
        if body is None and request.method in METHODS:
            return await self._line.ask(request.method, origin, target, (*headers, *signature))
        length = (("content-length", str(body.length)),) if body else ()
        return await self._session.request(
            request.method,
            URL(f"{origin}{target}", encoded=True),
            headers=CIMultiDict((*headers, *signature, *length)),
            data=body.chunks if body else None,
            allow_redirects=False,
        )

    async def _signature(self, request: StoreRequest, raw_path: str, headers: Headers, payload: str) -> Headers:
        key = await self._keys.current()
        # Of a header sent twice some stores sign the first value only; what is not x-amz-* may go unsigned.
        names = [name for name, _ in headers]
        if len(set(names)) < len(names):
            counted = Counter(names)
            headers = tuple(pair for pair in headers if counted[pair[0]] == 1 or pair[0].startswith("x-amz-"))
        return aws_v4.sign(
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

    def _address(self, endpoint: URL, bucket: str, raw_key: str) -> tuple[str, str]:
        """Return (Host, raw path) for the bucket in the store's own addressing style.

        A name that cannot be part of a host name goes into the path, as the SDKs put it there too.
        """
        base = endpoint.raw_path.rstrip("/")
        if not bucket:
            return endpoint.raw_authority, f"{base}/"
        if self._settings.addressing == "virtual" and _DNS_NAME.fullmatch(bucket):
            return f"{bucket}.{endpoint.raw_authority}", f"{base}/{raw_key}"
        name = percent_encode(bucket)
        return endpoint.raw_authority, f"{base}/{name}/{raw_key}" if raw_key else f"{base}/{name}"


def _refusal_behind(error: BaseException) -> ApiError | None:
    """Find our own refusal of a request body (a wrong digest, say) that aiohttp wrapped as a connection's failure."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ApiError):
        cause = cause.__cause__
    return cause
