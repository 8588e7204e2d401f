"""A signed URL that is asked for again leads to the same, as if it had been proven each time; changed, it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway import app
from tests.harness import GatewayUnderTest, running_gateway

if TYPE_CHECKING:
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
