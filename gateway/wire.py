"""The border between aiohttp's server and the core: heads and bodies in, answers out. Knows no vendors or stores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, web

from gateway.errors import INCOMPLETE_BODY, INVALID_REQUEST, INVALID_URI, METHOD_NOT_ALLOWED, ApiError
from gateway.request import RequestHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.dialects.base import Rendered
    from gateway.request import Headers

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_MAX_PARAMETERS = 256
_ALLOW_ORIGIN = "access-control-allow-origin"
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]+)")
# No user information, no blanks; empty only where HTTP/1.0 sends no Host.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{0,5})?")


class ClientGoneError(Exception):
    """The client closed its connection; nobody is left to answer."""


class FaithfulResponse(web.StreamResponse):
    """A response that sends the headers it was given, and Date, but no invented Content-Type or Server.

    aiohttp takes the length out of a 304; a store may have sent it there (RFC 9110 section 8.6), so it goes back in.
    """

    def __init__(self, *, status: int, reason: str | None, held: bool) -> None:
        """With `held` the head goes out together with the first piece of the body."""
        super().__init__(status=status, reason=reason)
        self._send_headers_immediately = not held

    async def _prepare_headers(self) -> None:
        given = self.headers.copy()
        await super()._prepare_headers()
        for name in ("Content-Type", "Server"):
            if name not in given:
                self.headers.pop(name, None)
        if self.status == 304 and "Content-Length" in given:
            self.headers["Content-Length"] = given["Content-Length"]

    async def _write_headers(self) -> None:
        # aiohttp's serialiser drops bytes that are not UTF-8; a store's metadata may hold them.
        writer: Any = self._payload_writer
        if self._req is None or all(map(_is_utf8, self.headers.values())):
            await super()._write_headers()
            return
        version = self._req.version
        lines = [f"HTTP/{version.major}.{version.minor} {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        writer._headers_written = False  # noqa: SLF001 # the writer offers no way to send a head as bytes
        writer._headers_buf = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")  # noqa: SLF001 # same
        if self._send_headers_immediately:
            writer.send_headers()


def _is_utf8(text: str) -> bool:
    """Tell whether a decoded header is free of the surrogates that stand for bytes which are not UTF-8."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


class Exchange:
    """One request and the answer to it, seen from the server's side."""

    def __init__(self, request: web.BaseRequest, spool_bytes: int, request_id: str = "") -> None:
        self._request = request
        self._request_id = request_id  # told where neither the dialect nor the store names one
        self.spool_bytes = spool_bytes  # how much of a body without a declared length may be kept aside
        self.response: FaithfulResponse | None = None
        self.sent_bytes = 0
        self.received_bytes = 0
        self.rules_for_pages: Callable[[], Awaitable[Headers]] | None = None  # what CORS adds to our own answers
        self._awaits_continue = (
            "100-continue" in request.headers.get("Expect", "").lower() and request.version >= HttpVersion11
        )

    @property
    def begun(self) -> bool:
        """Tell whether a status line is already on its way, so that another one can no longer be sent."""
        return self.response is not None

    @property
    def status(self) -> int:
        """The status of the answer that was begun; 0 when nobody was left to answer."""
        return self.response.status if self.response else 0

    def told(self, name: str) -> str:
        """Return a header of the answer that was begun, `""` when it has none of that name."""
        return self.response.headers.get(name, "") if self.response else ""

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
        if self._awaits_continue:
            self._awaits_continue = False
            await self._request.writer.write(CONTINUE)
        try:
            async for chunk in self._request.content.iter_any():
                self.received_bytes += len(chunk)
                yield chunk
        except (web.RequestPayloadError, ConnectionResetError) as error:
            raise ApiError(INCOMPLETE_BODY, f"client broke off: {type(error).__name__}") from error

    async def begin(self, status: int, reason: str | None, headers: Headers, *, held: bool = False) -> None:
        """Send status line and headers. A length, if there is one, is among the headers.

        With `held` they wait for the first `write`, which must follow at once, and share a packet with it.
        """
        response = FaithfulResponse(status=status, reason=reason, held=held)
        for name, value in headers:
            response.headers.add(name, value)
        if self._awaits_continue or not _is_http_1(self._request):
            # Whether the body still comes is the client's choice, so what follows on this connection cannot be told.
            response.force_close()
        if self._request_id and not any(name.lower().endswith("request-id") for name, _ in headers):
            response.headers.add("X-Request-Id", self._request_id.lower())
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
        """Send a whole answer; HEAD gets its headers only, and a 204 or 304 says nothing of a length."""
        length = (("Content-Length", str(len(rendered.body))),) if rendered.status not in (204, 304) else ()
        headers = (*rendered.headers, *length)
        if (
            self.rules_for_pages
            and rendered.status < 500
            and not any(name.lower() == _ALLOW_ORIGIN for name, _ in headers)
        ):
            headers = (*headers, *await self.rules_for_pages())
        has_body = bool(rendered.body) and self._request.method != "HEAD"
        await self.begin(rendered.status, None, headers, held=has_body)
        if has_body:
            await self.write(rendered.body)

    async def refuse(self, rendered: Rendered) -> None:
        """Send an error; where another answer has begun, cut the connection, so that it cannot pass for a whole one."""
        if self.begun:
            self.abort()
        else:
            await self.send(rendered)

    def finished(self) -> web.StreamResponse:
        """Return what aiohttp wants to see of the answer; it fails quietly on an aborted connection."""
        return self.response or web.StreamResponse()

    def abort(self) -> None:
        """Cut the connection, so that a half-sent answer cannot pass for a whole one."""
        if self._request.transport is not None:
            self._request.transport.abort()


def read_head(request: web.BaseRequest) -> RequestHead:
    """Take the request's head exactly as it was sent.

    Raises INVALID_URI for a target that is not plain ASCII, holds a fragment or too many parameters, or has neither
    origin form nor absolute form; INVALID_REQUEST for a head without one Host, with bytes that cannot be sent on, or
    of another HTTP than 1; METHOD_NOT_ALLOWED for CONNECT.
    """
    if not _is_http_1(request):
        raise ApiError(
            INVALID_REQUEST, f"HTTP/{request.version.major}", message="Only HTTP/1.0 and HTTP/1.1 are spoken."
        )
    if request.method == "CONNECT":
        raise ApiError(METHOD_NOT_ALLOWED, "CONNECT")
    fields = [(n.decode("ascii").lower(), v.decode("utf-8", "surrogateescape")) for n, v in request.raw_headers]
    hosts = [value for name, value in fields if name == "host"]
    if len(hosts) > 1 or (not hosts and request.version >= HttpVersion11):
        raise ApiError(INVALID_REQUEST, f"{len(hosts)} Host headers")
    if not all(_is_utf8(value) for _, value in fields):
        raise ApiError(INVALID_REQUEST, "a header is not UTF-8", message="A header holds bytes that are not UTF-8.")
    target, authority = _split_target(request.raw_path, hosts[0] if hosts else "")
    raw_path, _, raw_query = target.partition("?")
    if raw_query.count("&") >= _MAX_PARAMETERS:
        raise ApiError(INVALID_URI, "too many parameters", message=f"More than {_MAX_PARAMETERS} query parameters.")
    headers = tuple((name, authority if name == "host" else value) for name, value in fields)
    return RequestHead(request.method, raw_path, raw_query, authority, headers, request.remote or "", request.secure)


def _is_http_1(request: web.BaseRequest) -> bool:
    """Tell whether the request's line says HTTP/1.0 or 1.1; the parser lets 0.9 and 2.0 through as well."""
    return request.version.major == 1


def _split_target(target: str, host: str) -> tuple[str, str]:
    """Return (path and query, authority); an absolute form's own authority wins over the Host header."""
    absolute = _ABSOLUTE.match(target)
    if absolute:
        host, target = absolute["authority"], target[absolute.end() :]
        target = target if target.startswith("/") else f"/{target}"
    is_plain = target.isascii() and target.isprintable() and " " not in target and "#" not in target
    if not target.startswith("/") or not is_plain or not _AUTHORITY.fullmatch(host):
        raise ApiError(INVALID_URI, "not an origin-form or absolute-form ASCII target")
    return target, host
