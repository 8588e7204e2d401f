"""HTTP byte by byte: requests as no SDK would send them, signed, and the answers as they stand on the wire."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.app import utc_now
from gateway.auth import aws_v4

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.served import Place

BUCKET = "raw"
OBJECT = f"/{BUCKET}/hello.txt"
UNSIGNED = "UNSIGNED-PAYLOAD"
_SILENCE_S = 3.0  # after which an answer counts as none
_CONTINUE = b"100-continue"


@dataclass(frozen=True)
class Ask:
    """One request: signed for its path and query, then bent out of shape."""

    method: str = "GET"
    path: str = OBJECT  # `{via}` in it keeps what is sent directly apart from what is sent through the gateway
    query: str = ""
    lines: bytes = b""  # further header lines, each with its CRLF
    body: bytes = b""
    target: str = "{path}{query}"  # `{host}` is the authority
    version: str = "HTTP/1.1"
    signed: Literal["header", "query", "wrong", "no"] = "header"
    amz: tuple[tuple[str, str], ...] = ()  # further headers, signed
    close: bool = True  # says that the connection may end after the answer
    bent: Callable[[bytes], bytes] = bytes  # what becomes of the head last of all

    def head(self, place: Place, via: str) -> bytes:
        """Return the head as it goes on the wire."""
        path, query = self.path.format(via=via), self.query
        signature: tuple[tuple[str, str], ...] = ()
        if self.signed == "query":
            query = place.presigned(self.method, path, self.query)
        elif self.signed != "no":
            signature = self._signature(place, path)
        if self.signed == "wrong":
            signature = tuple(
                (name, re.sub("Signature=.{8}", "Signature=00000000", value)) for name, value in signature
            )
        asked = f"?{query}" if query else ""
        target = self.target.format(path=path, query=asked, host=place.authority)
        headers = (
            ("Host", place.authority),
            *self.amz,
            *signature,
            *((("Connection", "close"),) if self.close else ()),
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
        return self.bent(f"{self.method} {target} {self.version}\r\n".encode("latin-1") + lines + self.lines + b"\r\n")

    def _signature(self, place: Place, path: str) -> tuple[tuple[str, str], ...]:
        return aws_v4.sign(
            *(self.method, path, self.query, (("host", place.authority), *self.amz)),
            access_key_id=place.key_id,
            secret=place.secret,
            region="us-east-1",
            payload=UNSIGNED,
            now=utc_now(),
        )


@dataclass(frozen=True)
class Answer:
    """One answer; header names in lower case, values of repeated ones joined by `, `."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error document, `""` without one."""
        found = re.search(rb"<Code>(\w+)</Code>", self.body)
        return found[1].decode() if found and self.status >= 400 else ""


@dataclass(frozen=True)
class Conversation:
    """What came back on one connection, and how it ended."""

    answers: tuple[Answer, ...]
    closed: bool  # False: the other side fell silent with the connection open


def converse(place: Place, asks: tuple[Ask, ...], via: str, *, half_close: bool = False) -> Conversation:
    """Send the requests in one go over one connection and read all that comes back.

    A client of HTTP/1.1 that expects `100 Continue` waits for it; its body goes out only when it has come.
    """
    host, _, port = place.authority.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=_SILENCE_S)) as connection:
        if half_close:  # data and end arrive as one, so that nothing can be done in between
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        reader, answers = _Reader(connection), list[Answer]()
        try:
            refused = _send(connection, reader, place, asks, via, answers)
            if half_close or refused:
                connection.shutdown(socket.SHUT_WR)
            for ask in () if refused else asks:
                while (answer := reader.answer(ask.method)) and answer.status == 100:
                    answers.append(answer)
                if answer is None:
                    break
                answers.append(answer)
            return Conversation(tuple(answers), reader.ended())
        except TimeoutError:
            return Conversation(tuple(answers), closed=False)
        except OSError:
            return Conversation(tuple(answers), closed=True)


def _send(
    connection: socket.socket, reader: _Reader, place: Place, asks: tuple[Ask, ...], via: str, answers: list[Answer]
) -> bool:
    """Send the requests; tell whether one was refused before its body was sent."""
    pending = b""
    for ask in asks:
        pending += ask.head(place, via)
        if _CONTINUE in ask.lines and ask.body and ask.version == "HTTP/1.1":
            connection.sendall(pending)
            pending = b""
            interim = reader.answer(ask.method)
            answers += [interim] if interim else []
            if interim is None or interim.status != 100:
                return True
        pending += ask.body
    connection.sendall(pending)
    return False


class _Reader:
    """Reads answers off a connection; raises TimeoutError when nothing comes for a while."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._got = b""

    def answer(self, method: str) -> Answer | None:
        """Return the next answer; None when the connection ends before one is whole."""
        while b"\r\n\r\n" not in self._got:
            if not self._more():
                return None
        head, _, self._got = self._got.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            key = name.lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        status = int(first.split(" ")[1])
        bodiless = method == "HEAD" or status in (204, 304) or status < 200
        body = b"" if bodiless else self._body(headers)
        return None if body is None else Answer(status, headers, body)

    def ended(self) -> bool:
        """Tell whether the other side closes the connection, having said nothing more."""
        while self._more():
            pass
        assert self._got == b"", f"more than the answers: {self._got[:200]!r}"
        return True

    def _body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding") == "chunked":
            return self._chunked()
        length = headers.get("content-length")
        while length is None or len(self._got) < int(length):
            if not self._more():
                if length is not None:
                    return None
                length = str(len(self._got))
        body, self._got = self._got[: int(length)], self._got[int(length) :]
        return body

    def _chunked(self) -> bytes | None:
        body = b""
        while True:
            while b"\r\n" not in self._got:
                if not self._more():
                    return None
            size, _, self._got = self._got.partition(b"\r\n")
            wanted = int(size, 16) + 2
            while len(self._got) < wanted:
                if not self._more():
                    return None
            body, self._got = body + self._got[: wanted - 2], self._got[wanted:]
            if wanted == 2:
                return body

    def _more(self) -> bool:
        piece = self._connection.recv(65_536)
        self._got += piece
        return bool(piece)
