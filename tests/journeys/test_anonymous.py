from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from yarl import URL

from gateway.credentials import EVERYTHING, Credential, Identity
from tests.harness import KEY_ID, SECRET, running_gateway

if TYPE_CHECKING:
    from tests.fake_store import FakeStore

LEFT_TO_THE_STORE = {"anonymous": "store"}
OPEN = {"anonymous": "configured", "anonymous_prefixes": ["public/"]}


@pytest.mark.parametrize(
    ("settings", "method", "path", "status"),
    [
        ({}, "GET", "/demo/public/a", 403),
        (OPEN, "GET", "/demo/public/a", 200),
        (OPEN, "HEAD", "/demo/public/a", 200),
        (OPEN, "GET", "/demo/private/a", 403),
        (OPEN, "GET", "/demo/?prefix=public/", 403),
        (OPEN, "PUT", "/demo/public/a", 403),
        (OPEN, "DELETE", "/demo/public/a", 403),
        (OPEN, "GET", "/demo/public/a?acl", 403),
        (OPEN, "GET", "/demo/public/a?x-oss-process=image/score", 403),
        (OPEN, "GET", "/demo/public/a?ci-process=AssessQuality", 403),
        (OPEN, "GET", "/other/public/a", 403),
    ],
)
async def test_the_unsigned_may_do_what_is_configured_and_nothing_else(
    store: FakeStore, settings: dict[str, object], method: str, path: str, status: int
) -> None:
    store.objects |= {"/demo/public/a": b"1", "/demo/private/a": b"2", "/other/public/a": b"3"}
    async with running_gateway(store.endpoint, buckets={"demo": settings}) as gateway:
        got, _, _ = await gateway.request(method, URL(f"{gateway.url}{path}", encoded=True))
    assert got == status
    assert len(store.seen) == (status == 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/demo/a", 200),
        ("HEAD", "/demo/a", 200),
        ("GET", "/demo/gone", 404),
        ("PUT", "/demo/new", 200),
        ("DELETE", "/demo/a", 204),
        ("GET", "/demo/a?x-oss-process=image/score", 403),
        ("GET", "/demo/a?ci-process=AssessQuality", 403),
        ("GET", "/other/a", 403),
    ],
)
async def test_where_it_is_left_to_the_store_a_request_goes_on_unsigned_and_a_score_is_still_refused(
    store: FakeStore, method: str, path: str, status: int
) -> None:
    store.objects |= {"/demo/a": b"1", "/other/a": b"3"}
    async with running_gateway(store.endpoint, buckets={"demo": LEFT_TO_THE_STORE}) as gateway:
        body = b"new" if method == "PUT" else None
        got, _, _ = await gateway.request(method, URL(f"{gateway.url}{path}", encoded=True), data=body)
    assert got == status
    assert len(store.seen) == (status != 403)
    for seen in store.seen:
        assert not {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"} & seen.headers.keys()
        assert seen.body == (body or b"")


async def test_a_signed_request_to_such_a_bucket_is_signed_for_the_store(store: FakeStore) -> None:
    store.objects["/demo/a"] = b"1"
    async with running_gateway(store.endpoint, buckets={"demo": LEFT_TO_THE_STORE}) as gateway:
        got, _, _ = await gateway.get(gateway.s3_url("/demo/a"))
    assert got == 200
    assert "Credential=up/" in store.seen[0].headers["authorization"]


async def test_an_identity_with_a_store_key_of_its_own_uses_it_for_everything(
    store: FakeStore, scorer_address: str
) -> None:
    store.objects["/demo/a"] = b"not a picture"
    upstream = {
        "default": {"endpoint": "http://127.0.0.1:9", "access_key": "up", "secret": "s"},
        "own": {"endpoint": store.endpoint, "access_key": "mine", "secret": "s"},
    }
    clients = {KEY_ID: Credential(KEY_ID, SECRET, Identity("app", EVERYTHING, upstream="own"))}
    async with running_gateway(store.endpoint, scorer_address, clients=clients, upstream=upstream) as gateway:
        answers = [await gateway.get(url) for url in (gateway.s3_url("/demo/a"), gateway.oss_url("demo", "a"))]
        scored = await gateway.get(gateway.oss_url("demo", "a", "x-oss-process=image%2Fscore"))
    assert [status for status, _, _ in answers] == [200, 200]
    assert (scored[0], b"not an image" in scored[2]) == (400, True)
    assert len(store.seen) == 3
    assert all("Credential=mine/" in seen.headers["authorization"] for seen in store.seen)
