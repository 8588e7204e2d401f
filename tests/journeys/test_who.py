"""A signed URL that is asked for again leads to the same, as if it had been proven each time; changed, it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from gateway import app, request
from gateway.auth import aws_v4
from gateway.auth.proven import _OVERLOOKED
from gateway.credentials import Credential, Identity, Statement
from gateway.dialects import registry
from gateway.journeys import who
from tests.auth import samples
from tests.harness import KEY_ID, READER_ID, SECRET, GatewayUnderTest, running_gateway

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from yarl import URL

    from tests.fake_store import FakeStore

TIMES = 4  # proven twice, remembered from then on
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Range": "bytes=0-1"},
    {"User-Agent": "another", "If-None-Match": '"x"'},
    {"Range": "bytes=1-2"},
)


def url_of(gateway: GatewayUnderTest, dialect: str) -> tuple[URL, dict[str, str]]:
    match dialect:
        case "s3":
            return gateway.s3_url("/demo/a", "x-id=GetObject"), {}
        case "oss":
            return gateway.oss_url("demo", "a", "versionId=null"), {}
        case _:
            return gateway.cos_url("demo", "a", "versionId=null")


@pytest.mark.parametrize("dialect", ["s3", "oss", "cos"])
async def test_a_url_leads_to_the_same_each_time(store: FakeStore, dialect: str) -> None:
    store.objects["/demo/a"] = b"hello"
    async with running_gateway(store.endpoint) as gateway:
        url, host = url_of(gateway, dialect)
        answers = [await gateway.get(url, headers=host) for _ in range(TIMES)]
        varied = [(await gateway.get(url, headers={**host, **each}))[0] for each in HEADERS]
    assert [(status, body) for status, _, body in answers] == [(200, b"hello")] * TIMES
    assert [status for status in varied if status not in (200, 206, 304)] == []
    asked = {(each.method, each.raw_path) for each in store.seen}
    (told,) = {each.raw_path for each in store.seen}
    assert len(asked) == 1
    assert "ignature" not in told


async def test_what_was_proven_says_nothing_of_another_request(store: FakeStore) -> None:
    store.objects["/demo/a"] = store.objects["/demo/b"] = b"hello"
    async with running_gateway(store.endpoint) as gateway:
        url = gateway.s3_url("/demo/a")
        assert [(await gateway.get(url))[0] for _ in range(TIMES)] == [200] * TIMES
        asked = len(store.seen)
        changed = [
            (await gateway.request(method, each, headers=headers))[0]
            for method, each, headers in (
                ("HEAD", url, {}),
                ("DELETE", url, {}),
                ("GET", url.with_path("/demo/b").with_query(url.query), {}),
                ("GET", url, {"x-amz-acl": "public-read"}),
                ("GET", url, {"Authorization": "AWS A:b"}),
                ("GET", url.update_query(versionId="1"), {}),
            )
        ]
        assert set(changed) <= {400, 403}
        assert (len(store.seen), (await gateway.get(url))[0]) == (asked, 200)


async def test_its_time_and_its_longest_life_are_looked_at_each_time(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.objects["/demo/a"] = b"hello"
    ahead_s = [0]
    real = app.utc_now

    def shifted() -> datetime:
        return real() + timedelta(seconds=ahead_s[0])

    monkeypatch.setattr(app, "utc_now", shifted)
    async with running_gateway(store.endpoint, keys={"max_url_life_s": 800}) as gateway:
        url = gateway.s3_url("/demo/a")  # for 600 seconds
        assert [(await gateway.get(url))[0] for _ in range(TIMES)] == [200] * TIMES
        for seconds, expected in ((620, 403), (-300, 403), (0, 200)):
            ahead_s[0] = seconds
            assert (await gateway.get(url))[0] == expected


async def test_a_url_is_proven_twice_and_then_known(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.objects["/demo/a"] = b"hello"
    done: list[str] = []
    for place, name in ((aws_v4, "verify"), (who, "locate"), (registry, "select"), (request, "parse_query")):
        monkeypatch.setattr(place, name, counting(getattr(place, name), done, name))
    async with running_gateway(store.endpoint) as gateway:
        url = gateway.s3_url("/demo/a", "x-id=GetObject")
        asked = []
        for headers in (*HEADERS, {"Origin": "https://app.test"}):
            done.clear()
            assert (await gateway.get(url, headers=headers))[0] in (200, 206)
            asked.append("verify" in done)
        assert asked == [True, True, False, False, False]
        assert done == [], "what follows from the URL alone is known as well"


@pytest.mark.parametrize("header", sorted(_OVERLOOKED))
def test_nothing_that_a_url_shows_depends_on_a_header_that_is_overlooked(header: str) -> None:
    unproven = who.Who(None, samples.HOSTS, "s3", None, None)  # type: ignore[arg-type] # nothing else looks at a head
    for name in samples.PRESIGNERS:
        head = samples.presigned(name)
        told = unproven.shown(head)
        for value in (
            "",
            "AWS A:b",
            "AWS4-HMAC-SHA256 x",
            "CloudFront-Key-Pair-Id=x",
            "multipart/form-data",
            "b.gw.test",
        ):
            assert unproven.shown(samples.with_headers(head, ((header, value),))) == told


def counting(function: Callable[..., Any], done: list[str], name: str) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        done.append(name)
        return function(*arguments, **named)

    return counted


async def test_a_known_url_says_nothing_of_the_address_it_is_asked_from(store: FakeStore) -> None:
    store.objects["/demo/a"] = b"hello"
    office = Identity("office", (Statement("allow", ("*",), ("*",), (ip_network("192.0.2.0/24"),)),))
    keys = {KEY_ID: Credential(KEY_ID, SECRET, office)}
    async with running_gateway(store.endpoint, clients=keys, server={"trusted_proxies": ["127.0.0.0/8"]}) as gateway:
        url = gateway.s3_url("/demo/a")
        addresses = ["192.0.2.1"] * TIMES + ["198.51.100.1", "192.0.2.2", "198.51.100.1"]
        answers = [(await gateway.get(url, headers={"X-Forwarded-For": address}))[0] for address in addresses]
    assert answers == [200] * TIMES + [403, 200, 403]


async def test_a_known_url_says_nothing_of_the_page_that_asks(store: FakeStore) -> None:
    allow = "Access-Control-Allow-Origin"
    store.answers["OPTIONS /demo/a"] = (200, b"", {allow: "https://app.test"})
    async with running_gateway(store.endpoint) as gateway:
        url = gateway.s3_url("/demo/a", key_id=READER_ID)  # who may not read it: the answer is the gateway's own
        assert [(await gateway.get(url))[0] for _ in range(TIMES)] == [403] * TIMES
        for _ in range(2):
            assert (await gateway.get(url, headers={"Origin": "https://app.test"}))[1][allow] == "https://app.test"
            assert allow not in (await gateway.get(url))[1]
    assert [(each.method, each.headers["origin"]) for each in store.seen] == [("OPTIONS", "https://app.test")] * 2


async def test_a_known_url_with_another_content_type_may_be_a_form(store: FakeStore) -> None:
    store.answers["POST /demo"] = (200, b"as it is", {})
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    async with running_gateway(store.endpoint) as gateway:
        url = gateway.s3_url("/demo", method="POST")
        for headers, expected in (*[({"Content-Type": "text/plain"}, 200)] * TIMES, (form, 400), (form, 400)):
            status, _, body = await gateway.request("POST", url, headers=headers, data=b"x")
            assert (status, b"A form is authenticated by its fields alone." in body) == (expected, expected == 400)


async def test_what_a_url_led_to_is_found_out_anew_by_new_settings(store: FakeStore) -> None:
    store.objects["/demo/a"], store.objects["/other/demo/a"] = b"by its path", b"by its host"
    async with running_gateway(store.endpoint) as gateway:
        url = gateway.s3_url("/demo/a")
        assert [(await gateway.get(url))[2] for _ in range(TIMES)] == [b"by its path"] * TIMES
        before = gateway.live.current.services.settings
        bound = replace(before.buckets["demo"], hosts=("127.0.0.1",))
        gateway.live.take(replace(before, buckets={"other": bound}))
        assert [(await gateway.get(url))[2] for _ in range(TIMES)] == [b"by its host"] * TIMES
        gateway.live.take(before)
        assert [(await gateway.get(url))[2] for _ in range(TIMES)] == [b"by its path"] * TIMES


async def test_a_url_of_a_path_that_a_vendor_reserves_stays_the_stores(store: FakeStore) -> None:
    path = "/v1_1/demo/ping"
    store.objects[path] = b"the store's"
    async with running_gateway(store.endpoint, dialects={"cloudinary": {"enabled": True}}) as gateway:
        url = gateway.s3_url(path)
        for _ in range(TIMES):
            assert (await gateway.get(url))[::2] == (200, b"the store's")
            assert b"the store's" not in (await gateway.get(gateway.raw_url(path)))[2]
    assert len(store.seen) == TIMES
