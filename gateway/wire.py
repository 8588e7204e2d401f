"""The border between aiohttp's server and the core: heads and bodies in, answers out. Knows no vendors or stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.errors import INCOMPLETE_BODY, INVALID_URI, ApiError
from gateway.request import RequestHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.dialects.base import Rendered
    from gateway.request import Headers

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientGoneError(Exception):
    """The client closed its connection; nobody is left to answer."""


class FaithfulResponse(web.StreamResponse):
    """A response that sends the headers it was given, and Date, but no invented Content-Type or Server.

    aiohttp takes the length out of a 304; a store may have sent it there (RFC 9110 section 8.6), so it goes back in.
    """

    async def _prepare_headers(self) -> None:
        given = self.headers.copy()
        await super()._prepare_headers()
        for name in ("Content-Type", "Server"):
            if name not in given:
                self.headers.pop(name, None)
        if self.status == 304 and "Content-Length" in given:
            self.headers["Content-Length"] = given["Content-Length"]


class Exchange:
    """One request and the answer to it, seen from the server's side."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.response: FaithfulResponse | None = None
        self.sent_bytes = 0

    @property
    def begun(self) -> bool:
        """Tell whether a status line is already on its way, so that another one can no longer be sent."""
        return self.response is not None

    @property
    def declared_length(self) -> int | None:
        """The request's Content-Length in bytes; None when it declares none (chunked, or no body)."""
        return self._request.content_length

    @property
    def has_body(self) -> bool:
        """Tell whether the request carries a body (of whatever length)."""
        return self._request.body_exists

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it arrives; asks for it first where the client waits for `100 Continue`.

        Raises INCOMPLETE_BODY when the client breaks off.
        """
        if "100-continue" in self._request.headers.get("Expect", "").lower():
            await self._request.writer.write(CONTINUE)
        try:
            async for chunk in self._request.content.iter_any():
                yield chunk
        except (web.RequestPayloadError, ConnectionResetError) as error:
            raise ApiError(INCOMPLETE_BODY, f"client broke off: {type(error).__name__}") from error

    async def begin(self, status: int, reason: str | None, headers: Headers) -> None:
        """Send status line and headers. A length, if there is one, is among the headers."""
        response = FaithfulResponse(status=status, reason=reason)
        for name, value in headers:
            response.headers.add(name, value)
        self.response = response
        try:
            await response.prepare(self._request)
        except ConnectionError as error:
            raise ClientGoneError from error

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body; returns when the client has taken enough of it (back-pressure)."""
        assert self.response is not None, "begin() comes first"  # noqa: S101 # a caller's mistake, not a client's
        try:
            await self.response.write(chunk)
        except ConnectionError as error:
            raise ClientGoneError from error
        self.sent_bytes += len(chunk)

    async def send(self, rendered: Rendered) -> None:
        """Send a whole answer; HEAD gets its headers only, and a 304 says nothing of a length."""
        length = (("Content-Length", str(len(rendered.body))),) if rendered.status != 304 else ()
        await self.begin(rendered.status, None, (*rendered.headers, *length))
        if rendered.body and self._request.method != "HEAD":
            await self.write(rendered.body)

    def finished(self) -> web.StreamResponse:
        """Return what aiohttp wants to see of the answer; it fails quietly on an aborted connection."""
        return self.response or web.StreamResponse()

    def abort(self) -> None:
        """Cut the connection, so that a half-sent answer cannot pass for a whole one."""
        if self._request.transport is not None:
            self._request.transport.abort()


def read_head(request: web.BaseRequest) -> RequestHead:
    """Take the request's head exactly as it was sent.

    Raises INVALID_URI for a target that is not plain ASCII, holds a fragment, or has neither origin form nor
    absolute form.
    """
    target = request.raw_path
    authority = request.headers.get("Host", "")
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        authority, slash, path = rest.partition("/")
        target = slash + path or "/"
    if not target.startswith("/") or "#" in target or not (target.isascii() and target.isprintable()):
        raise ApiError(INVALID_URI, "not an origin-form or absolute-form ASCII target")
    raw_path, _, raw_query = target.partition("?")
    fields = [
        (name.decode("ascii").lower(), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers
    ]
    headers = tuple((name, authority if name == "host" else value) for name, value in fields)
    return RequestHead(request.method, raw_path, raw_query, authority, headers, request.remote or "", request.secure)
