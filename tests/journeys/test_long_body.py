"""Uploads without a declared length that are too long to be kept aside: they go to the store in parts."""

from __future__ import annotations

import asyncio
import hashlib
import random
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from yarl import URL

from gateway.app import utc_now
from gateway.auth import aws_v4, cos, oss_v1
from gateway.dialects.base import StoreRequest
from gateway.journeys import forward, long_body
from tests.fake_store import served
from tests.harness import KEY_ID, SECRET, GatewayUnderTest, running_gateway
from tests.journeys.test_forward import signed, unknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.served import Place

PART = 1000
SPOOL = 2500
SILENT = 0  # a fault's status: no answer at all
DATA = random.Random(3).randbytes(7 * PART + 17)  # noqa: S311 # bytes, not secrets
CUTS = [DATA[start : start + 333] for start in range(0, len(DATA), 333)]
EXACT = [bytes(2 * PART), bytes(2 * PART)]
COMPLETED = "<CompleteMultipartUploadResult><ETag>&quot;abc-8&quot;</ETag></CompleteMultipartUploadResult>"
ERROR = "<Error><Code>{0}</Code><Message>the store says {0}</Message></Error>"


@dataclass
class PartStore:
    """One object's multipart upload at a time; `faults` maps a step to what the store says there instead."""

    parts: dict[int, bytes] = field(default_factory=dict)
    initiated: dict[str, str] = field(default_factory=dict)
    every_call: list[dict[str, str]] = field(default_factory=list)
    completed: bytes | None = None
    document: bytes = b""
    steps: list[str] = field(default_factory=list)
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)
    got_part: asyncio.Event = field(default_factory=asyncio.Event)
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    endpoint: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        step = self.step(request)
        self.steps.append(step)
        self.every_call.append({name.lower(): value for name, value in request.headers.items()})
        if step in self.faults:
            status, text = self.faults[step]
            if status == SILENT:
                self.silent.set()
                await asyncio.sleep(60)
            return web.Response(status=status, text=text, headers={"ETag": '"late-8"'}, content_type="application/xml")
        return self.answer(step, body, request)

    def step(self, request: web.BaseRequest) -> str:
        known = {"POST /demo/new?uploads": "initiate", "POST /demo/new?uploadId=u%2F1%2B": "complete"}
        known["DELETE /demo/new?uploadId=u%2F1%2B"] = "abort"
        number = len(self.parts) + 1
        known[f"PUT /demo/new?partNumber={number}&uploadId=u%2F1%2B"] = f"part {number}"
        return known.get(f"{request.method} {request.raw_path}", f"unexpected {request.method} {request.raw_path}")

    def answer(self, step: str, body: bytes, request: web.BaseRequest) -> web.Response:
        if step == "initiate":
            self.initiated = self.every_call[-1]
            return web.Response(text="<R xmlns='x'><UploadId>u/1+</UploadId></R>", content_type="application/xml")
        if step.startswith("part"):
            self.parts[len(self.parts) + 1] = body
            self.got_part.set()
            return web.Response(headers={"ETag": f'"p{len(self.parts)}"'})
        if step == "complete":
            self.completed, self.document = b"".join(self.parts.values()), body
            headers = {"x-amz-version-id": "v7", "ETag": '"of the document"'}
            return web.Response(text=COMPLETED, headers=headers, content_type="application/xml")
        self.parts.clear()
        self.aborted.set()
        assert step == "abort", request.raw_path
        return web.Response(status=204)

    def nothing_stays(self) -> bool:
        return self.aborted.is_set() and self.completed is None and not self.parts and self.steps[-1] == "abort"


@pytest.fixture
async def store() -> AsyncIterator[PartStore]:
    running = PartStore()
    async with served(web.Server(running.handle, access_log=None)) as running.endpoint:
        yield running


@pytest.fixture
async def gateway(store: PartStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewayUnderTest]:
    monkeypatch.setattr(long_body, "PART_BYTES", PART)
    async with running_gateway(store.endpoint, server={"spool_bytes": SPOOL}) as running:
        yield running


async def put(
    gateway: GatewayUnderTest, pieces: list[bytes], payload: str = "UNSIGNED-PAYLOAD", **more: str
) -> tuple[int, Mapping[str, str], bytes]:
    sent = (("host", gateway.authority), *((name.replace("_", "-"), value) for name, value in more.items()))
    signing = {"access_key_id": KEY_ID, "secret": SECRET, "region": "us-east-1", "now": utc_now()}
    signature = aws_v4.sign("PUT", "/demo/new", "", sent, payload=payload, **signing)  # type: ignore[arg-type] # one dict of several types
    url = URL(f"{gateway.url}/demo/new")
    return await gateway.request("PUT", url, headers=dict((*sent, *signature)), data=unknown(pieces))


@pytest.mark.parametrize("pieces", [CUTS, [DATA], EXACT], ids=["small pieces", "one piece", "whole parts"])
async def test_a_long_body_arrives_whole_and_answers_like_a_put(
    gateway: GatewayUnderTest, store: PartStore, pieces: list[bytes]
) -> None:
    whole = b"".join(pieces)
    status, headers, text = await put(gateway, pieces, hashlib.sha256(whole).hexdigest())
    assert (status, text, store.completed) == (200, b"", whole)
    assert (headers["ETag"], headers["x-amz-version-id"]) == ('"abc-8"', "v7")
    assert {len(part) for part in list(store.parts.values())[:-1]} == {PART}
    assert 0 < len(store.parts[len(store.parts)]) <= PART
    assert store.document.startswith(
        b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"p1"</ETag></Part>'
    )
    assert store.steps == ["initiate", *(f"part {number}" for number in store.parts), "complete"]


async def test_a_body_that_fits_the_spool_goes_as_one_put(gateway: GatewayUnderTest, store: PartStore) -> None:
    store.faults["unexpected PUT /demo/new"] = (200, "")
    assert (await put(gateway, [bytes(SPOOL)]))[0] == 200
    assert store.steps == ["unexpected PUT /demo/new"]


async def test_the_objects_headers_go_with_the_start_and_the_bodys_do_not(
    gateway: GatewayUnderTest, store: PartStore
) -> None:
    key = {"x_amz_server_side_encryption_customer_key": "k"}
    kept = {"content_type": "image/odd", "x_amz_meta_a": "1", "x_amz_acl": "private", "cache_control": "no-cache"}
    md5 = "AAAAAAAAAAAAAAAAAAAAAA=="
    assert (await put(gateway, CUTS, content_md5=md5))[0] == 400, "it is checked here"
    store.steps.clear()
    assert (await put(gateway, CUTS, **kept, **key))[0] == 200
    assert {name.replace("_", "-"): value for name, value in kept.items()}.items() <= store.initiated.items()
    calls = store.every_call[-len(store.steps) :]
    assert all(call["x-amz-server-side-encryption-customer-key"] == "k" for call in calls)
    assert all("x-amz-meta-a" not in call and "content-md5" not in call for call in calls[1:])


async def test_a_checked_body_tells_the_store_nothing_about_its_whole(
    gateway: GatewayUnderTest, store: PartStore
) -> None:
    digest = b64encode(hashlib.sha256(DATA).digest()).decode()
    told = {"x_amz_checksum_sha256": digest, "x_amz_sdk_checksum_algorithm": "SHA256"}
    assert (await put(gateway, CUTS, **told))[0] == 200
    assert not any("checksum" in name for call in store.every_call for name in call)


async def test_a_body_with_another_digest_leaves_nothing(gateway: GatewayUnderTest, store: PartStore) -> None:
    status, _, text = await put(gateway, [*CUTS[:-1], bytes(len(CUTS[-1]))], hashlib.sha256(DATA).hexdigest())
    assert (status, b"<Code>XAmzContentSHA256Mismatch</Code>" in text) == (400, True)
    assert store.nothing_stays()
    assert "complete" not in store.steps


@pytest.mark.parametrize("hanging", ["", "part 2", "complete"])
async def test_a_client_that_vanishes_leaves_nothing(gateway: GatewayUnderTest, store: PartStore, hanging: str) -> None:
    store.faults[hanging] = (SILENT, "")
    headers = signed(gateway, "PUT", "/demo/new")
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.authority.partition(":")[2]))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"PUT /demo/new HTTP/1.1\r\nHost: {gateway.authority}\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
    ended = b"\r\n0\r\n\r\n" if hanging else b""
    writer.write(start.encode() + b"%x\r\n" % len(DATA) + DATA + ended)
    await asyncio.wait_for((store.silent if hanging else store.got_part).wait(), 5)
    writer.close()
    await asyncio.wait_for(store.aborted.wait(), 5)
    assert store.nothing_stays()


@pytest.mark.parametrize(
    ("step", "said", "status", "code"),
    [
        ("part 3", (503, ERROR.format("SlowDown")), 503, "SlowDown"),
        ("part 1", (403, ERROR.format("QuotaExceeded")), 403, "QuotaExceeded"),
        ("complete", (200, "  \n" + ERROR.format("InternalError")), 500, "InternalError"),
        ("complete", (200, ERROR.format("SlowDown")), 503, "SlowDown"),
        ("complete", (400, ERROR.format("EntityTooSmall")), 400, "EntityTooSmall"),
        ("complete", (200, "   "), 502, "BadGateway"),
    ],
)
@pytest.mark.parametrize("form", ["s3", "oss", "cos"])
async def test_what_the_store_refuses_is_told_in_the_dialect_and_leaves_nothing(
    gateway: GatewayUnderTest, store: PartStore, form: str, step: str, said: tuple[int, str], status: int, code: str
) -> None:
    store.faults[step] = said
    got, headers, text = await put_as(form, gateway)
    assert (got, f"<Code>{code}</Code>".encode() in text) == (status, True)
    assert form == "s3" or headers[f"x-{form}-request-id"].encode() in text
    assert store.nothing_stays()


async def put_as(form: str, gateway: GatewayUnderTest) -> tuple[int, Mapping[str, str], bytes]:
    if form == "s3":
        return await put(gateway, CUTS)
    signing = {"access_key_id": KEY_ID, "secret": SECRET, "expires_s": 600, "now": utc_now()}
    if form == "oss":
        query = oss_v1.presign("PUT", "demo", "new", "", **signing)  # type: ignore[arg-type] # one dict for both
        url, sent = gateway.raw_url(f"/demo/new?{query}"), {}
    else:
        query = cos.presign("PUT", "/new", "", "demo.cos.localhost", **signing)  # type: ignore[arg-type] # same
        url, sent = gateway.raw_url(f"/new?{query}"), {"Host": "demo.cos.localhost"}
    return await gateway.request("PUT", url, headers=sent, data=unknown(CUTS), skip_auto_headers=["Content-Type"])


@pytest.mark.parametrize("form", ["oss", "cos"])
async def test_the_answer_speaks_the_clients_dialect(gateway: GatewayUnderTest, store: PartStore, form: str) -> None:
    status, headers, text = await put_as(form, gateway)
    assert (status, text, store.completed) == (200, b"", DATA)
    assert (headers["ETag"], headers[f"x-{form}-version-id"]) == ('"abc-8"', "v7")
    assert f"x-{form}-request-id" in headers
    assert not any(name.lower().startswith("x-amz-") for name in headers)


async def test_an_upload_that_cannot_begin_is_the_stores_error(gateway: GatewayUnderTest, store: PartStore) -> None:
    store.faults["initiate"] = (404, ERROR.format("NoSuchBucket"))
    status, _, text = await put(gateway, CUTS)
    assert (status, b"<Code>NoSuchBucket</Code>" in text, store.steps) == (404, True, ["initiate"])


@pytest.mark.parametrize(("status", "told"), [(200, '"late-8"'), (500, None)])
async def test_a_tag_that_the_end_of_the_upload_does_not_tell_is_asked_for(
    gateway: GatewayUnderTest, store: PartStore, status: int, told: str | None
) -> None:
    store.faults["complete"] = (200, "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>")
    store.faults["unexpected HEAD /demo/new"] = (status, "")
    got, headers, _ = await put(gateway, CUTS)
    assert (got, headers.get("ETag"), store.steps[-1]) == (200, told, "unexpected HEAD /demo/new")
    assert not store.aborted.is_set()


async def test_an_abort_that_fails_hides_no_error(gateway: GatewayUnderTest, store: PartStore) -> None:
    store.faults = {"abort": (500, ERROR.format("Odd")), "part 2": (503, ERROR.format("SlowDown"))}
    status, _, text = await put(gateway, CUTS)
    assert (status, b"<Code>SlowDown</Code>" in text, store.steps[-1]) == (503, True, "abort")


async def test_a_client_that_falls_silent_is_a_400_and_leaves_nothing(
    gateway: GatewayUnderTest, store: PartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_IDLE_S", 0.3)

    async def hanging() -> AsyncIterator[bytes]:
        yield DATA
        await asyncio.sleep(60)

    url = gateway.s3_url("/demo/new", method="PUT")
    status, _, text = await gateway.request("PUT", url, data=hanging())
    assert (status, b"<Code>RequestTimeout</Code>" in text) == (400, True)
    assert store.nothing_stays()


async def test_a_body_of_too_many_parts_leaves_nothing(
    gateway: GatewayUnderTest, store: PartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_body, "MAX_PARTS", 4)
    status, _, text = await put(gateway, CUTS)
    assert (status, b"<Code>EntityTooLarge</Code>" in text, b"<MaxSizeAllowed>4000<" in text) == (400, True, True)
    assert store.nothing_stays()


async def test_a_condition_is_never_overlooked(gateway: GatewayUnderTest, store: PartStore) -> None:
    status, _, text = await put(gateway, CUTS, if_none_match="*")
    assert (status, b"<Code>MissingContentLength</Code>" in text, store.steps) == (411, True, [])


@pytest.mark.parametrize(
    ("method", "key", "query", "fitting"),
    [
        ("PUT", "a", "", True),
        ("PUT", "a", "x-id=PutObject", True),
        ("PUT", "a", "partNumber=1&uploadId=u", False),
        ("PUT", "a", "acl", False),
        ("PUT", "a", "tagging=", False),
        ("PUT", "", "", False),
        ("POST", "a", "", False),
    ],
)
def test_only_the_put_of_an_object_goes_in_parts(method: str, key: str, query: str, fitting: bool) -> None:  # noqa: FBT001 # a column of the table
    assert long_body.fits(StoreRequest(method, key, query, ())) is fitting


@pytest.mark.store
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["swift", "rgw"])
async def test_real_stores_get_the_whole_object_or_nothing(
    request: pytest.FixtureRequest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Place = request.getfixturevalue(name)
    assert place.request("PUT", "/demo")[0] in (200, 409)
    monkeypatch.setattr(long_body, "PART_BYTES", 5 * 1024 * 1024)
    upstream = {"endpoint": f"http://{place.authority}", "access_key": place.key_id, "secret": place.secret.reveal()}
    whole = random.Random(4).randbytes(12_345_678)  # noqa: S311 # bytes, not secrets
    cuts = [whole[start : start + 100_000] for start in range(0, len(whole), 100_000)]
    server = {"spool_bytes": 1_000_000}
    async with running_gateway("", server=server, upstream={"default": upstream}) as gateway:
        digest = hashlib.sha256(whole).hexdigest()
        assert (await put(gateway, [*cuts[:-1], b"?"], digest))[0] == 400
        assert (await asyncio.to_thread(place.request, "HEAD", "/demo/new"))[0] == 404
        sent = {"content_type": "image/odd", "x_amz_meta_a": "1"}
        status, answered, text = await put(gateway, cuts, digest, **sent)
        assert status == 200, text
    _, headers, body = await asyncio.to_thread(place.request, "GET", "/demo/new")
    assert body == whole
    assert (headers["content-type"], headers["x-amz-meta-a"]) == ("image/odd", "1")
    assert headers["etag"] == answered["ETag"]
    _, _, uploads = await asyncio.to_thread(place.request, "GET", "/demo", query="uploads")
    assert b"<ListMultipartUploadsResult" in uploads
    assert b"<Upload>" not in uploads
