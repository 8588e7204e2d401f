"""Fetches what a stranger's URL names, and brings messages to a stranger's URL, from nowhere but checked addresses.

Every hop is looked up here, each of its addresses is checked, and the connection goes to exactly those: the name is
never resolved a second time. Must not know vendors or stores.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from gateway import spans
from gateway.errors import URL_NOT_AN_IMAGE, URL_TOO_LARGE, URL_UNREACHABLE, ApiError
from gateway.stores.fetch_rules import FetchRules, PlainUrl, follow, parse_url, refusal, resolved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from concurrent.futures import Executor

    from aiohttp.abc import ResolveResult

    from gateway.request import Headers
    from gateway.stores.fetch_rules import Address

    Resolve = Callable[[str, int], Awaitable[Sequence[str]]]  # host and port to addresses as text; raises OSError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Types of which the bytes may be a picture; whether they are one, the probe finds out.
_BINARY = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-download"})
_ASKING = {"User-Agent": "s3-score-gateway", "Accept": "image/*", "Accept-Encoding": "identity"}
_MAX_ADDRESSES = 8
_LOOK_UPS = 8  # at a time
_MAX_ANSWER_BYTES = 64 * 1024  # of a receiver's answer, which is thrown away


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer behind a URL: its declared length in bytes (None: undeclared), and its body to be read once."""

    length: int | None
    _response: aiohttp.ClientResponse
    _max_bytes: int
    _ends_at: float  # by the loop's clock

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises URL_TOO_LARGE, and URL_UNREACHABLE when it breaks off or lasts."""
        count = 0
        while True:
            try:
                async with asyncio.timeout_at(self._ends_at):
                    chunk = await self._response.content.readany()
            except TimeoutError as error:
                raise ApiError(URL_UNREACHABLE, "the body came too slowly") from error
            except (aiohttp.ClientError, OSError) as error:
                raise ApiError(URL_UNREACHABLE, f"broke off: {type(error).__name__}") from error
            if not chunk:
                return
            count += len(chunk)
            if count > self._max_bytes:
                raise _too_large(self._max_bytes)
            yield chunk


class Fetcher:
    """Fetches by the rules. One connection a hop, no cookies, no proxies, no credentials, nothing kept for later."""

    def __init__(self, rules: FetchRules, resolve: Resolve | None = None) -> None:
        self._rules = rules
        # Threads of its own: whoever names hosts that answer late keeps nobody waiting but those who fetch.
        self._resolve = resolve or partial(system_resolve, ThreadPoolExecutor(_LOOK_UPS, "look-up"))

    @asynccontextmanager
    async def open(self, text: str) -> AsyncIterator[Fetched]:
        """Yield what the URL names, its body unread; the time limit holds until its last byte.

        Raises URL_NOT_ALLOWED, URL_UNREACHABLE, URL_TOO_LARGE and URL_NOT_AN_IMAGE.
        """
        settings = self._rules.settings
        ends_at = asyncio.get_running_loop().time() + settings.timeout_s
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout_at(ends_at):
                    with spans.part("fetch"):
                        response = await self._follow(parse_url(text), stack)
            except TimeoutError as error:
                raise ApiError(URL_UNREACHABLE, f"not within {settings.timeout_s:g} s") from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise ApiError(URL_UNREACHABLE, f"{type(error).__name__}") from error
            self._check_answer(response)
            yield Fetched(response.content_length, response, settings.max_bytes, ends_at)

    async def _follow(self, url: PlainUrl, stack: AsyncExitStack) -> aiohttp.ClientResponse:
        """Ask hop by hop; the stack closes each connection."""
        for _ in range(self._rules.settings.max_redirects + 1):
            session = await stack.enter_async_context(self._session(await self._addresses(url)))
            response = await session.get(URL(url.text, encoded=True), allow_redirects=False)
            stack.callback(response.close)
            if response.status not in _REDIRECTS:
                return response
            url = follow(url, response.headers.get("Location", ""))
        raise ApiError(URL_UNREACHABLE, "too many redirects")

    async def post(self, text: str, body: bytes, headers: Headers, *, trusted: bool = False) -> int:
        """Bring a message and return the status of the answer; redirects are not followed.

        `trusted` is for a URL out of the settings: it may lead anywhere. Raises URL_NOT_ALLOWED, URL_UNREACHABLE.
        """
        settings = self._rules.settings
        url = parse_url(text)
        try:
            async with (
                asyncio.timeout(settings.timeout_s),
                self._session(await self._addresses(url, trusted=trusted)) as session,
                session.post(
                    URL(url.text, encoded=True), data=body, headers=dict(headers), allow_redirects=False
                ) as response,
            ):
                await response.content.read(_MAX_ANSWER_BYTES)
                return response.status
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(URL_UNREACHABLE, f"{type(error).__name__}") from error

    def check(self, text: str) -> None:
        """Refuse, before anything is looked up, a URL that certainly cannot be used. Raises URL_NOT_ALLOWED."""
        url = parse_url(text)
        self._rules.check_name(url)
        if url.literal is not None:
            self._rules.check_address(url, url.literal)

    async def _addresses(self, url: PlainUrl, *, trusted: bool = False) -> tuple[Address, ...]:
        """Look the host up, and check all that it resolves to: one wrong address spoils them all."""
        if not trusted:
            self._rules.check_name(url)
        found = (url.literal,) if url.literal else await self._looked_up(url, trusted=trusted)
        if not found or len(found) > _MAX_ADDRESSES:
            raise ApiError(URL_UNREACHABLE, f"{len(found)} addresses")
        if not trusted:
            for address in found:
                self._rules.check_address(url, address)
        return found

    async def _looked_up(self, url: PlainUrl, *, trusted: bool) -> tuple[Address, ...]:
        """Ask for a name's addresses. An unknown name is refused like a forbidden one: it tells nothing of ours."""
        try:
            return resolved(await self._resolve(url.host, url.port))
        except OSError as error:
            if trusted:
                raise
            raise refusal(f"the name leads nowhere: {type(error).__name__}") from error

    def _session(self, addresses: tuple[Address, ...]) -> aiohttp.ClientSession:
        """Return a session whose every connection goes to one of the addresses; anything else never gets a socket."""
        permitted = frozenset(str(address) for address in addresses)

        def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
            family, kind, protocol, _, destination = info
            if destination[0] not in permitted:
                raise refusal("the connection would go to an unchecked address")
            return socket.socket(family, kind, protocol)

        connector = aiohttp.TCPConnector(
            resolver=_Checked(addresses), use_dns_cache=False, force_close=True, socket_factory=make_socket
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=_ASKING,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._rules.settings.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    def _check_answer(self, response: aiohttp.ClientResponse) -> None:
        """Judge an answer by its head. Raises URL_UNREACHABLE, URL_NOT_AN_IMAGE, URL_TOO_LARGE."""
        if response.status != 200:
            message = f"The URL answered with status {response.status}."
            raise ApiError(URL_UNREACHABLE, f"status {response.status}", message=message)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if not (media_type.startswith("image/") or media_type in _BINARY) or encoding not in ("", "identity"):
            raise ApiError(URL_NOT_AN_IMAGE, "a type that is no picture's, or an encoding that was not asked for")
        max_bytes = self._rules.settings.max_bytes
        if (response.content_length or 0) > max_bytes:
            raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(URL_TOO_LARGE, message=f"What the URL names is larger than {max_bytes} bytes.")


class _Checked(AbstractResolver):
    """Answers every look-up with the addresses that were checked."""

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the checked addresses, whatever the host is called."""
        del family
        return [
            {
                "hostname": host,
                "host": str(address),
                "port": port,
                "family": socket.AF_INET6 if address.version == 6 else socket.AF_INET,
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def system_resolve(threads: Executor, host: str, port: int) -> Sequence[str]:
    """Look a name up as the system does. Raises OSError."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    rows = await asyncio.get_running_loop().run_in_executor(threads, look_up)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))
