"""From what a request promises about its body to the one filter that proves it all. Pure, sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.auth.base import Chunked, Sha256
from gateway.body import checksums
from gateway.body.aws_chunked import ChunkDecoder
from gateway.errors import INVALID_REQUEST, MALFORMED_TRAILER, MISSING_CONTENT_LENGTH, ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.auth.base import Payload
    from gateway.body.checksums import Check, Declared
    from gateway.request import Headers

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_CODING = "aws-chunked"
_DECODED_LENGTH = "x-amz-decoded-content-length"
_TRAILER = "x-amz-trailer"
_TRAILER_MODE = "-TRAILER"


class BodyFilter(Protocol):
    """Turns the bytes a client sends into the bytes that may go to the store.

    `feed` returns what is safe to pass on; at least the last byte stays back until `finish` has seen the proof, so
    that the store, which was promised an exact length, never takes a wrong body for a whole one.
    """

    def feed(self, data: bytes, /) -> bytes:
        """Take the next piece, of any size; return what may be passed on now (perhaps nothing). Raises ApiError."""
        ...

    def finish(self) -> bytes:
        """Return what was held back. Raises ApiError when the body is not what was promised."""
        ...


class AsIs:
    """The body that nothing was promised about: passed on as it comes."""

    def feed(self, data: bytes) -> bytes:
        """Return the data."""
        return data

    def finish(self) -> bytes:
        """Return nothing."""
        return b""


class ProvenBody:
    """Decodes a body, checks it, and holds its last byte back until everything is proven."""

    def __init__(self, decoder: ChunkDecoder | None, checks: tuple[Check, ...]) -> None:
        self._decoder = decoder
        self._checks = checks
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what the data decodes to but for its last byte, after the byte held so far."""
        decoded = self._decoder.feed(data) if self._decoder else data
        if not decoded:
            return b""
        for check in self._checks:
            check.update(decoded)
        ready, self._held = self._held + decoded[:-1], decoded[-1:]
        return ready

    def finish(self) -> bytes:
        """Return the last byte (nothing of an empty body). Raises ApiError."""
        trailers = self._decoder.finish() if self._decoder else {}
        for check in self._checks:
            check.prove(trailers)
        return self._held


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """How one body is proven, and what the store is told about it.

    `length` is in bytes, as they leave the filter; None when the client declares none. `payload` is the
    x-amz-content-sha256 for the store, `headers` the request headers that go on.
    """

    body_filter: BodyFilter
    length: int | None
    payload: str
    headers: Headers


def plan(payload: Payload, headers: Headers, content_length: int | None, *, of_object: bool = False) -> BodyPlan:
    """Say how the body that comes with these headers (lower-case names) is proven.

    `of_object` says that an x-amz-checksum-* header is about the whole object and not about this body, as in
    CompleteMultipartUpload. Raises MISSING_CONTENT_LENGTH for an aws-chunked body without a decoded length,
    MALFORMED_TRAILER for trailers outside the modes that have them, INVALID_REQUEST and INVALID_DIGEST for checksums
    that are malformed, several, unknown or contradictory.
    """
    said = _said_once(headers, of_object=of_object)
    announced = _announced(payload, said)
    checksum = checksums.declared(said, announced)
    checks = _promised(said, checksum)
    if isinstance(payload, Chunked):
        return _decoding(payload, said, announced, checks, headers)
    if isinstance(payload, Sha256):
        checks = (checksums.SignedDigest(payload.digest), *checks)
    body_filter = ProvenBody(None, checks) if checks else AsIs()
    literal = payload.digest if isinstance(payload, Sha256) else UNSIGNED_PAYLOAD
    return BodyPlan(body_filter, content_length, literal, headers)


def _decoding(
    payload: Chunked,
    said: Mapping[str, str],
    announced: tuple[str, ...],
    checks: tuple[Check, ...],
    headers: Headers,
) -> BodyPlan:
    length = _decoded_length(said)
    signed_trailer = payload.seed is not None and payload.mode.endswith(_TRAILER_MODE)
    decoder = ChunkDecoder(length, payload.seed, announced, trailer_signed=signed_trailer)
    kept = _without_framing(headers, by_trailer=bool(announced))
    return BodyPlan(ProvenBody(decoder, checks), length, UNSIGNED_PAYLOAD, kept)


def _said_once(headers: Headers, *, of_object: bool) -> Mapping[str, str]:
    """Return the headers that say something about the body. Raises INVALID_REQUEST when one is repeated."""
    names = {checksums.CONTENT_MD5, checksums.SDK_ALGORITHM, _DECODED_LENGTH, _TRAILER}
    found: dict[str, str] = {}
    for name, value in headers:
        if name in names or (name.startswith(checksums.PREFIX) and not of_object):
            if name in found:
                raise ApiError(INVALID_REQUEST, f"header {name} sent more than once")
            found[name] = value.strip(" \t")
    return found


def _announced(payload: Payload, said: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the trailers to come, lower-case."""
    if _TRAILER not in said:
        return ()
    if not (isinstance(payload, Chunked) and payload.mode.endswith(_TRAILER_MODE)):
        raise ApiError(MALFORMED_TRAILER, "x-amz-trailer in a mode without trailers")
    names = tuple(name.strip(" \t").lower() for name in said[_TRAILER].split(","))
    if not all(name.startswith(checksums.PREFIX) for name in names):
        raise ApiError(INVALID_REQUEST, message="The value specified in the x-amz-trailer header is not supported")
    return names


def _promised(said: Mapping[str, str], checksum: Declared | None) -> tuple[Check, ...]:
    checks: list[Check] = []
    if checksums.CONTENT_MD5 in said:
        checks.append(checksums.ContentMd5(said[checksums.CONTENT_MD5]))
    if checksum:
        checks.append(checksums.Checksum(checksum.name, checksum.text))
    return tuple(checks)


def _decoded_length(said: Mapping[str, str]) -> int:
    text = said.get(_DECODED_LENGTH, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        message = f"You must provide the {_DECODED_LENGTH} HTTP header."
        raise ApiError(MISSING_CONTENT_LENGTH, message=message)
    return int(text)


def _without_framing(headers: Headers, *, by_trailer: bool) -> Headers:
    """Take out what speaks of the coding; the store gets the decoded body, and no trailer."""
    dropped = {_DECODED_LENGTH, _TRAILER, *((checksums.SDK_ALGORITHM,) if by_trailer else ())}
    kept = [(name, _decoded(value) if name == "content-encoding" else value) for name, value in headers]
    return tuple((name, value) for name, value in kept if name not in dropped and (value or name != "content-encoding"))


def _decoded(content_encoding: str) -> str:
    codings = content_encoding.split(",")
    return ",".join(coding for coding in codings if coding.strip(" \t").lower() != _CODING).strip(" \t")
