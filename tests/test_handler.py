from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.dialects.xml import XmlLimits, parse
from gateway.wire import ClientGoneError, Exchange
from tests.harness import KEY_ID, SECRET, GatewayUnderTest, running_gateway
from tests.journeys.test_forward import FORMS, ask
from tests.test_wire import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.fake_store import FakeStore

REQUEST_ID = {"s3": "x-amz-request-id", "oss": "x-oss-request-id", "cos": "x-cos-request-id"}


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    store.objects["/demo/a.bin"] = b"hello"
    async with running_gateway(store.endpoint) as running:
        yield running


@pytest.fixture
def journey(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Let requests go a journey of the test's own after they have been verified and allowed."""
    return lambda own: monkeypatch.setattr("gateway.handler.forward", own)


async def out_of_order(*_: object) -> None:
    raise ValueError("out of order: key=hush-hush")


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def statuses(gateway: GatewayUnderTest) -> list[int]:
    return [status for (_, _, status), count in gateway.telemetry.requests.items() for _ in range(count)]


def code_of(body: bytes) -> str:
    return parse(body, XmlLimits()).child_text("Code")


@pytest.mark.parametrize("form", FORMS)
async def test_the_unexpected_is_the_dialects_internal_error_and_its_trace_is_in_the_log(
    gateway: GatewayUnderTest, journey: Callable[[Any], None], caplog: pytest.LogCaptureFixture, form: str
) -> None:
    journey(out_of_order)
    status, headers, body = await ask(gateway, form)
    assert (status, code_of(body)) == (500, "InternalError")
    request_id = headers[REQUEST_ID[form]]
    assert parse(body, XmlLimits()).child_text("RequestId") == request_id
    assert b"out of order" not in body
    (trace,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert trace.getMessage() == f"request {request_id} failed"
    assert trace.exc_info is not None
    assert isinstance(trace.exc_info[1], ValueError)


async def test_the_connection_and_the_gateway_go_on_after_the_unexpected(
    gateway: GatewayUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("gateway.handler.forward", out_of_order)
        assert (await ask(gateway, "s3"))[0] == 500
    assert (await ask(gateway, "s3"))[::2] == (200, b"hello")
    assert statuses(gateway) == [500, 200]


@pytest.mark.parametrize(
    "place", ["handler.registry.select", "journeys.who.locate", "journeys.who.identify.identify", "handler.route"]
)
async def test_a_failure_anywhere_on_the_way_is_answered(
    gateway: GatewayUnderTest, store: FakeStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(f"gateway.{place}", broken)
    status, _, body = await ask(gateway, "s3")
    assert (status, code_of(body), store.seen) == (500, "InternalError", [])


async def test_a_failure_after_the_answer_began_cuts_the_connection(
    gateway: GatewayUnderTest, journey: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def half(exchange: Exchange, *_: object) -> None:
        await exchange.begin(200, "OK", (("Content-Length", "10"),))
        await exchange.write(b"half")
        raise ValueError("out of order")

    journey(half)
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(gateway, "s3")
    assert re.search(r"request [0-9A-F]{24} failed", caplog.text)
    assert "out of order" in caplog.text
    assert statuses(gateway) == [200]


@pytest.mark.parametrize("headers", [(("Transfer-Encoding", "chunked"),), ()], ids=["chunked", "until the end"])
async def test_an_answer_without_a_length_is_not_ended_in_order_either(
    gateway: GatewayUnderTest, journey: Callable[[Any], None], headers: tuple[tuple[str, str], ...]
) -> None:
    async def half(exchange: Exchange, *_: object) -> None:
        await exchange.begin(200, "OK", headers)
        await exchange.write(b"half")
        raise ValueError("out of order")

    journey(half)
    with pytest.raises(aiohttp.ClientError):
        await ask(gateway, "s3")


async def test_a_client_that_goes_before_the_answer_ends_the_request_to_the_store(
    gateway: GatewayUnderTest, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.faults["/demo/a.bin"] = "silent"
    target = gateway.s3_url("/demo/a.bin").raw_path_qs
    async with connected(gateway) as client:
        await client.send(f"GET {target} HTTP/1.1\r\n".encode() + client.host + b"\r\n")
        await asyncio.wait_for(store.entered.wait(), 5)
    await asyncio.wait_for(store.aborted.wait(), 5)
    await eventually(lambda: statuses(gateway) == [0])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_goes_while_it_is_answered_is_no_failure(
    gateway: GatewayUnderTest, journey: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(*_: object) -> None:
        raise ClientGoneError

    journey(gone)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await gateway.request("POST", gateway.s3_url("/demo/a.bin", method="POST"))
    assert statuses(gateway) == [0]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_every_request_has_an_id_of_its_own(gateway: GatewayUnderTest) -> None:
    ids = [await request_id(gateway) for _ in range(5)]
    assert all(re.fullmatch(r"[0-9A-F]{24}", each) for each in ids)
    assert len(set(ids)) == 5


async def request_id(gateway: GatewayUnderTest) -> str:
    _, headers, _ = await gateway.get(URL(f"{gateway.url}/demo/a.bin"))
    return headers["x-amz-request-id"]


async def test_the_client_of_an_error_gets_the_id_that_the_access_line_has(
    gateway: GatewayUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    assert f'"request_id": "{await request_id(gateway)}"' in caplog.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "PROPFIND"])
async def test_nobody_unverified_reaches_the_store_by_any_method(
    gateway: GatewayUnderTest, store: FakeStore, method: str
) -> None:
    for path in ("/demo/a.bin", "/demo", "/"):
        status, _, _ = await gateway.request(method, URL(f"{gateway.url}{path}"))
        assert status in (403, 405)
    assert store.seen == []


async def test_the_right_of_a_request_is_checked_under_the_configured_name(store: FakeStore) -> None:
    store.objects["/inner/public/x"] = b"1"
    buckets = {"demo": {"store_name": "inner", "aliases": ["other-name"]}}
    async with running_gateway(store.endpoint, buckets=buckets) as gateway:
        url = gateway.s3_url("/other-name/public/x", key_id="READER")
        assert (await gateway.get(url))[::2] == (200, b"1")
        assert (await gateway.get(gateway.s3_url("/inner/public/x", key_id="READER")))[0] in (403, 404)
    assert len(store.seen) == 1, "the store's own name is no way around the rights on the configured one"


async def test_a_copy_names_its_source_as_the_store_does(store: FakeStore) -> None:
    buckets = {"demo": {"store_name": "inner"}}
    store.objects["/inner/a%20b"] = b"source"
    async with running_gateway(store.endpoint, buckets=buckets) as gateway:
        source = ("x-amz-copy-source", "/demo/a%20b")
        signature = aws_v4.sign(
            *("PUT", "/demo/new", "", (("host", gateway.authority), source)),
            access_key_id=KEY_ID,
            secret=SECRET,
            region="us-east-1",
            payload="UNSIGNED-PAYLOAD",
            now=utc_now(),
        )
        url = URL(f"{gateway.url}/demo/new")
        assert (await gateway.request("PUT", url, headers=dict([source, *signature])))[0] == 200
    (seen,) = store.seen
    assert (seen.raw_path, seen.headers["x-amz-copy-source"]) == ("/inner/new", "inner/a%20b")
