"""The aws-chunked coding: chunks, their signatures, trailers. Pure, sans-I/O.

Source: Amazon S3 API Reference, "Transferring Payload in Multiple Chunks (Chunked Upload)" and "Including Trailing
Headers". Knows the framing; must not know what a trailer means, nor when a body may be believed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from gateway.auth.base import check_signature
from gateway.errors import INCOMPLETE_BODY, MALFORMED_TRAILER, ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.auth.base import ChunkSeed

MAX_LINE_BYTES = 256  # a chunk header needs 97, a trailer 89

_END = b"\r\n"
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_TRAILER_SIGNATURE = "x-amz-trailer-signature"
_UNSIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16})()")
_SIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})")


class _Line(Enum):
    """What the next line must be."""

    CHUNK_HEADER = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    LAST = auto()
    NONE = auto()


class ChunkDecoder:
    """Takes the framing off a body of `length` decoded bytes and checks everything that the framing proves.

    `seed` starts the chain of signatures, None for unsigned chunks; `trailers` are the announced names, lower-case;
    `trailer_signed` says that a signed body ends with a signature of its trailers. The bytes of a chunk come out
    before its signature is checked: whoever uses the decoder holds the last byte back until `finish` has returned.
    Memory is one line, whatever sizes a client declares.
    """

    def __init__(
        self, length: int, seed: ChunkSeed | None, trailers: tuple[str, ...] = (), *, trailer_signed: bool = False
    ) -> None:
        self._missing = length  # decoded bytes that no chunk has announced yet
        self._left = 0  # bytes that the current chunk still has to bring
        self._chain = SignatureChain(seed) if seed else None
        self._claimed = ""  # the current chunk's signature
        self._announced = trailers
        self._signature_due = trailer_signed
        self._trailers: dict[str, str] = {}
        self._line = b""
        self._next = _Line.CHUNK_HEADER

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the coded body, return the decoded bytes in it.

        Raises INCOMPLETE_BODY for broken framing, MALFORMED_TRAILER, SIGNATURE_DOES_NOT_MATCH.
        """
        ready: list[bytes] = []
        position = 0
        while position < len(data):
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                if self._chain:
                    self._chain.update(piece)
                ready.append(piece)
            else:
                position = self._read_line(data, position)
        return b"".join(ready)

    def finish(self) -> Mapping[str, str]:
        """Return the trailers by lower-case name. Raises INCOMPLETE_BODY when the body has not come to its end."""
        if self._next is not _Line.NONE:
            raise _broken("the body ends early")
        return self._trailers

    def _read_line(self, data: bytes, position: int) -> int:
        """Take bytes up to the end of a line, act on it when it is whole, return where to go on."""
        if self._next is _Line.NONE:
            raise _broken("something follows the end")
        longest = MAX_LINE_BYTES + len(_END)
        line = self._line + data[position : position + longest - len(self._line)]
        end = line.find(_END)
        if end < 0 and len(line) == longest:
            raise _broken("a line is too long")
        if end < 0:
            self._line = line
            return len(data)
        position += end + len(_END) - len(self._line)
        self._line = b""
        self._take(line[:end])
        return position

    def _take(self, line: bytes) -> None:
        match self._next:
            case _Line.CHUNK_HEADER:
                self._begin_chunk(line)
            case _Line.CHUNK_END:
                self._end_chunk(line)
            case _Line.TRAILER if line:
                self._take_trailer(line)
            case _:
                self._end_body(line)

    def _begin_chunk(self, line: bytes) -> None:
        match = (_SIGNED_HEADER if self._chain else _UNSIGNED_HEADER).fullmatch(line)
        if match is None:
            raise _broken("not a chunk header")
        self._left = int(match[1], 16)
        self._claimed = match[2].decode("ascii")
        self._missing -= self._left
        if self._missing < 0 or (self._missing and not self._left):
            raise _broken("the chunks do not add up to x-amz-decoded-content-length")
        if self._left:
            self._next = _Line.CHUNK_END
        else:
            self._prove_chunk()
            self._next = _Line.TRAILER

    def _end_chunk(self, line: bytes) -> None:
        if line:
            raise _broken("a chunk does not end where its size says")
        self._prove_chunk()
        self._next = _Line.CHUNK_HEADER

    def _prove_chunk(self) -> None:
        if self._chain:
            self._chain.prove_chunk(self._claimed)

    def _take_trailer(self, line: bytes) -> None:
        # minio-go ends a trailer with LF CR LF; the first of them belongs to what it signs.
        name, _, value = line.removesuffix(b"\n").decode("latin-1").partition(":")
        name = name.lower()
        if self._chain and self._signature_due and name == _TRAILER_SIGNATURE:
            self._chain.prove_trailers(self._trailers, value)
            self._signature_due, self._next = False, _Line.LAST
        elif name in self._announced and name not in self._trailers:
            self._trailers[name] = value.strip(" \t")
        else:
            raise ApiError(MALFORMED_TRAILER, "a trailer that was not announced, or doubled")

    def _end_body(self, line: bytes) -> None:
        if line or self._signature_due or self._trailers.keys() != set(self._announced):
            raise ApiError(MALFORMED_TRAILER, "a trailer is missing, or follows the signature")
        self._next = _Line.NONE


class SignatureChain:
    """The signatures of a body's chunks, each made over the one before it."""

    def __init__(self, seed: ChunkSeed) -> None:
        self._seed = seed
        self._previous = seed.signature
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Add bytes to the current chunk."""
        self._hash.update(data)

    def prove_chunk(self, claimed: str) -> None:
        """Close the current chunk. Raises SIGNATURE_DOES_NOT_MATCH."""
        self._prove(claimed, "AWS4-HMAC-SHA256-PAYLOAD", f"{_EMPTY_SHA256}\n{self._hash.hexdigest()}")
        self._previous, self._hash = claimed, hashlib.sha256()

    def prove_trailers(self, trailers: Mapping[str, str], claimed: str) -> None:
        """Prove the trailers, in their order. Raises SIGNATURE_DOES_NOT_MATCH."""
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        self._prove(claimed, "AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(lines.encode("latin-1")).hexdigest())

    def _prove(self, claimed: str, algorithm: str, digests: str) -> None:
        to_sign = f"{algorithm}\n{self._seed.signed_at}\n{self._seed.scope}\n{self._previous}\n{digests}"
        check_signature(hmac.digest(self._seed.key, to_sign.encode("utf-8"), "sha256").hex(), claimed)


def _broken(detail: str) -> ApiError:
    return ApiError(INCOMPLETE_BODY, detail, message=f"The aws-chunked request body is not well-formed: {detail}.")
