"""Uploads made by hand, byte by byte, with chunk signatures of their own making: nothing here is the gateway's code
but the signature of the head.

Source of the chunks: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring
Payload in Multiple Chunks" and "... Including trailing headers".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import struct
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.app import utc_now
from gateway.auth import aws_v4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.served import Place

Headers = tuple[tuple[str, str], ...]
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
MODES = (UNSIGNED_TRAILER, SIGNED, SIGNED_TRAILER)
CHUNK_BYTES = 8192
REGION = "us-east-1"
PAUSE_S = 0.01


@dataclass(frozen=True)
class Upload:
    """A PUT as it goes over the wire; `framing` are the positions in its body that are not the object's bytes."""

    target: str
    headers: Headers
    body: bytes
    framing: tuple[int, ...] = ()

    def head(self) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in (*self.headers, ("connection", "close"))]
        return f"PUT {self.target} HTTP/1.1\r\n{''.join(lines)}content-length: {len(self.body)}\r\n\r\n".encode()

    def with_body(self, body: bytes) -> Upload:
        return Upload(self.target, self.headers, body)

    def flipped(self, position: int, bit: int) -> Upload:
        """Return the upload with one bit of its body the other way round."""
        body = bytearray(self.body)
        body[position] ^= 1 << bit
        return self.with_body(bytes(body))


def plain(place: Place, path: str, query: str, body: bytes, payload: str, headers: Headers = ()) -> Upload:
    """Return a PUT whose head is signed, with the given x-amz-content-sha256."""
    given = (("host", place.authority), *headers)
    signature = aws_v4.sign(
        "PUT",
        path,
        query,
        given,
        access_key_id=place.key_id,
        secret=place.secret,
        region=REGION,
        payload=payload,
        now=utc_now(),
    )
    return Upload(f"{path}?{query}" if query else path, (*given, *signature), body)


def chunked(place: Place, path: str, query: str, data: bytes, mode: str) -> Upload:
    """Return a PUT in one of the aws-chunked modes, with the right signatures and checksum."""
    headers: Headers = (("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(data))))
    if mode != SIGNED:
        headers = (*headers, ("x-amz-trailer", "x-amz-checksum-crc32"))
    head = plain(place, path, query, b"", mode, headers)
    signer = None if mode == UNSIGNED_TRAILER else ChunkSigner.of(head.headers, place.secret.reveal())
    body, framing = b"", list[int]()
    for piece, is_framing in pieces(data, signer, with_trailer=mode != SIGNED):
        if is_framing:
            framing.extend(range(len(body), len(body) + len(piece)))
        body += piece
    return Upload(head.target, head.headers, body, tuple(framing))


def pieces(data: bytes, signer: ChunkSigner | None, *, with_trailer: bool) -> Iterator[tuple[bytes, bool]]:
    """Yield the body piece by piece, and whether the piece is framing."""
    for start in range(0, len(data), CHUNK_BYTES):
        chunk = data[start : start + CHUNK_BYTES]
        yield chunk_line(chunk, signer), True
        yield chunk, False
        yield b"\r\n", True
    yield chunk_line(b"", signer), True
    if with_trailer:
        line = "x-amz-checksum-crc32:" + crc32_base64(data)
        yield line.encode() + b"\r\n", True
        if signer:
            yield f"x-amz-trailer-signature:{signer.trailer(line)}\r\n".encode(), True
    yield b"\r\n", True


def chunk_line(chunk: bytes, signer: ChunkSigner | None) -> bytes:
    extension = f";chunk-signature={signer.chunk(chunk)}" if signer else ""
    return f"{len(chunk):x}{extension}\r\n".encode()


def crc32_base64(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@dataclass
class ChunkSigner:
    """The chain of chunk signatures that starts at the head's."""

    key: bytes
    previous: str
    date: str
    scope: str

    @classmethod
    def of(cls, headers: Headers, secret: str) -> ChunkSigner:
        fields = dict(headers)
        authorization, date = fields["authorization"], fields["x-amz-date"]
        scope = f"{date[:8]}/{REGION}/s3/aws4_request"
        key = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return cls(key, authorization.rpartition("Signature=")[2], date, scope)

    def chunk(self, data: bytes) -> str:
        return self._next("AWS4-HMAC-SHA256-PAYLOAD", hashlib.sha256(b"").hexdigest(), hashlib.sha256(data).hexdigest())

    def trailer(self, line: str) -> str:
        return self._next("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(f"{line}\n".encode()).hexdigest())

    def _next(self, algorithm: str, *digests: str) -> str:
        text = "\n".join((algorithm, self.date, self.scope, self.previous, *digests))
        self.previous = hmac.new(self.key, text.encode(), "sha256").hexdigest()
        return self.previous


def send(place: Place, upload: Upload, pause_at: int = 0) -> tuple[int, str]:
    """Send an upload whole; return status and body of the answer.

    The pause before one byte lets everything before it travel as far as it can.
    """
    with connected(place) as connection:
        connection.sendall(upload.head() + upload.body[:pause_at])
        time.sleep(PAUSE_S if pause_at else 0)
        connection.sendall(upload.body[pause_at:])
        return answer(connection)


def send_in_part(place: Place, upload: Upload, length: int, *, vanish: bool) -> int:
    """Send the first `length` bytes of the body, then reset the connection (0 is returned), or end it and listen."""
    with connected(place) as connection:
        connection.sendall(upload.head() + upload.body[:length])
        if vanish:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return 0
        connection.shutdown(socket.SHUT_WR)
        try:
            return answer(connection)[0]
        except (ConnectionError, http.client.HTTPException):
            return 0


def connected(place: Place) -> socket.socket:
    host, _, port = place.authority.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def answer(connection: socket.socket) -> tuple[int, str]:
    received = http.client.HTTPResponse(connection)
    received.begin()
    with received:
        return received.status, received.read().decode()
