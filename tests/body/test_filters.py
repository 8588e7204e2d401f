from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth import aws_v4
from gateway.auth.base import Chunked, Payload, Sha256, Unsigned
from gateway.body.filters import AsIs, BodyPlan, plan
from gateway.credentials import Secret
from gateway.errors import (
    BAD_DIGEST,
    CONTENT_SHA256_MISMATCH,
    INVALID_DIGEST,
    INVALID_REQUEST,
    MALFORMED_TRAILER,
    MISSING_CONTENT_LENGTH,
    ApiError,
    ErrorKind,
)
from gateway.request import HostMap, RequestHead, locate
from tests.body.samples import CRC32, SEED, crc32, passed, signed_stream, unsigned_stream
from tests.digests import content_md5
from tests.vectors import FOLDER, MISSING, moment_of, read_head

UNSIGNED_TRAILER = Chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
SIGNED = Chunked("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", SEED)
SIGNED_TRAILER = Chunked("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", SEED)
BODY = bytes(range(256))
CHUNKS = (BODY[:100], BODY[100:168], BODY[168:])  # in hexadecimal all of them are digits: no case to flip
LENGTH = ("x-amz-decoded-content-length", "256")
TRAILER = ("x-amz-trailer", CRC32)
MD5 = content_md5(BODY)
NAMES = re.compile(rb"[a-z]+(?=[a-z0-9-]*:)")  # the letters of a trailer's name
STREAMS = {
    "unsigned trailer": (UNSIGNED_TRAILER, (LENGTH, TRAILER), unsigned_stream(CHUNKS, [(CRC32, crc32(BODY))])),
    "signed": (SIGNED, (LENGTH,), signed_stream(CHUNKS)),
    "signed trailer": (SIGNED_TRAILER, (LENGTH, TRAILER), signed_stream(CHUNKS, [(CRC32, crc32(BODY))])),
}
each_stream = pytest.mark.parametrize(("payload", "headers", "stream"), STREAMS.values(), ids=STREAMS)
Headers = tuple[tuple[str, str], ...]


def refused_before_the_last_byte(planned: BodyPlan, stream: bytes, *, whole: bytes = BODY) -> bool:
    came_out, body_filter = b"", planned.body_filter
    try:
        for place in range(0, len(stream), 7):
            came_out += body_filter.feed(stream[place : place + 7])
        came_out += body_filter.finish()
    except ApiError:
        return len(came_out) < len(whole)
    return False


def planning_refused(payload: Payload, headers: Headers) -> ErrorKind:
    with pytest.raises(ApiError) as caught:
        plan(payload, headers, None)
    return caught.value.kind


@each_stream
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_any_split_gives_the_same_body_and_the_last_byte_waits_for_the_proof(
    payload: Payload, headers: Headers, stream: bytes, data: st.DataObject
) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    for split in (pieces, [stream], [stream[place : place + 1] for place in range(len(stream))]):
        assert passed(plan(payload, headers, None).body_filter, split) == (BODY[:-1], BODY[-1:])


@each_stream
def test_a_flipped_bit_anywhere_is_refused_before_the_last_byte(
    payload: Payload, headers: Headers, stream: bytes
) -> None:
    """Only the case of a letter in a trailer's name changes nothing: field names have none."""
    harmless = {(place, 5) for match in NAMES.finditer(stream) for place in range(*match.span())}
    flips = [(place, bit) for place in range(len(stream)) for bit in range(8)]
    for place, bit in flips:
        flipped = bytearray(stream)
        flipped[place] ^= 1 << bit
        refused = refused_before_the_last_byte(plan(payload, headers, None), bytes(flipped))
        assert refused != ((place, bit) in harmless)
    assert len(flips) - len(harmless) > 2000


@each_stream
def test_a_stream_cut_off_anywhere_is_refused(payload: Payload, headers: Headers, stream: bytes) -> None:
    for end in range(len(stream)):
        assert refused_before_the_last_byte(plan(payload, headers, None), stream[:end])


@each_stream
def test_a_byte_more_or_another_declared_length_is_refused(payload: Payload, headers: Headers, stream: bytes) -> None:
    assert refused_before_the_last_byte(plan(payload, headers, None), stream + b"\n", whole=BODY + b"?")
    for length in ("255", "257", "0"):
        wrong = tuple((name, length if (name, value) == LENGTH else value) for name, value in headers)
        assert refused_before_the_last_byte(plan(payload, wrong, None), stream)


@pytest.mark.parametrize("text", [None, "", "abc", "12x", "-1", "1_0", "\u0661", "1" * 19])
def test_a_coded_body_without_a_decoded_length_is_refused(text: str | None) -> None:
    headers = () if text is None else ((LENGTH[0], text),)
    assert planning_refused(SIGNED, headers) is MISSING_CONTENT_LENGTH


def test_a_body_that_nothing_is_promised_about_passes_as_it_comes() -> None:
    planned = plan(Unsigned(), (("content-type", "a/b"),), 3)
    assert isinstance(planned.body_filter, AsIs)
    assert passed(planned.body_filter, [b"ab", b"", b"c"]) == (b"abc", b"")
    assert (planned.length, planned.payload, planned.headers) == (3, "UNSIGNED-PAYLOAD", (("content-type", "a/b"),))


@given(st.lists(st.binary(max_size=20)))
def test_a_signed_digest_is_proven_at_any_split(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    planned = plan(Sha256(hashlib.sha256(whole).hexdigest()), (), len(whole))
    before, last = passed(planned.body_filter, pieces)
    assert before + last == whole
    assert len(last) == min(1, len(whole))


@pytest.mark.parametrize(
    ("payload", "headers", "kind"),
    [
        (Sha256(hashlib.sha256(b"x").hexdigest()), (), CONTENT_SHA256_MISMATCH),
        (Unsigned(), (("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),), BAD_DIGEST),
        (Unsigned(), ((CRC32, "AAAAAA=="),), BAD_DIGEST),
        (Sha256(hashlib.sha256(BODY).hexdigest()), ((CRC32, "AAAAAA=="),), BAD_DIGEST),
    ],
    ids=range(4),
)
def test_a_plain_body_that_breaks_a_promise_is_refused_before_its_last_byte(
    payload: Payload, headers: Headers, kind: ErrorKind
) -> None:
    planned = plan(payload, headers, len(BODY))
    assert planned.body_filter.feed(BODY) == BODY[:-1]
    with pytest.raises(ApiError) as caught:
        planned.body_filter.finish()
    assert caught.value.kind is kind


def test_everything_that_is_promised_is_proven_together() -> None:
    promised = (LENGTH, ("content-md5", MD5), (CRC32, f" {crc32(BODY)} "))
    assert passed(plan(SIGNED, promised, None).body_filter, [signed_stream(CHUNKS)])[1] == BODY[-1:]
    for name in ("content-md5", CRC32):
        wrong = crc32(b"") if name == CRC32 else "AAAAAAAAAAAAAAAAAAAAAA=="
        headers = tuple((other, wrong if other == name else value) for other, value in promised)
        assert refused_before_the_last_byte(plan(SIGNED, headers, None), signed_stream(CHUNKS))


def test_a_wrong_checksum_in_a_signed_trailer_is_refused() -> None:
    stream = signed_stream(CHUNKS, [(CRC32, crc32(b""))])
    assert refused_before_the_last_byte(plan(SIGNED_TRAILER, (LENGTH, TRAILER), None), stream)


def test_the_checksum_of_a_whole_object_says_nothing_about_the_body() -> None:
    headers = ((CRC32, "AAAAAA=="), ("x-amz-checksum-sha256", "x"), ("content-md5", MD5))
    planned = plan(Unsigned(), headers, len(BODY), of_object=True)
    assert passed(planned.body_filter, [BODY]) == (BODY[:-1], BODY[-1:])
    assert planned.headers == headers


@pytest.mark.parametrize(
    ("payload", "headers", "kind"),
    [
        (Unsigned(), (TRAILER,), MALFORMED_TRAILER),
        (Sha256("0" * 64), (TRAILER,), MALFORMED_TRAILER),
        (SIGNED, (LENGTH, TRAILER), MALFORMED_TRAILER),
        (UNSIGNED_TRAILER, (LENGTH, ("x-amz-trailer", "x-amz-meta-late")), INVALID_REQUEST),
        (UNSIGNED_TRAILER, (LENGTH, ("x-amz-trailer", "")), INVALID_REQUEST),
        (UNSIGNED_TRAILER, (LENGTH, ("x-amz-trailer", f"{CRC32}, x-amz-checksum-sha1")), INVALID_REQUEST),
        (UNSIGNED_TRAILER, (LENGTH, TRAILER, (CRC32, "AAAAAA==")), INVALID_REQUEST),
        (UNSIGNED_TRAILER, (LENGTH, TRAILER, ("x-amz-sdk-checksum-algorithm", "SHA1")), INVALID_REQUEST),
        (Unsigned(), ((CRC32, "x"),), INVALID_REQUEST),
        (Unsigned(), (("content-md5", "x"),), INVALID_DIGEST),
        (Unsigned(), ((CRC32, "AAAAAA=="), (CRC32, "AAAAAA==")), INVALID_REQUEST),
        (Unsigned(), (("content-md5", MD5), ("content-md5", MD5)), INVALID_REQUEST),
    ],
    ids=range(12),
)
def test_headers_that_cannot_be_kept_are_refused_before_the_body(
    payload: Payload, headers: Headers, kind: ErrorKind
) -> None:
    assert planning_refused(payload, headers) is kind


@pytest.mark.parametrize(
    ("coding", "kept"),
    [("aws-chunked", None), ("gzip,aws-chunked", "gzip"), ("AWS-Chunked , gzip, br", "gzip, br"), ("gzip", "gzip")],
)
def test_the_store_is_told_about_the_decoded_body(coding: str, kept: str | None) -> None:
    algorithm = ("x-amz-sdk-checksum-algorithm", "CRC32")
    headers = (("content-encoding", coding), LENGTH, TRAILER, algorithm, ("x-amz-meta-a", ""), ("content-type", "a/b"))
    planned = plan(UNSIGNED_TRAILER, headers, 999)
    expected = (("content-encoding", kept),) if kept else ()
    assert planned.headers == (*expected, ("x-amz-meta-a", ""), ("content-type", "a/b"))
    assert (planned.length, planned.payload) == (256, "UNSIGNED-PAYLOAD")


def test_a_checksum_that_came_as_a_header_goes_on() -> None:
    checksum = (("x-amz-sdk-checksum-algorithm", "CRC32"), (CRC32, crc32(BODY)))
    assert plan(SIGNED, (LENGTH, *checksum), None).headers == checksum


# Amazon S3 API Reference, "Transferring Payload in Multiple Chunks" and "Including Trailing Headers": both examples.
DOC_SECRET = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DOC_CREDENTIAL = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
DOC_BODY = b"a" * 66_560
DOC_SIGNED = "x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
DOC_EXAMPLES = {
    "chunks": (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        f"content-encoding;content-length;host;{DOC_SIGNED}",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        (
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ),
        "",
    ),
    "trailer": (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        f"content-encoding;host;{DOC_SIGNED};x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        (
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ),
        (
            "x-amz-checksum-crc32c:sOO8/Q==\r\n"
            "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
        ),
    ),
}


@pytest.mark.parametrize(("mode", "signed", "seed", "chunks", "trailers"), DOC_EXAMPLES.values(), ids=DOC_EXAMPLES)
def test_the_documented_examples_verify_from_the_head_to_the_last_chunk(
    mode: str, signed: str, seed: str, chunks: tuple[str, str, str], trailers: str
) -> None:
    claim = f"AWS4-HMAC-SHA256 Credential={DOC_CREDENTIAL},SignedHeaders={signed},Signature={seed}"
    headers = (
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("authorization", claim),
        ("x-amz-content-sha256", mode),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
        *((("x-amz-trailer", "x-amz-checksum-crc32c"),) if trailers else ()),
    )
    head = RequestHead("PUT", "/examplebucket/chunkObject.txt", "", "s3.amazonaws.com", headers)
    target = locate(head, HostMap((("s3.amazonaws.com", "s3"),), {}))
    payload = aws_v4.verify(head, aws_v4.parse(head), DOC_SECRET, target, datetime(2013, 5, 24, tzinfo=UTC))
    first, second, last = (f";chunk-signature={signature}\r\n".encode() for signature in chunks)
    stream = b"10000" + first + DOC_BODY[:65_536] + b"\r\n400" + second + DOC_BODY[65_536:] + b"\r\n0" + last
    stream += trailers.encode() + b"\r\n"
    assert trailers or len(stream) == 66_824
    assert passed(plan(payload, headers, None).body_filter, [stream]) == (DOC_BODY[:-1], b"a")
    assert refused_before_the_last_byte(
        plan(payload, headers, None), stream.replace(b"a\r\n0;", b"b\r\n0;"), whole=DOC_BODY
    )


def recorded_streams() -> list[tuple[str, RequestHead, bytes]]:
    """Return the recorded aws-chunked uploads whose whole body is in the recording."""
    found = []
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            body = (row["body_head"] or "").encode() if row["body_enc"] == "text" else b64decode(row["body_head"] or "")
            head = read_head(row)
            if (head.header("x-amz-content-sha256") or "").startswith("STREAMING-") and len(body) == row["body_len"]:
                found.append((f"{path.stem}:{row['label']}", head, body))
    return found


RECORDED = recorded_streams()


def test_the_recordings_hold_coded_uploads() -> None:
    if not FOLDER.is_dir():
        pytest.skip(MISSING)
    assert len(RECORDED) >= 8


@pytest.mark.parametrize(("head", "body"), [row[1:] for row in RECORDED], ids=[row[0] for row in RECORDED])
def test_a_recorded_upload_is_decoded_and_proven(head: RequestHead, body: bytes) -> None:
    target = locate(head, HostMap((("localhost", "s3"), ("gw.test", "s3")), {}))
    payload = aws_v4.verify(head, aws_v4.parse(head), Secret("testsk"), target, moment_of(head))
    planned = plan(payload, head.headers, None)
    before, last = passed(planned.body_filter, [body])
    assert len(before + last) == planned.length
    assert {"x-amz-trailer", "content-encoding", "x-amz-sdk-checksum-algorithm"}.isdisjoint(dict(planned.headers))
    if planned.length:
        wrong = body.replace(last + b"\r\n0\r\n", bytes([last[0] ^ 1]) + b"\r\n0\r\n")
        assert refused_before_the_last_byte(plan(payload, head.headers, None), wrong, whole=before + last)
