"""Uploads through a whole gateway: what reaches the store, and what must not."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.auth.base import ChunkSeed, Scope
from tests.body.samples import CRC32, crc32, signed_stream, unsigned_stream
from tests.digests import content_md5
from tests.fake_uploads import FakeUpload
from tests.harness import KEY_ID, SECRET, GatewayUnderTest, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.fake_store import FakeStore

DATA = bytes(range(256)) * 700
CHUNKS = (DATA[:65_536], DATA[65_536:100_000], DATA[100_000:])
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILED = (("x-amz-trailer", CRC32), ("x-amz-sdk-checksum-algorithm", "CRC32"))
MODES = [UNSIGNED, SIGNED, f"{SIGNED}-TRAILER"]
Headers = tuple[tuple[str, str], ...]


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    async with running_gateway(store.endpoint) as running:
        yield running


def signed(
    gateway: GatewayUnderTest,
    mode: str,
    headers: Headers,
    *,
    method: str = "PUT",
    path: str = "/demo/new",
    query: str = "",
) -> dict[str, str]:
    added = aws_v4.sign(
        method,
        path,
        query,
        (("host", gateway.authority), *headers),
        access_key_id=KEY_ID,
        secret=SECRET,
        region="us-east-1",
        payload=mode,
        now=utc_now(),
    )
    return dict((*headers, *added))


def coded(mode: str, headers: Mapping[str, str], chunks: tuple[bytes, ...] = CHUNKS) -> bytes:
    """Code and sign the chunks with the signature of the head that they follow."""
    whole = b"".join(chunks)
    if mode == UNSIGNED:
        return unsigned_stream(chunks, [(CRC32, crc32(whole))])
    moment, signature = headers["x-amz-date"], headers["authorization"].rpartition("=")[2]
    scope = Scope(moment[:8], "us-east-1", "s3")
    seed = ChunkSeed(aws_v4.signing_key(SECRET, scope), signature, moment, scope.text("aws4_request"))
    return signed_stream(chunks, [(CRC32, crc32(whole))] if mode.endswith("TRAILER") else None, seed)


def about(mode: str, length: int, *more: tuple[str, str], coding: str = "aws-chunked") -> Headers:
    trailed = TRAILED if mode.endswith("TRAILER") else ()
    return (("content-encoding", coding), ("x-amz-decoded-content-length", str(length)), *trailed, *more)


async def trickle(body: bytes) -> AsyncIterator[bytes]:
    """Without a length, aiohttp's client sends this with Transfer-Encoding: chunked, as boto3 does."""
    for place in range(0, len(body), 10_000):
        yield body[place : place + 10_000]


async def put(
    gateway: GatewayUnderTest, headers: Mapping[str, str], body: bytes | AsyncIterator[bytes], target: str = "/demo/new"
) -> tuple[int, bytes]:
    url = URL(gateway.url + target, encoded=True)
    options = {"skip_auto_headers": ["Content-Type"], "headers": headers}
    status, _, text = await gateway.request("PUT", url, data=body, **options)
    return status, text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("with_length", [True, False], ids=["content-length", "chunked"])
async def test_a_coded_upload_arrives_decoded_and_without_a_trace_of_the_coding(
    gateway: GatewayUnderTest, store: FakeStore, mode: str, *, with_length: bool
) -> None:
    headers = signed(gateway, mode, about(mode, len(DATA), ("content-type", "a/b"), ("x-amz-meta-a", "1")))
    body = coded(mode, headers)
    assert await put(gateway, headers, body if with_length else trickle(body)) == (200, b"")
    assert store.objects["/demo/new"] == DATA
    seen = store.seen[-1].headers
    assert (seen["content-length"], seen["content-type"], seen["x-amz-meta-a"]) == (str(len(DATA)), "a/b", "1")
    assert seen["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    coding = {"content-encoding", "transfer-encoding", "x-amz-decoded-content-length", *dict(TRAILED)}
    assert coding.isdisjoint(seen)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", [5, 100, 65_000, 120_000, -100, -10], ids=str)
async def test_a_damaged_upload_leaves_no_object(
    gateway: GatewayUnderTest, store: FakeStore, mode: str, place: int
) -> None:
    headers = signed(gateway, mode, about(mode, len(DATA)))
    body = bytearray(coded(mode, headers))
    body[place] ^= 1
    status, text = await put(gateway, headers, trickle(bytes(body)))
    assert status in (400, 403)
    codes = (b"SignatureDoesNotMatch", b"BadDigest", b"IncompleteBody", b"MalformedTrailerError", b"InvalidRequest")
    assert any(b"<Code>" + code + b"</Code>" in text for code in codes)
    assert store.objects == {}


@pytest.mark.parametrize("mode", MODES)
async def test_an_upload_that_ends_early_leaves_no_object(
    gateway: GatewayUnderTest, store: FakeStore, mode: str
) -> None:
    headers = signed(gateway, mode, about(mode, len(DATA)))
    status, text = await put(gateway, headers, trickle(coded(mode, headers)[:-1]))
    assert status == 400
    assert b"IncompleteBody" in text
    assert store.objects == {}


@pytest.mark.parametrize("mode", MODES)
async def test_an_empty_upload_is_proven_before_the_store_hears_of_it(
    gateway: GatewayUnderTest, store: FakeStore, mode: str
) -> None:
    headers = signed(gateway, mode, about(mode, 0))
    good = coded(mode, headers, ())
    bad = good[:-5] + bytes([good[-5] ^ 1]) + good[-4:]
    assert (await put(gateway, headers, trickle(bad)))[0] in (400, 403)
    assert store.seen == []
    assert await put(gateway, headers, trickle(good)) == (200, b"")
    assert store.objects["/demo/new"] == b""


async def test_what_was_coded_beside_aws_chunked_stays_named(gateway: GatewayUnderTest, store: FakeStore) -> None:
    headers = signed(gateway, UNSIGNED, about(UNSIGNED, len(DATA), coding="x-own,aws-chunked"))
    assert (await put(gateway, headers, coded(UNSIGNED, headers)))[0] == 200
    assert store.seen[-1].headers["content-encoding"] == "x-own"


async def test_a_coded_upload_without_a_decoded_length_is_refused(gateway: GatewayUnderTest, store: FakeStore) -> None:
    headers = signed(gateway, UNSIGNED, (("content-encoding", "aws-chunked"),))
    status, text = await put(gateway, headers, coded(UNSIGNED, headers))
    assert (status, store.seen) == (411, [])
    assert b"MissingContentLength" in text


async def test_a_checksum_header_is_proven_and_goes_on(gateway: GatewayUnderTest, store: FakeStore) -> None:
    promised = (("x-amz-sdk-checksum-algorithm", "CRC32"), (CRC32, crc32(DATA)))
    headers = signed(gateway, hashlib.sha256(DATA).hexdigest(), promised)
    assert (await put(gateway, headers, DATA))[0] == 200
    assert dict(promised).items() <= store.seen[-1].headers.items()
    wrong = signed(gateway, "UNSIGNED-PAYLOAD", ((CRC32, crc32(b"")),))
    status, text = await put(gateway, wrong, DATA[1:])
    assert status == 400
    assert b"BadDigest" in text
    assert store.objects["/demo/new"] == DATA


async def test_the_checksum_of_the_whole_object_passes_when_a_multipart_upload_is_completed(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.uploads.running["u"] = FakeUpload("/demo/new", {})
    promised = ((CRC32, crc32(DATA)), ("x-amz-checksum-type", "FULL_OBJECT"))
    headers = signed(gateway, "UNSIGNED-PAYLOAD", promised, method="POST", query="uploadId=u")
    status, _, _ = await gateway.request(
        "POST", URL(f"{gateway.url}/demo/new?uploadId=u"), headers=headers, data=b"<CompleteMultipartUpload/>"
    )
    assert status == 200
    assert store.seen[-1].headers[CRC32] == crc32(DATA)


async def test_the_headers_of_a_request_without_a_body_are_not_about_one(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects["/demo/new"] = DATA
    digest = content_md5(DATA)
    headers = signed(
        gateway, "UNSIGNED-PAYLOAD", (("content-md5", digest), ("x-amz-checksum-mode", "ENABLED")), method="GET"
    )
    status, _, body = await gateway.get(URL(f"{gateway.url}/demo/new"), headers=headers)
    assert (status, body) == (200, DATA)


async def test_the_empty_bodys_checksum_in_a_presigned_uploads_url_stays_here(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    query = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject"
    url = gateway.s3_url("/demo/new", query, method="PUT")
    status, _, _ = await gateway.request("PUT", url, data=DATA)
    assert (status, store.objects["/demo/new"]) == (200, DATA)
    assert store.seen[-1].raw_path == "/demo/new?x-id=PutObject"
