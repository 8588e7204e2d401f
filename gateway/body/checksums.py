"""Checksums of a body: their algorithms, their headers and trailers, their verdict. Pure.

Source: Amazon S3 User Guide, "Checking object integrity". Must not know framing or signatures.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gateway.body.crc import CRC32C, CRC64NVME, Crc
from gateway.errors import BAD_DIGEST, CONTENT_SHA256_MISMATCH, INVALID_DIGEST, INVALID_REQUEST, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

PREFIX = "x-amz-checksum-"
SDK_ALGORITHM = "x-amz-sdk-checksum-algorithm"
CONTENT_MD5 = "content-md5"
_ABOUT_CHECKSUMS = frozenset({f"{PREFIX}algorithm", f"{PREFIX}mode", f"{PREFIX}type"})  # they hold no checksum


class Hash(Protocol):
    """What hashlib's objects can do."""

    def update(self, data: bytes, /) -> None:
        """Add the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest of the bytes so far."""
        ...


class Crc32:
    """zlib's CRC-32 with the interface of hashlib's objects."""

    def __init__(self) -> None:
        self._register = 0

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._register = zlib.crc32(data, self._register)

    def digest(self) -> bytes:
        """Return the CRC of the bytes so far, big-endian."""
        return self._register.to_bytes(4, "big")


"""Header (and trailer) name to what starts the hash. These are the algorithms this gateway can prove."""
ALGORITHMS: Mapping[str, Callable[[], Hash]] = {
    f"{PREFIX}crc32": Crc32,
    f"{PREFIX}crc32c": partial(Crc, CRC32C),
    f"{PREFIX}crc64nvme": partial(Crc, CRC64NVME),
    f"{PREFIX}sha1": partial(hashlib.sha1, usedforsecurity=False),
    f"{PREFIX}sha256": hashlib.sha256,
}


class Check(Protocol):
    """One thing that a body has to fulfil."""

    def update(self, data: bytes, /) -> None:
        """Add the next bytes of the body."""
        ...

    def prove(self, trailers: Mapping[str, str], /) -> None:
        """Judge the whole body. Raises ApiError when it is not what was promised."""
        ...


class SignedDigest:
    """The body's SHA-256 must be the one in x-amz-content-sha256 (64 lower-case hex digits)."""

    def __init__(self, digest: str) -> None:
        self._expected = digest
        self._hash = hashlib.sha256()
        self.update = self._hash.update

    def prove(self, _trailers: Mapping[str, str]) -> None:
        """Compare. Raises CONTENT_SHA256_MISMATCH."""
        computed = self._hash.hexdigest()
        if computed != self._expected:
            raise ApiError(
                CONTENT_SHA256_MISMATCH,
                fields=(("ClientComputedContentSHA256", self._expected), ("S3ComputedContentSHA256", computed)),
            )


class ContentMd5:
    """The body's MD5 must be the one in Content-MD5. Raises INVALID_DIGEST when that is no MD5 in base64."""

    def __init__(self, text: str) -> None:
        self._expected = text
        self._hash = hashlib.md5(usedforsecurity=False)
        self.update = self._hash.update
        if not _is_digest(text, self._hash.digest_size):
            raise ApiError(INVALID_DIGEST)

    def prove(self, _trailers: Mapping[str, str]) -> None:
        """Compare. Raises BAD_DIGEST."""
        computed = _text(self._hash)
        if computed != self._expected:
            message = "The Content-MD5 you specified did not match what we received."
            fields = (("ExpectedDigest", self._expected), ("CalculatedDigest", computed))
            raise ApiError(BAD_DIGEST, message=message, fields=fields)


class Checksum:
    """The body's checksum must be the one in a header, or in the trailer of that name when `text` is None.

    Raises INVALID_REQUEST when the text is no such checksum in base64.
    """

    def __init__(self, name: str, text: str | None) -> None:
        self._name = name
        self._hash = ALGORITHMS[name]()
        self.update = self._hash.update
        self._size = len(self._hash.digest())
        self._expected = text
        if text is not None:
            self._check_form(text)

    def prove(self, trailers: Mapping[str, str]) -> None:
        """Compare. Raises BAD_DIGEST, INVALID_REQUEST for a trailer that is no checksum."""
        expected = trailers[self._name] if self._expected is None else self._expected
        self._check_form(expected)
        if _text(self._hash) != expected:
            algorithm = self._name.removeprefix(PREFIX).upper()
            message = f"The {algorithm} you specified did not match the calculated checksum."
            raise ApiError(BAD_DIGEST, message=message)

    def _check_form(self, text: str) -> None:
        if not _is_digest(text, self._size):
            raise ApiError(INVALID_REQUEST, message=f"Value for {self._name} header is invalid.")


@dataclass(frozen=True, slots=True)
class Declared:
    """The one checksum that a request declares: its name, and its value, None when a trailer brings it."""

    name: str
    text: str | None


def declared(headers: Mapping[str, str], trailers: Collection[str]) -> Declared | None:
    """Find the one checksum that a request declares by header (lower-case names) or announced trailer.

    Raises INVALID_REQUEST for several, for one of an unknown algorithm, and for one that is not of the algorithm
    which x-amz-sdk-checksum-algorithm names.
    """
    found = [Declared(name, text) for name, text in headers.items() if _is_checksum(name)]
    found += [Declared(name, None) for name in trailers]
    if not found:
        return None
    if len(found) > 1:
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise ApiError(INVALID_REQUEST, message=message)
    name = found[0].name
    if name not in ALGORITHMS:
        raise ApiError(INVALID_REQUEST, message=f"The checksum {name} is not supported.")
    algorithm = headers.get(SDK_ALGORITHM)
    if algorithm is not None and PREFIX + algorithm.lower() != name:
        raise ApiError(INVALID_REQUEST, message=f"Value for {SDK_ALGORITHM} header is invalid.")
    return found[0]


def _is_checksum(name: str) -> bool:
    return name.startswith(PREFIX) and name not in _ABOUT_CHECKSUMS


def _text(hashed: Hash) -> str:
    return b64encode(hashed.digest()).decode("ascii")


def _is_digest(text: str, size: int) -> bool:
    """Tell whether the text is the base64 of `size` bytes, in the one spelling that encoders produce."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return False
    return len(raw) == size and b64encode(raw).decode("ascii") == text
