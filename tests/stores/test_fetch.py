"""What may be fetched is fetched, within its limits; what the settings say of hosts, ports and networks."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.errors import URL_NOT_AN_IMAGE, URL_TOO_LARGE, URL_UNREACHABLE, ApiError, ErrorKind
from gateway.settings import SettingsError, load
from gateway.stores.fetch import Fetcher, system_resolve
from gateway.stores.fetch_rules import FetchSettings, fetch_rules, follow, is_public, parse_url, resolved
from tests.fake_store import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

DATA = os.urandom(100_000)


@asynccontextmanager
async def samples(handler: Any, **settings: Any) -> AsyncIterator[tuple[Fetcher, str]]:
    """A server of pictures that may be fetched from, and what fetches."""
    async with served(web.Server(handler, access_log=None)) as url:
        allow = (url.removeprefix("http://"),)
        yield Fetcher(fetch_rules(FetchSettings(**{"allow": allow, "timeout_s": 5.0, **settings}))), url


async def read(fetcher: Fetcher, url: str) -> bytes:
    async with fetcher.open(url) as fetched:
        return b"".join([chunk async for chunk in fetched.chunks()])


async def kind_of(fetcher: Fetcher, url: str) -> ErrorKind:
    with pytest.raises(ApiError) as caught:
        await read(fetcher, url)
    return caught.value.kind


def picture(request: web.BaseRequest) -> web.Response:
    return web.Response(body=DATA, content_type="image/jpeg", headers={"X-Path": request.raw_path})


async def test_a_picture_is_fetched_with_no_credentials_and_its_target_as_it_was_written() -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append((request.raw_path, dict(request.headers)))
        return picture(request)

    async with samples(handler) as (fetcher, url):
        assert await read(fetcher, f"{url}/a%2Fb c/\u00e9.jpg?x=1&y=%20+#there") == DATA
        assert await read(fetcher, url.upper().replace("HTTP", "hTTp")) == DATA
    assert [path for path, _ in seen] == ["/a%2Fb%20c/%C3%A9.jpg?x=1&y=%20+", "/"]
    assert {name.lower() for name in seen[0][1]} == {*("host", "user-agent", "accept", "accept-encoding", "connection")}


async def test_redirects_are_followed_a_few_times_relative_ones_too() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        left = int(request.raw_path.lstrip("/"))
        return web.Response(status=307, headers={"Location": str(left - 1)}) if left else picture(request)

    async with samples(handler) as (fetcher, url):
        assert await read(fetcher, f"{url}/3") == DATA
        assert await kind_of(fetcher, f"{url}/4") is URL_UNREACHABLE


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_beyond_the_limit_is_not_read_to_its_end(declared: bool) -> None:  # noqa: FBT001 # a parameter
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        if declared:
            response.content_length = len(DATA)
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA)
        return response

    async with samples(handler, max_bytes=len(DATA) - 1) as (fetcher, url):
        assert await kind_of(fetcher, url) is URL_TOO_LARGE
    async with samples(handler, max_bytes=len(DATA)) as (fetcher, url):
        assert await read(fetcher, url) == DATA


@pytest.mark.parametrize("at", ["head", "body"])
async def test_the_time_limit_holds_for_the_whole_of_it(at: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        for _ in range(200):
            await asyncio.sleep(0.05)
            if at == "body":
                await response.prepare(request)
                await response.write(b"x")
        return response

    async with samples(handler, timeout_s=0.3) as (fetcher, url):
        assert await kind_of(fetcher, url) is URL_UNREACHABLE


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Content-Type": "text/html"}, URL_NOT_AN_IMAGE),
        ({"Content-Type": "application/json"}, URL_NOT_AN_IMAGE),
        ({"Content-Type": "image/png", "Content-Encoding": "gzip"}, URL_NOT_AN_IMAGE),
        ({"Content-Type": "image/png", "Content-Encoding": "identity"}, None),
        ({"Content-Type": "IMAGE/PNG; charset=x"}, None),
        ({"Content-Type": "binary/octet-stream"}, None),
    ],
)
async def test_only_what_may_be_a_picture_is_taken(headers: dict[str, str], kind: ErrorKind | None) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(body=DATA, headers=headers)

    async with samples(handler) as (fetcher, url):
        if kind:
            assert await kind_of(fetcher, url) is kind
        else:
            assert await read(fetcher, url) == DATA


async def test_other_answers_and_broken_ones_are_unreachable() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == "/404":
            return web.Response(status=404)
        response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": "10"})
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with samples(handler) as (fetcher, url):
        assert await kind_of(fetcher, f"{url}/404") is URL_UNREACHABLE
        assert await kind_of(fetcher, f"{url}/cut") is URL_UNREACHABLE
    assert await kind_of(fetcher, url) is URL_UNREACHABLE  # the server is gone


async def test_an_unknown_name_is_refused_in_the_words_for_a_forbidden_one() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        del port
        if host == "unknown.test":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return ["10.0.0.7"]

    fetcher = Fetcher(fetch_rules(FetchSettings(remote=True)), resolve)
    refusals = []
    for host in ("unknown.test", "database.test"):
        with pytest.raises(ApiError) as caught:
            await read(fetcher, f"http://{host}/a.jpg")
        refusals.append((caught.value.kind, caught.value.message))
    assert refusals[0] == refusals[1]


async def test_an_error_of_whoever_reads_stays_what_it_is() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return picture(request)

    async with samples(handler) as (fetcher, url):
        with pytest.raises(ValueError, match="mine"):
            async with fetcher.open(url):
                raise ValueError("mine")


async def test_a_message_is_brought_and_its_answer_told() -> None:
    seen: list[tuple[bytes, str | None]] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append((await request.read(), request.headers.get("X-Cld-Signature")))
        return web.Response(status=503)

    async with samples(handler) as (fetcher, url):
        assert await fetcher.post(url, b"{}", (("X-Cld-Signature", "s"),)) == 503
    assert seen == [(b"{}", "s")]
    with pytest.raises(ApiError) as caught:
        await fetcher.post(url, b"{}", ())
    assert caught.value.kind is URL_UNREACHABLE


async def test_a_url_out_of_the_settings_may_lead_anywhere() -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response()

    async with samples(handler, allow=()) as (fetcher, url):
        assert await fetcher.post(url, b"", (), trusted=True) == 200
        with pytest.raises(ApiError):
            await fetcher.post(url, b"", ())


def allowed(url: str, address: str, **settings: Any) -> bool:
    rules = fetch_rules(FetchSettings(**settings))
    try:
        plain = parse_url(url)
        rules.check_name(plain)
        rules.check_address(plain, resolved([address])[0])
    except ApiError:
        return False
    return True


PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    ("allow", "url", "address", "expected"),
    [
        ((), "http://a.test/", PUBLIC, False),
        (("a.test",), "http://a.test/", PUBLIC, True),
        (("a.test",), "https://a.test/", PUBLIC, True),
        (("a.test",), "http://b.a.test/", PUBLIC, False),
        ((".a.test",), "http://b.a.test/", PUBLIC, True),
        ((".a.test",), "http://a.test/", PUBLIC, False),
        ((".a.test",), "http://xa.test/", PUBLIC, False),
        (("a.test",), "http://a.test/", "10.0.0.1", False),
        (("a.test",), "http://a.test:8080/", PUBLIC, False),
        (("a.test:8080",), "http://a.test:8080/", PUBLIC, True),
        (("a.test:8080",), "http://a.test/", PUBLIC, False),
        (("10.0.0.0/8",), "http://a.test:8080/", "10.1.2.3", True),
        (("10.0.0.0/8",), "http://a.test/", PUBLIC, False),
        (("127.0.0.1:9000",), "http://a.test:9000/", "127.0.0.1", True),
        (("127.0.0.1:9000",), "http://a.test:9001/", "127.0.0.1", False),
        (("[::1]:9000",), "http://[::1]:9000/", "::1", True),
        (("::1",), "http://[::1]:9000/", "::1", True),
        (("64:ff9b::/96",), "http://a.test/", "64:ff9b::1.2.3.4", True),
    ],
)
def test_the_allow_list_names_hosts_and_networks(
    allow: tuple[str, ...],
    url: str,
    address: str,
    expected: bool,  # noqa: FBT001 # a parameter
) -> None:
    assert allowed(url, address, allow=allow) is expected


def test_remote_hosts_are_off_unless_switched_on() -> None:
    assert not allowed("http://a.test/", PUBLIC)
    assert allowed("http://a.test/", PUBLIC, remote=True)
    assert not allowed("http://a.test:8080/", PUBLIC, remote=True)
    assert allowed("http://a.test:8080/", PUBLIC, remote=True, ports=("8080",))


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "2a00:1450::1", "2001:200::1"])
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(resolved([address])[0])


@pytest.mark.parametrize("entry", ["", "a b", "http://a.test", "10.0.0.1/8", "a.test:0", "a.test:http", "[::1", "1.2"])
def test_an_entry_that_is_none_is_a_mistake_in_the_settings(entry: str) -> None:
    with pytest.raises(ValueError, match=r"port|neither|brackets"):
        fetch_rules(FetchSettings(allow=(entry,)))


def test_a_redirect_back_to_http_is_refused() -> None:
    with pytest.raises(ApiError):
        follow(parse_url("https://a.test/x"), "http://a.test/x")
    assert follow(parse_url("http://a.test/x/y"), "../z?q").text == "http://a.test/z?q"
    assert follow(parse_url("http://a.test/x"), "https://B.test:443/").text == "https://b.test/"


def test_a_url_that_can_never_be_fetched_is_refused_at_once() -> None:
    fetcher = Fetcher(fetch_rules(FetchSettings(remote=True)))
    fetcher.check("http://a.test/")
    for url in ("http://127.0.0.1/", "ftp://a.test/", "http://a.test:22/"):
        with pytest.raises(ApiError):
            fetcher.check(url)


async def test_the_system_s_resolver_tells_each_address_once() -> None:
    with ThreadPoolExecutor(1) as threads:
        found: Sequence[str] = await system_resolve(threads, "127.0.0.1", 80)
    assert list(found) == ["127.0.0.1"]


def test_the_settings_tell_of_an_entry_that_is_none() -> None:
    base = {"upstream": {"main": {"endpoint": "http://s"}}}
    with pytest.raises(SettingsError, match="fetch: 'a b' is neither"):
        load(None, {}, {**base, "fetch": {"allow": ["a b"]}})
    assert load(None, {"GATEWAY_FETCH__ALLOW": "127.0.0.1:9, a.test"}, base).fetch.allow == ("127.0.0.1:9", "a.test")
