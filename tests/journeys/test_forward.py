from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock

import aiohttp
import pytest
from yarl import URL

from gateway import metrics
from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.splice import splice
from tests.fake_store import FakeStore, fake_store
from tests.harness import KEY_ID, READER_ID, SECRET, GatewayUnderTest, impatient, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

DATA = bytes(range(256)) * 1000
NASTY = [
    "a%20b%2Bc.jpg",
    "%25.jpg",
    "x//y",
    "dir%2Fslash",
    "%E4%B8%AD%E6%96%87.png",
    "%f0%9f%93%b7",
    "a/../b",
    "~!*'();@$,",
]
FORMS = ["s3", "oss", "cos"]


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    store.objects["/demo/a.bin"] = DATA
    store.types["/demo/a.bin"] = "image/x-odd"
    async with running_gateway(store.endpoint) as running:
        yield running


def signed(
    gateway: GatewayUnderTest, method: str, path: str, payload: str = "UNSIGNED-PAYLOAD", query: str = ""
) -> dict[str, str]:
    """Header-signed, so that the target itself stays as it is written here."""
    return dict(
        aws_v4.sign(
            method,
            path,
            query,
            (("host", gateway.authority),),
            access_key_id=KEY_ID,
            secret=SECRET,
            region="us-east-1",
            payload=payload,
            now=utc_now(),
        )
    )


async def test_bytes_and_entity_headers_come_back_as_the_store_sent_them(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    status, headers, body = await gateway.get(gateway.s3_url("/demo/a.bin"))
    assert (status, body) == (200, DATA)
    async with gateway.session.get(f"{store.endpoint}/demo/a.bin") as direct:
        expected = dict(direct.headers)
    assert {**headers, "Date": ""} == {**expected, "Date": ""}


async def test_an_answer_without_a_content_type_gets_none(gateway: GatewayUnderTest) -> None:
    status, headers, _ = await gateway.request("DELETE", gateway.s3_url("/demo/a.bin", method="DELETE"))
    assert status == 204
    assert "Content-Type" not in headers


@pytest.mark.parametrize("raw_key", NASTY)
async def test_the_raw_target_reaches_the_store_unchanged(
    gateway: GatewayUnderTest, store: FakeStore, raw_key: str
) -> None:
    store.objects[f"/demo/{raw_key}"] = b"nasty"
    path, query = f"/demo/{raw_key}", "versionId=null&response-cache-control=no%2dstore&empty&x-id=GetObject"
    url = URL(f"{gateway.url}{path}?{query}", encoded=True)
    status, _, body = await gateway.get(url, headers=signed(gateway, "GET", path, query=query))
    assert (status, body) == (200, b"nasty")
    assert store.seen[-1].raw_path == f"{path}?{query}"


async def test_the_store_sees_our_signature_and_not_the_clients(gateway: GatewayUnderTest, store: FakeStore) -> None:
    await gateway.get(gateway.s3_url("/demo/a.bin"), headers={"Range": "bytes=0-9", "X-Odd": "1"})
    seen = store.seen[-1].headers
    assert "Credential=up/" in seen["authorization"]
    assert KEY_ID not in str(seen)
    assert (seen["range"], seen["x-odd"]) == ("bytes=0-9", "1")


async def test_hop_by_hop_headers_stay_here(gateway: GatewayUnderTest, store: FakeStore) -> None:
    headers = {"Connection": "X-Private, keep-alive", "X-Private": "1", "TE": "trailers", "Proxy-Authorization": "x"}
    await gateway.get(gateway.s3_url("/demo/a.bin"), headers=headers)
    names = {name.lower() for name in store.seen[-1].headers}
    assert names & {"x-private", "te", "proxy-authorization"} == set()


async def test_a_body_with_the_signed_digest_is_stored(gateway: GatewayUnderTest, store: FakeStore) -> None:
    headers = signed(gateway, "PUT", "/demo/new", hashlib.sha256(DATA).hexdigest())
    status, _, _ = await gateway.request("PUT", URL(f"{gateway.url}/demo/new"), headers=headers, data=DATA)
    assert (status, store.objects["/demo/new"]) == (200, DATA)


@pytest.mark.parametrize("body", [DATA[:-1] + b"x", b"y" + DATA[1:], b""], ids=["last byte", "first byte", "empty"])
async def test_a_body_with_another_digest_never_becomes_an_object(
    gateway: GatewayUnderTest, store: FakeStore, body: bytes
) -> None:
    headers = signed(gateway, "PUT", "/demo/new", hashlib.sha256(DATA).hexdigest())
    status, _, text = await gateway.request("PUT", URL(f"{gateway.url}/demo/new"), headers=headers, data=body)
    assert status == 400
    assert b"<Code>XAmzContentSHA256Mismatch</Code>" in text
    assert "/demo/new" not in store.objects


async def test_a_client_that_vanishes_in_the_middle_of_an_upload_leaves_no_object(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    headers = signed(gateway, "PUT", "/demo/new")
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.authority.partition(":")[2]))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"PUT /demo/new HTTP/1.1\r\nHost: {gateway.authority}\r\nContent-Length: 1000\r\n{lines}\r\n"
    writer.write(start.encode() + b"z" * 999)
    await writer.drain()
    await asyncio.wait_for(store.entered.wait(), 5)
    writer.close()
    await asyncio.wait_for(store.aborted.wait(), 5)
    assert "/demo/new" not in store.objects


async def unknown(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """A body of unknown length: aiohttp's client sends it with Transfer-Encoding: chunked."""
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("pieces", [[b"abc"], [bytes(700_000)] * 3, []], ids=["small", "beyond memory", "empty"])
async def test_a_body_without_a_length_is_kept_aside_until_it_is_known(
    gateway: GatewayUnderTest, store: FakeStore, pieces: list[bytes]
) -> None:
    whole = b"".join(pieces)
    for payload in ("UNSIGNED-PAYLOAD", hashlib.sha256(whole).hexdigest()):
        headers = signed(gateway, "PUT", "/demo/new", payload)
        url = URL(f"{gateway.url}/demo/new")
        status, _, _ = await gateway.request("PUT", url, headers=headers, data=unknown(pieces))
        assert (status, store.objects.pop("/demo/new")) == (200, whole)
        assert store.seen[-1].headers["content-length"] == str(len(whole))


async def test_a_body_without_a_length_is_refused_when_it_is_too_long_or_not_the_signed_one(store: FakeStore) -> None:
    async with running_gateway(store.endpoint, server={"spool_bytes": 1000}) as gateway:
        part = "partNumber=1&uploadId=u"
        headers = signed(gateway, "PUT", "/demo/new", query=part)
        url = gateway.raw_url(f"/demo/new?{part}")
        status, _, text = await gateway.request("PUT", url, headers=headers, data=unknown([bytes(600)] * 2))
        assert (status, b"MissingContentLength" in text, b"1000 bytes" in text) == (411, True, True)
        url = URL(f"{gateway.url}/demo/new")
        headers = signed(gateway, "PUT", "/demo/new", hashlib.sha256(b"other").hexdigest())
        status, _, text = await gateway.request("PUT", url, headers=headers, data=unknown([b"abc"]))
        assert (status, b"XAmzContentSHA256Mismatch" in text) == (400, True)
    assert store.seen == []


async def test_100_continue_is_sent_only_after_the_head_is_verified(gateway: GatewayUnderTest) -> None:
    port = int(gateway.authority.partition(":")[2])
    good = signed(gateway, "PUT", "/demo/new")
    signature = good["authorization"]
    bad = {**good, "authorization": signature[:-1] + ("1" if signature.endswith("0") else "0")}
    answers = []
    for headers in (good, bad):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"PUT /demo/new HTTP/1.1\r\nHost: {gateway.authority}\r\nContent-Length: 3\r\n{lines}".encode())
        writer.write(b"Expect: 100-continue\r\n\r\n")
        answers.append(await reader.readline())
        writer.close()
    assert answers[0] == b"HTTP/1.1 100 Continue\r\n"
    assert answers[1].startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("reset", 502, "BadGateway"),
        ("silent", 504, "GatewayTimeout"),
        ("error:503:SlowDown", 503, "SlowDown"),
        ("error:403:InvalidObjectState", 403, "InvalidObjectState"),
        ("error:404:NoSuchBucket", 404, "NoSuchBucket"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
async def test_a_failing_store_is_told_in_the_dialect(
    store: FakeStore, form: str, fault: str, status: int, code: str
) -> None:
    upstream = {"endpoint": store.endpoint, "access_key": "up", "secret": "s", "response_timeout_s": 0.4}
    store.faults["/demo/a.bin"] = fault
    async with running_gateway(store.endpoint, upstream={"default": upstream}) as gateway:
        got, headers, body = await ask(gateway, form)
    assert got == status
    assert f"<Code>{code}</Code>".encode() in body
    if fault in ("reset", "silent"):
        assert int(headers["Retry-After"]) > 0
    if form != "s3":
        assert headers[f"x-{form}-request-id"].encode() in body


@pytest.mark.parametrize("form", FORMS)
async def test_an_unreachable_store_is_a_503_with_retry_after(form: str) -> None:
    async with running_gateway("http://127.0.0.1:9") as gateway:
        status, headers, body = await ask(gateway, form)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert b"<Code>ServiceUnavailable</Code>" in body


async def ask(gateway: GatewayUnderTest, form: str) -> tuple[int, Mapping[str, str], bytes]:
    if form == "s3":
        return await gateway.get(gateway.s3_url("/demo/a.bin"))
    if form == "oss":
        return await gateway.get(gateway.oss_url("demo", "a.bin"))
    url, headers = gateway.cos_url("demo", "a.bin")
    return await gateway.get(url, headers=headers)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", ["truncate", "stall"])
async def test_a_broken_store_never_looks_like_a_whole_answer(store: FakeStore, form: str, fault: str) -> None:
    store.objects["/demo/a.bin"] = DATA
    store.faults["/demo/a.bin"] = fault
    async with running_gateway(store.endpoint, upstream=impatient(store.endpoint)) as gateway:
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(gateway, form)


LONG = bytes(range(251)) * 20_000  # 5 MB: most of it goes from socket to socket


async def test_a_long_body_arrives_whole_again_and_again_on_one_connection_to_the_store(
    gateway: GatewayUnderTest, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = AsyncMock(side_effect=splice)
    monkeypatch.setattr("gateway.stores.answer.splice", joined)
    store.objects["/demo/long"] = LONG
    url = gateway.s3_url("/demo/long")
    for wanted, headers in ((LONG, {}), (LONG[7:3_000_000], {"Range": "bytes=7-2999999"}), (LONG, {})):
        assert (await gateway.get(url, headers=headers))[2] == wanted
        assert (await gateway.get(gateway.s3_url("/demo/a.bin")))[2] == DATA
    assert len(store.peers) == 1
    assert joined.await_count == 3
    assert gateway.telemetry.counts()[metrics.SENT_BYTES, "s3"] == 2 * len(LONG) + 2_999_993 + 3 * len(DATA)


@pytest.mark.parametrize(("fault", "told"), [("truncate", "broken"), ("stall", "timeout")])
async def test_a_long_body_that_breaks_off_is_cut_and_its_connection_not_used_again(
    store: FakeStore, fault: str, told: str
) -> None:
    store.objects |= {"/demo/long": LONG, "/demo/a.bin": DATA}
    store.faults["/demo/long"] = fault
    async with running_gateway(store.endpoint, upstream=impatient(store.endpoint)) as gateway:
        with pytest.raises(aiohttp.ClientPayloadError):
            await gateway.get(gateway.s3_url("/demo/long"))
        assert gateway.telemetry.counts()[metrics.STORE_REQUESTS, "default", told] == 1
        assert (await gateway.get(gateway.s3_url("/demo/a.bin")))[2] == DATA
    assert len(store.peers) == 2


async def test_where_sockets_cannot_be_joined_a_long_body_is_copied(
    gateway: GatewayUnderTest, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.answer.can_splice", lambda: False)
    store.objects["/demo/long"] = LONG
    assert (await gateway.get(gateway.s3_url("/demo/long")))[2] == LONG


async def test_a_head_of_a_long_object_moves_nothing(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/long"] = LONG
    _, headers, body = await gateway.request("HEAD", gateway.s3_url("/demo/long", method="HEAD"))
    assert (headers["Content-Length"], body) == (str(len(LONG)), b"")


async def test_a_client_that_goes_closes_the_connection_to_the_store(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.objects["/demo/big"] = bytes(64 * 1024 * 1024)
    response = await gateway.session.get(gateway.s3_url("/demo/big"))
    await response.content.readexactly(1000)
    response.close()
    await asyncio.wait_for(store.aborted.wait(), 5)


async def test_a_slow_reader_holds_the_store_back(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.objects["/demo/big"] = bytes(64 * 1024 * 1024)
    async with gateway.session.get(gateway.s3_url("/demo/big")) as response:
        await asyncio.sleep(0.5)
        assert store.sent < 24 * 1024 * 1024, "sockets on loopback hold some megabytes, no more"
        assert len(await response.read()) == 64 * 1024 * 1024


async def test_minios_answers_pass_for_s3_clients_and_are_translated_for_others() -> None:
    async with fake_store("minio") as store, running_gateway(store.endpoint) as gateway:
        store.objects["/demo/a.bin"] = DATA
        _, headers, _ = await gateway.get(gateway.s3_url("/demo/a.bin"))
        assert (headers["Server"], headers["x-minio-deployment-id"]) == ("MinIO", "d1")
        status, _, body = await gateway.get(gateway.s3_url("/demo/none"))
        assert (status, b"xmlns" in body) == (404, True)
        status, _, body = await gateway.get(gateway.oss_url("demo", "none"))
        assert (status, b"xmlns" in body, b"<Code>NoSuchKey</Code>" in body) == (404, False, True)


async def test_a_304_without_a_length_gets_one_where_tencents_sdk_needs_it(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.answers["GET /demo/a"] = (304, b"", {"ETag": '"e1"'})
    url, host = gateway.cos_url("demo", "a")
    status, headers, _ = await gateway.get(url, headers=host)
    assert (status, headers["ETag"], headers["Content-Length"]) == (304, '"e1"', "0")
    status, headers, _ = await gateway.get(gateway.s3_url("/demo/a"))
    assert (status, "Content-Length" in headers) == (304, False)


@pytest.mark.parametrize(
    ("path", "key_id", "status"),
    [
        ("/demo/public/x", READER_ID, 200),
        ("/demo/private/x", READER_ID, 403),
        ("/demo/", READER_ID, 403),
        ("/demo/private/x", KEY_ID, 200),
    ],
)
async def test_an_identity_gets_what_its_statements_allow(
    gateway: GatewayUnderTest, store: FakeStore, path: str, key_id: str, status: int
) -> None:
    store.objects |= {"/demo/public/x": b"1", "/demo/private/x": b"2"}
    assert (await gateway.get(gateway.s3_url(path, key_id=key_id)))[0] == status


async def test_a_copy_needs_the_right_to_read_its_source(gateway: GatewayUnderTest, store: FakeStore) -> None:
    url = gateway.s3_url("/demo/public/x", key_id=READER_ID, method="PUT")
    status, _, _ = await gateway.request("PUT", url, headers={"x-amz-copy-source": "/demo/private/x"})
    assert (status, store.seen) == (403, [])


async def test_a_copy_never_crosses_from_one_store_to_another() -> None:
    async with fake_store() as one, fake_store() as two:
        one.objects["/a/x"] = DATA
        key = {"access_key": "up", "secret": "s"}
        upstream = {name: {"endpoint": store.endpoint, **key} for name, store in (("one", one), ("two", two))}
        buckets = {
            "a": {"upstream": "one"},
            "b": {"upstream": "two", "store_name": "payroll"},
            "secret": {"upstream": "two"},
        }
        async with running_gateway("", upstream=upstream, buckets=buckets) as gateway:
            for source, status in (("/b/x", 501), ("/a/x", 200), ("/secret/x", 501)):
                headers = (("host", gateway.authority), ("x-amz-copy-source", source))
                signature = aws_v4.sign(
                    "PUT",
                    "/a/copy",
                    "",
                    headers,
                    access_key_id=KEY_ID,
                    secret=SECRET,
                    region="r",
                    payload="UNSIGNED-PAYLOAD",
                    now=utc_now(),
                )
                url = gateway.raw_url("/a/copy")
                got, _, _ = await gateway.request("PUT", url, headers=dict((*headers, *signature)))
                assert (source, got) == (source, status)
    assert (len(one.seen), two.seen) == (1, [])


async def test_a_stores_own_name_of_a_configured_bucket_leads_nowhere(store: FakeStore) -> None:
    store.objects["/prod/x"] = b"1"
    async with running_gateway(store.endpoint, buckets={"photos": {"store_name": "prod"}}) as gateway:
        assert (await gateway.get(gateway.s3_url("/photos/x")))[0] == 200
        assert (await gateway.get(gateway.s3_url("/prod/x")))[0] == 404
    assert len(store.seen) == 1


@pytest.mark.parametrize("bucket", ["evil.example%3A80%3F", "a%40b", "..", "%2E%2E", "a%0d%0ab", "a%5Cb"])
async def test_a_bucket_name_never_becomes_another_host_or_path(store: FakeStore, bucket: str) -> None:
    upstream = {"default": {"endpoint": store.endpoint, "access_key": "up", "secret": "s", "addressing": "virtual"}}
    async with running_gateway(store.endpoint, upstream=upstream) as gateway:
        url = gateway.raw_url(f"/{bucket}/x")
        status, _, body = await gateway.get(url, headers=signed(gateway, "GET", f"/{bucket}/x"))
    assert (status, b"InvalidBucketName" in body, store.seen) == (400, True, [])
