"""The border between a client's connection and the core: heads and bodies in, answers out. Knows no vendors."""

from __future__ import annotations

import re
from email.utils import formatdate
from enum import Enum, auto
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING

from gateway.connection import BrokenBodyError
from gateway.errors import INCOMPLETE_BODY, INVALID_REQUEST, INVALID_URI, METHOD_NOT_ALLOWED, ApiError
from gateway.request import RequestHead
from gateway.splice import SinkGoneError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.connection import Incoming
    from gateway.dialects.base import Rendered
    from gateway.request import Headers

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUSES = frozenset(HTTPStatus)
_MAX_PARAMETERS = 256
_SHORT = 64  # bytes; longer names of headers are not worth remembering
_ALLOW_ORIGIN = "access-control-allow-origin"
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]+)")
# No user information, no blanks; empty only where HTTP/1.0 sends no Host.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{0,5})?")


class _Framing(Enum):
    """How a client knows where an answer's body ends."""

    NONE = auto()  # there is none
    LENGTH = auto()
    CHUNKS = auto()
    END = auto()  # of the connection


class ClientGoneError(Exception):
    """The client closed its connection; nobody is left to answer."""


def _is_utf8(text: str) -> bool:
    """Tell whether a decoded header is free of the surrogates that stand for bytes which are not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


class Exchange:
    """One request and the answer to it, seen from the server's side."""

    def __init__(self, incoming: Incoming, spool_bytes: int, request_id: str = "") -> None:
        self._incoming = incoming
        self._connection = incoming.connection
        self._request_id = request_id  # told where neither the dialect nor the store names one
        self.spool_bytes = spool_bytes  # how much of a body without a declared length may be kept aside
        self.status = 0  # of the answer that was begun; 0 when nobody was left to answer
        self.sent_bytes = 0
        self.received_bytes = 0
        self.rules_for_pages: Callable[[], Awaitable[Headers]] | None = None  # what CORS adds to our own answers
        self._told: Headers = ()
        self._told_names: tuple[str, ...] = ()  # of the same headers, lower-case
        self._held = b""  # a head that waits for the first piece of the body
        self._framing = _Framing.NONE
        self._missing_bytes = 0  # of the length that was declared
        self._awaits_continue = (
            "100-continue" in incoming.headers.get("Expect", "").lower() and not incoming.is_http_1_0
        )

    @property
    def begun(self) -> bool:
        """Tell whether a status line is already on its way, so that another one can no longer be sent."""
        return self.status > 0

    def told(self, name: str) -> str:
        """Return a header of the answer that was begun, by its lower-case name; `""` when it has none."""
        return self._told[self._told_names.index(name)][1] if name in self._told_names else ""

    @property
    def declared_length(self) -> int | None:
        """The request's Content-Length in bytes; None when it declares none (chunked, or no body)."""
        text = self._incoming.headers.get("Content-Length")
        return None if text is None else int(text)

    @property
    def has_body(self) -> bool:
        """Tell whether the request carries a body (of whatever length)."""
        return self._incoming.has_body

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it arrives; asks for it first where the client waits for `100 Continue`.

        Raises INCOMPLETE_BODY when the client breaks off.
        """
        if self._awaits_continue:
            self._awaits_continue = False
            self._send(CONTINUE)
        try:
            async for chunk in self._incoming.content.iter_any():
                self.received_bytes += len(chunk)
                yield chunk
        except (BrokenBodyError, ConnectionError) as error:
            raise ApiError(INCOMPLETE_BODY, f"client broke off: {type(error).__name__}") from error

    async def begin(self, status: int, reason: str | None, headers: Headers, *, held: bool = False) -> None:
        """Send status line and headers. A length, if there is one, is among the headers.

        With `held` they wait for the first `write`, which must follow at once, and share a packet with it.
        """
        names = tuple([name.lower() for name, _ in headers])
        head = self._head(status, reason, headers, names)
        self.status, self._told, self._told_names = status, headers, names
        if held:
            self._held = head
        else:
            self._send(head)
            await self._taken()

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body; returns when the client has taken enough of it (back-pressure)."""
        assert self.status, "begin() comes first"  # noqa: S101 # a caller's mistake, not a client's
        if self._framing is _Framing.NONE or not chunk:  # an empty one would be the end of chunks
            return
        if self._framing is _Framing.CHUNKS:
            self._send(b"%b%x\r\n%b\r\n" % (self._held, len(chunk), chunk))
        else:
            self._send(self._held + chunk if self._held else chunk)
        self._held = b""
        if self._framing is _Framing.LENGTH:
            self._missing_bytes -= len(chunk)
        await self._taken()
        self.sent_bytes += len(chunk)

    @property
    def is_bare(self) -> bool:
        """Tell whether what is written to the client's socket is what the client reads: not so with TLS."""
        return self._connection.transport is not None and not self._connection.secure

    async def pour(self, rest: Callable[[int, Callable[[int], None]], Awaitable[None]]) -> None:
        """Let somebody write the rest of the body to the client's socket, as soon as that has all that was written."""
        try:
            transport = await self._connection.flushed()
            await rest(transport.get_extra_info("socket").fileno(), self._poured)
        except (ConnectionError, SinkGoneError) as error:
            raise ClientGoneError from error

    def _poured(self, count: int) -> None:
        self._missing_bytes -= count
        self.sent_bytes += count

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
        has_body = bool(rendered.body) and self._incoming.method != "HEAD"
        await self.begin(rendered.status, None, headers, held=has_body)
        if has_body:
            await self.write(rendered.body)

    async def refuse(self, rendered: Rendered) -> None:
        """Send an error; where another answer has begun, cut the connection, so that it cannot pass for a whole one."""
        if self.begun:
            self.abort()
        else:
            await self.send(rendered)

    def end(self) -> None:
        """Mark the end of an answer in chunks; one that never began, or lacks bytes that it promised, is cut off."""
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            return
        if not self.begun or self._held or self._missing_bytes:
            transport.abort()
        elif self._framing is _Framing.CHUNKS:
            transport.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection, so that a half-sent answer cannot pass for a whole one."""
        if self._connection.transport is not None:
            self._connection.transport.abort()

    def _head(self, status: int, reason: str | None, headers: Headers, names: tuple[str, ...]) -> bytes:
        """Write status line and headers as they are given, with Date, and what says how the body is framed."""
        incoming = self._incoming
        if self._awaits_continue or incoming.version.major != 1:
            # Whether the body still comes is the client's choice, so what follows on this connection cannot be told.
            incoming.stays_open = False
        lines = [f"HTTP/{incoming.version.major}.{incoming.version.minor} {status} {_phrase(status, reason)}"]
        length = int(headers[names.index("content-length")][1]) if "content-length" in names else None
        # How this connection frames the body is told below; an answer 204 has none, and no length.
        unsaid = ("transfer-encoding", "content-length") if status == 204 else ("transfer-encoding",)
        lines += [
            f"{name}: {value}" for lower, (name, value) in zip(names, headers, strict=True) if lower not in unsaid
        ]
        if self._request_id and not _names_a_request_id(names):
            lines.append(f"X-Request-Id: {self._request_id.lower()}")
        if "date" not in names:
            lines.append(_date(int(time())))
        return _joined([*lines, *self._framed(status, length)])

    def _framed(self, status: int, length: int | None) -> list[str]:
        """Decide how the client is told where the body ends; return the headers that this takes."""
        incoming, lines = self._incoming, []
        if incoming.method != "HEAD" and status not in (204, 304):
            if length is not None:
                self._framing, self._missing_bytes = _Framing.LENGTH, length
            elif incoming.is_http_1_0:
                self._framing, incoming.stays_open = _Framing.END, False
            else:
                self._framing = _Framing.CHUNKS
                lines.append("Transfer-Encoding: chunked")
        if incoming.stays_open == incoming.is_http_1_0:
            lines.append("Connection: keep-alive" if incoming.stays_open else "Connection: close")
        return lines

    def _send(self, data: bytes) -> None:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError
        transport.write(data)

    async def _taken(self) -> None:
        if self._connection.writing_paused:
            try:
                await self._connection.drain()
            except ConnectionError as error:
                raise ClientGoneError from error


@lru_cache(maxsize=256)  # a store's answers have the same few sets of headers
def _names_a_request_id(names: tuple[str, ...]) -> bool:
    return any(name.endswith("request-id") for name in names)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}"


def _joined(lines: list[str]) -> bytes:
    """Write a head. Raises ValueError where a line break in a field would begin another one."""
    text = "\r\n".join(lines)
    if not text.count("\n") == text.count("\r") == len(lines) - 1 or "\0" in text:
        raise ValueError("a line break inside of a header")
    return f"{text}\r\n\r\n".encode("utf-8", "surrogateescape")


def _phrase(status: int, reason: str | None) -> str:
    if reason is not None:
        return reason
    return HTTPStatus(status).phrase if status in _STATUSES else ""


def read_head(request: Incoming) -> RequestHead:
    """Take the request's head exactly as it was sent.

    Raises INVALID_URI for a target that is not plain ASCII, holds a fragment or too many parameters, or has neither
    origin form nor absolute form; INVALID_REQUEST for a head without one Host, with bytes that cannot be sent on, or
    of another HTTP than 1, or with a length that no body can have; METHOD_NOT_ALLOWED for CONNECT.
    """
    if request.version.major != 1:  # the parser lets 0.9 and 2.0 through as well
        raise ApiError(
            INVALID_REQUEST, f"HTTP/{request.version.major}", message="Only HTTP/1.0 and HTTP/1.1 are spoken."
        )
    if not request.has_body and request.headers.get("Content-Length", "").strip("0"):
        request.stays_open = False  # the parser takes 2^64 - 1 for no body, and all that comes for one
        raise ApiError(INVALID_REQUEST, "a length beyond all lengths", message="The Content-Length is too large.")
    if request.method == "CONNECT":
        raise ApiError(METHOD_NOT_ALLOWED, "CONNECT")
    fields = [
        (_name(name) if len(name) <= _SHORT else _name.__wrapped__(name), value.decode("utf-8", "surrogateescape"))
        for name, value in request.raw_headers
    ]
    hosts = [value for name, value in fields if name == "host"]
    if len(hosts) > 1 or (not hosts and not request.is_http_1_0):
        raise ApiError(INVALID_REQUEST, f"{len(hosts)} Host headers")
    if not (text := "".join([value for _, value in fields])).isascii() and not _is_utf8(text):
        raise ApiError(INVALID_REQUEST, "a header is not UTF-8", message="A header holds bytes that are not UTF-8.")
    target, authority = _split_target(request.raw_path, hosts[0] if hosts else "")
    raw_path, _, raw_query = target.partition("?")
    if raw_query.count("&") >= _MAX_PARAMETERS:
        raise ApiError(INVALID_URI, "too many parameters", message=f"More than {_MAX_PARAMETERS} query parameters.")
    headers = tuple(fields)
    if hosts and hosts[0] != authority:
        headers = tuple((name, authority if name == "host" else value) for name, value in fields)
    return RequestHead(
        request.method, raw_path, raw_query, authority, headers, request.connection.peer, request.connection.secure
    )


@lru_cache(maxsize=1024)  # clients send the same ones again and again
def _name(raw: bytes) -> str:
    return raw.decode("ascii").lower()


def _split_target(target: str, host: str) -> tuple[str, str]:
    """Return (path and query, authority); an absolute form's own authority wins over the Host header."""
    if not target.startswith("/") and (absolute := _ABSOLUTE.match(target)):
        host, target = absolute["authority"], target[absolute.end() :]
        target = target if target.startswith("/") else f"/{target}"
    is_plain = target.isascii() and target.isprintable() and " " not in target and "#" not in target
    if not target.startswith("/") or not is_plain or not _AUTHORITY.fullmatch(host):
        raise ApiError(INVALID_URI, "not an origin-form or absolute-form ASCII target")
    return target, host
