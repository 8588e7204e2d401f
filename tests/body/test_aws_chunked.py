from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.body.aws_chunked import MAX_LINE_BYTES, ChunkDecoder
from gateway.errors import INCOMPLETE_BODY, MALFORMED_TRAILER, SIGNATURE_DOES_NOT_MATCH, ApiError, ErrorKind
from tests.body.samples import CRC32, SEED, crc32, signed_stream, unsigned_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.auth.base import ChunkSeed

HELLO = (b"hello", b" ", b"world")
WORLD = b"hello world"
SUM = (CRC32, crc32(WORLD))


def decoded(decoder: ChunkDecoder, *pieces: bytes) -> tuple[bytes, Mapping[str, str]]:
    out = b"".join(decoder.feed(piece) for piece in pieces)
    return out, decoder.finish()


def refusal(
    stream: bytes, *, seed: ChunkSeed | None = None, trailers: tuple[str, ...] = (), sign: bool = False
) -> ErrorKind:
    """Whole and byte by byte must be refused alike."""
    kinds = set()
    for pieces in ([stream], [stream[place : place + 1] for place in range(len(stream))]):
        with pytest.raises(ApiError) as caught:
            decoded(ChunkDecoder(len(WORLD), seed, trailers, trailer_signed=sign), *pieces)
        kinds.add(caught.value.kind)
    assert len(kinds) == 1
    return kinds.pop()


@pytest.mark.parametrize(
    ("stream", "trailers", "seed"),
    [
        (unsigned_stream(HELLO), (), None),
        (unsigned_stream(HELLO, [SUM]), (CRC32,), None),
        (signed_stream(HELLO), (), SEED),
        (signed_stream(HELLO, [SUM]), (CRC32,), SEED),
        (signed_stream(HELLO, []), (), SEED),
    ],
    ids=["unsigned", "unsigned trailer", "signed", "signed trailer", "signature of no trailer"],
)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_any_split_decodes_to_the_same(
    stream: bytes, trailers: tuple[str, ...], seed: ChunkSeed | None, data: st.DataObject
) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    sign = b"x-amz-trailer-signature" in stream
    for split in (pieces, [stream], [stream[place : place + 1] for place in range(len(stream))]):
        decoder = ChunkDecoder(len(WORLD), seed, trailers, trailer_signed=sign)
        assert decoded(decoder, *split) == (WORLD, dict([SUM]) if trailers else {})


@pytest.mark.parametrize(
    "stream",
    [
        b"00B\r\nhello world\r\n0000\r\n\r\n",
        b"b\r\nhello world\r\n0\r\n\r\n",
    ],
)
def test_sizes_are_hexadecimal_in_any_spelling(stream: bytes) -> None:
    assert decoded(ChunkDecoder(len(WORLD), None), stream) == (WORLD, {})


@pytest.mark.parametrize("value", [SUM[1], f" {SUM[1]}\t", f"{SUM[1]}\n"], ids=["plain", "blanks", "minio-go"])
def test_a_trailers_value_is_stripped(value: str) -> None:
    stream = unsigned_stream(HELLO, [("X-Amz-Checksum-CRC32", value)])
    assert decoded(ChunkDecoder(len(WORLD), None, (CRC32,)), stream)[1] == dict([SUM])


def test_a_trailer_as_minio_go_signs_it_is_accepted() -> None:
    stream = signed_stream(HELLO, [SUM]).replace(SUM[1].encode(), SUM[1].encode() + b"\n")
    assert decoded(ChunkDecoder(len(WORLD), SEED, (CRC32,), trailer_signed=True), stream)[0] == WORLD


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"b\nhello world\r\n0\r\n\r\n",
        b"b\r\nhello world0\r\n\r\n",
        b"b\r\nhello worldXY0\r\n\r\n",
        b"b\r\nhello world!\r\n0\r\n\r\n",
        b"c\r\nhello world!\r\n0\r\n\r\n",
        b"a\r\nhello worl\r\n0\r\n\r\n",
        b"a\r\nhello world\r\n0\r\n\r\n",
        b"b\r\nhello world\r\n1\r\n!\r\n0\r\n\r\n",
        b"b\r\nhello world\r\n",
        b"b\r\nhello world\r\n0\r\n",
        b"b\r\nhello world\r\n0\r\n\r",
        b"0\r\n\r\n",
        b"\r\n",
        b"-b\r\nhello world\r\n0\r\n\r\n",
        b"0xb\r\nhello world\r\n0\r\n\r\n",
        b" b\r\nhello world\r\n0\r\n\r\n",
        b"\xd9\xa1\r\nhello world\r\n0\r\n\r\n",
        b"1_1\r\nhello world\r\n0\r\n\r\n",
        b"b;chunk-signature=" + b"0" * 64 + b"\r\nhello world\r\n0\r\n\r\n",
        b"0" * 16 + b"b\r\nhello world\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nhello world\r\n0\r\n\r\n",
        b"b\r\nhello world\r\n0\r\n\r\n\r\n",
        b"b\r\nhello world\r\n0\r\n\r\nx",
        b"b" * (MAX_LINE_BYTES + 1) + b"\r\n",
        b"b" * (MAX_LINE_BYTES + 2),
    ],
    ids=range(26),
)
def test_broken_framing_is_an_incomplete_body(stream: bytes) -> None:
    assert refusal(stream) is INCOMPLETE_BODY


@pytest.mark.parametrize(
    ("trailers", "lines"),
    [
        ((CRC32,), b""),
        ((), b"x-amz-checksum-crc32:NhCmhg==\r\n"),
        ((CRC32,), b"x-amz-checksum-crc32c:NhCmhg==\r\n"),
        ((CRC32,), b":NhCmhg==\r\n"),
        ((CRC32,), b"nonsense\r\n"),
        ((CRC32,), b"x-amz-checksum-crc32 :NhCmhg==\r\n"),
        ((CRC32,), b"x-amz-checksum-crc32:NhCmhg==\r\n" * 2),
        ((CRC32,), b"x-amz-checksum-crc32:NhCmhg==\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n"),
    ],
    ids=range(8),
)
def test_trailers_that_are_not_as_announced_are_refused(trailers: tuple[str, ...], lines: bytes) -> None:
    stream = b"b\r\nhello world\r\n0\r\n" + lines + b"\r\n"
    assert refusal(stream, trailers=trailers) is MALFORMED_TRAILER


SIGNED = signed_stream(HELLO, [SUM])
SIGNATURE_LINE = SIGNED[SIGNED.index(b"x-amz-trailer-sig") : -2]
SUM_LINE = f"{SUM[0]}:{SUM[1]}\r\n".encode()


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (SIGNED.replace(SIGNATURE_LINE, b""), MALFORMED_TRAILER),
        (SIGNED.replace(SUM_LINE, b""), SIGNATURE_DOES_NOT_MATCH),
        (SIGNED.replace(SUM_LINE, b"").replace(SIGNATURE_LINE, SIGNATURE_LINE + SUM_LINE), SIGNATURE_DOES_NOT_MATCH),
        (SIGNED.replace(SIGNATURE_LINE, SIGNATURE_LINE + SUM_LINE), MALFORMED_TRAILER),
        (SIGNED.replace(SIGNATURE_LINE, SIGNATURE_LINE * 2), MALFORMED_TRAILER),
        (SIGNED.replace(SIGNATURE_LINE, b"x-amz-trailer-signature:\xff\r\n"), SIGNATURE_DOES_NOT_MATCH),
        (SIGNED.replace(SUM_LINE, SUM_LINE.replace(SUM[1].encode(), b"AAAAAA==")), SIGNATURE_DOES_NOT_MATCH),
        (signed_stream(HELLO, []), MALFORMED_TRAILER),
        (signed_stream(HELLO[::-1], [SUM]).replace(b"hello", b"hallo"), SIGNATURE_DOES_NOT_MATCH),
        (unsigned_stream(HELLO, [SUM]), INCOMPLETE_BODY),
    ],
    ids=range(10),
)
def test_a_signed_body_whose_signatures_do_not_fit_is_refused(stream: bytes, kind: ErrorKind) -> None:
    assert refusal(stream, seed=SEED, trailers=(CRC32,), sign=True) is kind


def test_a_chunk_signed_for_another_place_is_refused() -> None:
    """Each signature is right for its bytes, but not after the chunk that now stands before it."""
    first, second = signed_stream([b"hello", b"world"]), signed_stream([b"WORLD", b"world"])
    end = first.index(b"hello") + len(b"hello\r\n")
    with pytest.raises(ApiError) as caught:
        decoded(ChunkDecoder(10, SEED), first[:end] + second[end:])
    assert caught.value.kind is SIGNATURE_DOES_NOT_MATCH


def test_an_empty_body_is_one_last_chunk() -> None:
    assert decoded(ChunkDecoder(0, SEED), signed_stream([])) == (b"", {})
    assert decoded(ChunkDecoder(0, None), unsigned_stream([])) == (b"", {})


def test_a_huge_chunk_is_never_held() -> None:
    gibibyte, piece = 1 << 30, bytes(1000)
    decoder = ChunkDecoder(gibibyte, SEED)
    decoder.feed(b"40000000;chunk-signature=" + b"0" * 64 + b"\r\n")
    tracemalloc.start()
    try:
        came_out = sum(len(decoder.feed(piece)) for _ in range(20_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert came_out == 20_000 * len(piece)
    assert peak < 64 * 1024
