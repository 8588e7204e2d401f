from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.http import HttpRequestParser

from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.connection import Connection, Incoming
from gateway.wire import read_head
from tests.fake_store import FakeStore, served
from tests.harness import KEY_ID, SECRET, GatewayUnderTest, running_gateway
from tests.stores.scripted import scripted_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OPEN = {"demo": {"anonymous": "configured", "anonymous_prefixes": [""]}}
ORIGIN = b"GET /demo/a HTTP/1.1\r\n"


@dataclass
class Answer:
    """One answer as it stood on the wire; header names in lower case."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Client:
    """One connection to the gateway, used byte by byte."""

    host: bytes  # the Host line of this gateway
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, to_head: bool = False) -> Answer:
        """Read exactly one answer; fails when none comes."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 3)).decode()
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        version, status = first.split(" ")[:2]
        length = 0 if to_head or status == "304" else int(headers["content-length"])
        return Answer(version, int(status), headers, await self.reader.readexactly(length))

    async def ask(self, request: bytes) -> Answer:
        await self.send(request)
        return await self.answer()

    async def ended(self) -> bool:
        """Tell whether the gateway closed the connection, with nothing more to read."""
        try:
            return await asyncio.wait_for(self.reader.read(), 3) == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def connected(gateway: GatewayUnderTest) -> AsyncIterator[Client]:
    host, _, port = gateway.authority.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Client(f"Host: {gateway.authority}\r\n".encode(), reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def relaying(*script: bytes) -> AsyncIterator[Client]:
    """Connect to a gateway in front of a store that answers with exactly these bytes."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(scripted_store(*script))
        gateway = await stack.enter_async_context(running_gateway(store.endpoint, buckets=OPEN))
        yield await stack.enter_async_context(connected(gateway))


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    store.objects |= {"/demo/a": b"hello", "/demo/b": b"other"}
    async with running_gateway(store.endpoint, buckets=OPEN) as running:
        yield running


@pytest.fixture
async def client(gateway: GatewayUnderTest) -> AsyncIterator[Client]:
    async with connected(gateway) as one:
        yield one


def incoming(head: bytes) -> Incoming:
    """Parse one head, as if it had come on a connection."""
    connection = Connection(unanswered, set())
    (parsed,), _, _ = HttpRequestParser(connection, asyncio.get_running_loop(), 1024).feed_data(head)
    return Incoming(connection, *parsed)


async def unanswered(_: Incoming) -> None:
    """Answer nothing."""


def signed_query(host: str, path: str, query: str = "") -> str:
    return aws_v4.presign(
        *("GET", path, query, host),
        access_key_id=KEY_ID,
        secret=SECRET,
        region="us-east-1",
        expires_s=600,
        now=utc_now(),
    )


def targets(store: FakeStore) -> list[str]:
    return [seen.raw_path for seen in store.seen]


async def test_an_origin_form_target_is_answered_and_the_connection_stays_open(client: Client) -> None:
    for _ in range(2):
        answer = await client.ask(ORIGIN + client.host + b"\r\n")
        assert (answer.version, answer.status, answer.body) == ("HTTP/1.1", 200, b"hello")


@pytest.mark.parametrize(
    "start", ["http://demo.oss.localhost", "HTTP://DEMO.OSS.localhost:80", "https://demo.oss.localhost"]
)
async def test_an_absolute_form_target_names_the_host_whatever_the_host_field_says(
    client: Client, store: FakeStore, start: str
) -> None:
    answer = await client.ask(f"GET {start}/a HTTP/1.1\r\n".encode() + client.host + b"\r\n")
    assert (answer.status, answer.body) == (200, b"hello")
    assert "x-oss-request-id" in answer.headers
    assert targets(store) == ["/demo/a"]


async def test_a_signature_is_verified_for_the_absolute_forms_authority(client: Client) -> None:
    query = signed_query("demo.s3.localhost:77", "/b")
    good = f"GET http://demo.s3.localhost:77/b?{query} HTTP/1.1\r\n".encode() + client.host + b"\r\n"
    assert (await client.ask(good)).body == b"other"
    other = f"GET http://demo.s3.localhost/b?{query} HTTP/1.1\r\nHost: demo.s3.localhost:77\r\n\r\n".encode()
    assert (await client.ask(other)).status == 403


async def test_the_host_header_of_a_head_is_its_authority() -> None:
    head = read_head(incoming(b"GET http://a.test:1/x?y HTTP/1.1\r\nX-A: 1\r\nHost: b.test\r\n\r\n"))
    assert (head.authority, head.raw_path, head.raw_query) == ("a.test:1", "/x", "y")
    assert head.headers == (("x-a", "1"), ("host", "a.test:1"))


@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("query", ["", "prefix=a%2Fb"])
async def test_an_absolute_form_target_may_lack_its_path(
    client: Client, store: FakeStore, path: str, query: str
) -> None:
    signed = signed_query("demo.s3.localhost", "/", query)
    answer = await client.ask(
        f"GET http://demo.s3.localhost{path}?{signed} HTTP/1.1\r\n".encode() + client.host + b"\r\n"
    )
    assert (answer.status, targets(store)) == (404, [f"/demo?{query}" if query else "/demo"]), answer.body


async def test_a_slash_in_the_query_of_an_absolute_form_target_begins_no_path(client: Client, store: FakeStore) -> None:
    answer = await client.ask(b"GET http://s3.localhost?x=/demo/a HTTP/1.1\r\n" + client.host + b"\r\n")
    assert (answer.status, targets(store)) == (403, []), "it asks for the list of all buckets"


@pytest.mark.parametrize("path", ["/demo/http://x/y", "/demo//a", "/demo/../a", "/demo/%2e%2E/%7e~"])
async def test_a_path_goes_on_as_it_was_sent(client: Client, store: FakeStore, path: str) -> None:
    await client.ask(f"GET {path} HTTP/1.1\r\n".encode() + client.host + b"\r\n")
    assert targets(store) == [path]


UNPARSABLE = [
    b"/demo/a#fragment",
    b"/demo/a?x#fragment",
    b"*",
    b"ftp://demo.s3.localhost/a",
    "/demo/ä".encode(),
    b"/demo/\xe4",
    b"/demo/a?\xff",
    b"/demo/a\x01",
    b"/demo/a\x7f",
    b"/demo/a\x00",
    b"/demo/a\tb",
    b"/demo/a b",
    b"demo/a",
    b"http://[::1/demo/a",
    b"http://h:99999/demo/a",
]


@pytest.mark.parametrize("target", UNPARSABLE, ids=repr)
async def test_a_target_that_is_no_uri_is_a_400_and_never_reaches_the_store(
    client: Client, store: FakeStore, target: bytes
) -> None:
    answer = await client.ask(b"GET " + target + b" HTTP/1.1\r\n" + client.host + b"\r\n")
    assert (answer.status, store.seen) == (400, [])


@pytest.mark.parametrize("target", [b"/demo/a#fragment", "/demo/ä".encode(), b"/demo/a\x01"], ids=repr)
async def test_a_target_that_is_no_uri_is_told_in_the_dialect(client: Client, target: bytes) -> None:
    answer = await client.ask(b"GET " + target + b" HTTP/1.1\r\n" + client.host + b"\r\n")
    assert b"<Code>InvalidURI</Code>" in answer.body, answer.body
    assert answer.headers["x-amz-request-id"].encode() in answer.body


async def test_http_1_0_is_answered_in_kind_and_the_connection_ends(gateway: GatewayUnderTest) -> None:
    for host in (f"Host: {gateway.authority}\r\n".encode(), b""):
        async with connected(gateway) as client:
            answer = await client.ask(b"GET /demo/a HTTP/1.0\r\n" + host + b"\r\n")
            assert (answer.version, answer.status, answer.body) == ("HTTP/1.0", 200, b"hello")
            assert await client.ended()


async def test_http_1_0_may_ask_to_stay(client: Client) -> None:
    for _ in range(2):
        answer = await client.ask(b"GET /demo/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (answer.headers["connection"], answer.body) == ("keep-alive", b"hello")


async def test_http_1_1_without_a_host_is_refused(client: Client, store: FakeStore) -> None:
    assert (await client.ask(ORIGIN + b"\r\n")).status == 400
    assert await client.ended()
    assert store.seen == []


async def test_head_has_the_length_and_no_body(client: Client) -> None:
    await client.send(b"HEAD /demo/a HTTP/1.1\r\n" + client.host + b"\r\n" + ORIGIN + client.host + b"\r\n")
    head = await client.answer(to_head=True)
    assert (head.status, head.headers["content-length"]) == (200, "5")
    assert (await client.answer()).body == b"hello", "the next answer begins where the headers end"


async def test_a_refused_head_has_no_body_either(client: Client) -> None:
    await client.send(b"HEAD /other/a HTTP/1.1\r\n" + client.host + b"\r\n" + ORIGIN + client.host + b"\r\n")
    assert (await client.answer(to_head=True)).status == 403
    assert (await client.answer()).body == b"hello"


async def test_pipelined_requests_are_answered_in_their_order(client: Client) -> None:
    paths = [b"/demo/a", b"/demo/b", b"/demo/none", b"/other/x", b"/demo/a"]
    await client.send(b"".join(b"GET " + path + b" HTTP/1.1\r\n" + client.host + b"\r\n" for path in paths))
    answers = [await client.answer() for _ in paths]
    assert [answer.status for answer in answers] == [200, 200, 404, 403, 200]
    assert [answers[0].body, answers[1].body, answers[4].body] == [b"hello", b"other", b"hello"]


SMUGGLED = b"GET /demo/b HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 4\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 18446744073709551615\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X-Folded: a\r\n b\r\nContent-Length : 3\r\n",
    ],
    ids=repr,
)
async def test_a_body_of_uncertain_length_ends_the_connection_and_smuggles_nothing(
    client: Client, store: FakeStore, fields: bytes
) -> None:
    answer = await client.ask(b"PUT /demo/a HTTP/1.1\r\n" + client.host + fields + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.status == 400
    assert await client.ended()
    assert store.seen == []


@pytest.mark.parametrize(
    "fields",
    [
        b"Host: demo.oss.localhost\r\n",
        b"Authorization: AWS GATEWAYDEMO:x\r\nAuthorization: OSS GATEWAYDEMO:x\r\n",
        b"Authorization: \r\nAuthorization: \r\n",
    ],
    ids=["host", "authorization", "empty authorization"],
)
async def test_what_may_stand_once_is_refused_twice(client: Client, store: FakeStore, fields: bytes) -> None:
    answer = await client.ask(ORIGIN + client.host + fields + b"\r\n")
    assert (answer.status, store.seen) == (400, [])


async def test_an_empty_authorization_is_none(client: Client) -> None:
    answer = await client.ask(ORIGIN + client.host + b"Authorization: \r\n\r\n")
    assert (answer.status, answer.body) == (200, b"hello")


async def test_long_targets_and_headers_reach_the_store_whole(store: FakeStore) -> None:
    roomy = web.Server(store.handle, access_log=None, max_line_size=40_000, max_field_size=40_000)
    query, value = "x=" + "y" * 16_384, "v" * 16_384
    store.objects["/demo/a"] = b"hello"
    async with (
        served(roomy) as endpoint,
        running_gateway(endpoint, buckets=OPEN) as gateway,
        connected(gateway) as client,
    ):
        start = f"GET /demo/a?{query} HTTP/1.1\r\nX-Long: {value}\r\n".encode()
        assert (await client.ask(start + client.host + b"\r\n")).body == b"hello"
    (seen,) = store.seen
    assert (seen.raw_path, seen.headers["x-long"]) == (f"/demo/a?{query}", value)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /demo/a?" + b"y" * 70_000 + b" HTTP/1.1\r\n",
        ORIGIN + b"X-Long: " + b"y" * 70_000 + b"\r\n",
        ORIGIN + b"X-Many: 1\r\n" * 300,
    ],
    ids=["target", "header", "headers"],
)
async def test_what_is_longer_than_the_limits_is_refused(client: Client, store: FakeStore, request_: bytes) -> None:
    assert (await client.ask(request_ + client.host + b"\r\n")).status == 400
    assert store.seen == []


async def test_the_connection_stays_open_after_an_error(client: Client) -> None:
    for target, status in ((b"/other/x", 403), (b"/demo/a#x", 400), (b"/demo/none", 404), (b"/demo/a", 200)):
        assert (await client.ask(b"GET " + target + b" HTTP/1.1\r\n" + client.host + b"\r\n")).status == status


async def test_a_refused_upload_is_answered_at_once_and_the_rest_of_it_is_not_the_next_request(
    client: Client, store: FakeStore
) -> None:
    length = 3 * len(SMUGGLED)
    start = b"PUT /demo/new HTTP/1.1\r\n" + client.host + f"Content-Length: {length}\r\n\r\n".encode()
    assert (await client.ask(start + SMUGGLED)).status == 403
    await client.send(SMUGGLED + SMUGGLED)
    assert (await client.ask(ORIGIN + client.host + b"\r\n")).body == b"hello"
    assert targets(store) == ["/demo/a"]


async def test_a_client_that_was_refused_instead_of_100_continue_can_go_on(client: Client) -> None:
    """It will not send that body, so the connection must end or take what follows for a request (RFC 9110, 10.1.1)."""
    start = b"PUT /demo/new HTTP/1.1\r\n" + client.host + b"Expect: 100-continue\r\nContent-Length: 500\r\n\r\n"
    refused = await client.ask(start)
    assert refused.status == 403
    if refused.headers.get("connection") != "close":
        assert (await client.ask(ORIGIN + client.host + b"\r\n")).body == b"hello"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_offer_to_upgrade_is_not_taken_up(client: Client, store: FakeStore, protocol: bytes) -> None:
    offer = b"Upgrade: " + protocol + b"\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"
    assert (await client.ask(ORIGIN + client.host + offer + b"\r\n")).body == b"hello"
    assert (await client.ask(b"GET /demo/b HTTP/1.1\r\n" + client.host + b"\r\n")).body == b"other"
    assert {"upgrade", "http2-settings", "connection"} & store.seen[0].headers.keys() == set()


async def test_what_the_store_says_comes_back_as_it_stood_there() -> None:
    head = (
        b"HTTP/1.1 299 Odd Reason\r\nX-Odd-CASE: 1\r\nX-Odd-CASE: 2\r\nX-Bytes: \xc3\xa9\r\nContent-Length: 1\r\n\r\nx"
    )
    async with relaying(head) as client:
        await client.send(ORIGIN + client.host + b"\r\n")
        got = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\nx"), 3)
    lines = got.split(b"\r\n")
    assert lines[:4] == head.split(b"\r\n")[:4]
    ours = {b"x-request-id"}  # this store names no request id of its own
    assert {line.partition(b":")[0].lower() for line in lines[4:-2]} == {b"content-length", b"date"} | ours


async def test_a_304_keeps_the_length_that_the_store_gave_it() -> None:
    unchanged = b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 12345\r\n\r\n'
    async with relaying(unchanged, unchanged) as client:
        for _ in range(2):
            answer = await client.ask(ORIGIN + client.host + b"\r\n")
            assert (answer.status, answer.headers["content-length"]) == (304, "12345")
            assert "content-type" not in answer.headers
