"""Bodies as clients code and sign them, built from the documentation and sharing no code with the decoder."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING

from gateway.auth.base import ChunkSeed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.body.filters import BodyFilter

SEED = ChunkSeed(b"k" * 32, "5" * 64, "20261121T050125Z", "20261121/us-east-1/s3/aws4_request")
CRC32 = "x-amz-checksum-crc32"
NOTHING = hashlib.sha256(b"").hexdigest()


def crc32(data: bytes) -> str:
    return b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def unsigned_stream(chunks: Iterable[bytes], trailers: Iterable[tuple[str, str]] = ()) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed + b"0\r\n" + "".join(f"{name}:{value}\r\n" for name, value in trailers).encode() + b"\r\n"


def signed_stream(
    chunks: Iterable[bytes], trailers: Iterable[tuple[str, str]] | None = None, seed: ChunkSeed = SEED
) -> bytes:
    """Sign each chunk, and the trailers too unless they are None."""
    previous, parts = seed.signature, []
    for chunk in (*chunks, b""):
        digests = f"{NOTHING}\n{hashlib.sha256(chunk).hexdigest()}"
        previous = _sign(seed, "AWS4-HMAC-SHA256-PAYLOAD", previous, digests)
        parts.append(b"%x;chunk-signature=%b\r\n%b\r\n" % (len(chunk), previous.encode(), chunk))
    if trailers is None:
        return b"".join(parts)
    lines = [f"{name}:{value}" for name, value in trailers]
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    lines.append(f"x-amz-trailer-signature:{_sign(seed, 'AWS4-HMAC-SHA256-TRAILER', previous, digest)}")
    return b"".join(parts).removesuffix(b"\r\n") + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def _sign(seed: ChunkSeed, algorithm: str, previous: str, digests: str) -> str:
    text = f"{algorithm}\n{seed.signed_at}\n{seed.scope}\n{previous}\n{digests}"
    return hmac.new(seed.key, text.encode(), "sha256").hexdigest()


def passed(body_filter: BodyFilter, pieces: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Return what came out before the proof, and with it."""
    before = b"".join(body_filter.feed(piece) for piece in pieces)
    return before, body_filter.finish()
