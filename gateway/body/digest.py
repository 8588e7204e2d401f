"""Body filters for bodies whose digest was signed. Pure, sans-I/O."""

from __future__ import annotations

import hashlib
from typing import Protocol

from gateway.errors import CONTENT_SHA256_MISMATCH, ApiError


class BodyFilter(Protocol):
    """Turns the bytes a client sends into the bytes that may go to the store.

    `feed` returns what is safe to pass on; at least the last byte stays back until `finish` has seen the proof, so
    that the store, which was promised an exact length, never takes a wrong body for a whole one.
    """

    def feed(self, data: bytes, /) -> bytes:
        """Take the next piece, of any size; return what may be passed on now (perhaps nothing)."""
        ...

    def finish(self) -> bytes:
        """Return what was held back. Raises ApiError when the body is not what was signed."""
        ...


class AsIs:
    """The body that nothing was promised about: passed on as it comes."""

    def feed(self, data: bytes) -> bytes:
        """Return the data."""
        return data

    def finish(self) -> bytes:
        """Return nothing."""
        return b""


class Sha256Filter:
    """Holds the last byte back until the SHA-256 of the whole body equals the signed one."""

    def __init__(self, digest: str) -> None:
        self._expected = digest
        self._hash = hashlib.sha256()
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Hash the data; return it but for its last byte, after the byte held so far."""
        if not data:
            return b""
        self._hash.update(data)
        ready, self._held = self._held + data[:-1], data[-1:]
        return ready

    def finish(self) -> bytes:
        """Return the last byte. Raises CONTENT_SHA256_MISMATCH."""
        computed = self._hash.hexdigest()
        if computed != self._expected:
            raise ApiError(
                CONTENT_SHA256_MISMATCH,
                fields=(("ClientComputedContentSHA256", self._expected), ("S3ComputedContentSHA256", computed)),
            )
        return self._held
