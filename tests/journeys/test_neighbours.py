"""What stands beside the score: information, mean colour, styles, and results that are saved."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.credentials import EVERYTHING, Credential, Identity, Statement
from tests.fake_uploads import etag
from tests.harness import KEY_ID, READER_ID, SECRET, GatewayUnderTest, running_gateway
from tests.journeys.test_analyse import COS, assess, bomb, error_of, photo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_store import FakeStore

INFO, AVERAGE = "x-oss-process=image%2Finfo", "x-oss-process=image%2Faverage-hue"
STYLES = {"rate": "image/score", "facts": "image/info", "thumb": "image/resize,w_100"}


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def saving(key: str, bucket: str = "", action: str = "image/score") -> bytes:
    place = f",b_{encoded(bucket)}" if bucket else ""
    return f"x-oss-process={action}|sys/saveas,o_{encoded(key)}{place}".encode()


def who(name: str, *rows: tuple[str, str]) -> Credential:
    statements = tuple(Statement("allow", (action,), (resource,)) for action, resource in rows)
    return Credential(name, SECRET, Identity(name, statements))


@pytest.fixture
async def gateway(store: FakeStore, scorer_address: str) -> AsyncIterator[GatewayUnderTest]:
    store.objects |= {"/demo/a.jpg": photo(), "/demo/b%20c.png": photo(300, 200, "PNG"), "/demo/text": b"no pixels"}
    buckets = {"demo": {"styles": STYLES}, "results": {"store_name": "kept"}, "plain": {}}
    async with running_gateway(store.endpoint, scorer_address, buckets=buckets) as running:
        yield running


async def get(gateway: GatewayUnderTest, key: str, query: str, **options: Any) -> tuple[int, Any, bytes]:
    return await gateway.get(gateway.oss_url("demo", key, query, **options))


async def post(
    gateway: GatewayUnderTest, body: bytes, key: str = "a.jpg", key_id: str = KEY_ID, **headers: str
) -> tuple[int, Any, bytes]:
    url = gateway.s3_url(f"/demo/{key}", "x-oss-process=", method="POST", key_id=key_id)
    return await gateway.request("POST", url, data=body, headers=headers)


async def test_information_is_told_in_the_words_of_its_parameter(gateway: GatewayUnderTest, store: FakeStore) -> None:
    status, headers, body = await get(gateway, "a.jpg", INFO)
    told = {name: row["value"] for name, row in json.loads(body).items()}
    assert (status, headers["Content-Type"]) == (200, "application/json;charset=utf-8")
    assert (told["Format"], told["ImageWidth"], told["ImageHeight"]) == ("jpg", "640", "480")
    assert told["FileSize"] == str(len(store.objects["/demo/a.jpg"]))
    status, _, body = await assess(gateway, "b%20c.png", "imageInfo")
    expected = {"format": "png", "width": "300", "height": "200", "frame_count": "1"}
    assert (status, json.loads(body)) == (200, {**expected, "size": str(len(store.objects["/demo/b%20c.png"]))})


async def test_information_costs_the_header_and_no_more_and_needs_no_scorer(store: FakeStore) -> None:
    store.objects["/demo/big"] = bomb(50_000) + bytes(64 * 1024 * 1024)
    store.honours_ranges = False
    async with running_gateway(store.endpoint, "/nonexistent") as gateway:
        status, _, body = await get(gateway, "big", INFO)
        await asyncio.wait_for(store.aborted.wait(), 5)
    assert (status, json.loads(body)["ImageWidth"]) == (200, {"value": "50000"})
    assert store.sent < 24 * 1024 * 1024, "sockets on loopback hold some megabytes, no more"


async def test_the_mean_colour_is_told_in_the_same_way_by_both(gateway: GatewayUnderTest) -> None:
    status, headers, body = await get(gateway, "a.jpg", AVERAGE)
    colour = json.loads(body)["RGB"]
    assert (status, len(colour), int(colour, 16) > 0) == (200, 8, True)
    status, again, body = await assess(gateway, "a.jpg", "imageAve")
    assert (status, json.loads(body), again["Content-Type"]) == (200, {"RGB": colour}, "application/json")
    assert headers["ETag"] == again["ETag"]


async def test_each_result_of_an_object_has_an_etag_of_its_own(gateway: GatewayUnderTest, store: FakeStore) -> None:
    tags = [(await get(gateway, "a.jpg", query))[1]["ETag"] for query in ("", INFO, AVERAGE)]
    assert tags[0] == etag(store.objects["/demo/a.jpg"])
    assert len(set(tags)) == 3
    found = [
        (await gateway.get(gateway.oss_url("demo", "a.jpg", INFO), headers={"If-None-Match": tag}))[0] for tag in tags
    ]
    assert found == [200, 304, 200]


@pytest.mark.parametrize("query", [INFO, AVERAGE, "imageInfo", "imageAve"])
async def test_what_is_no_picture_is_refused_in_the_dialect(gateway: GatewayUnderTest, query: str) -> None:
    ask = get if query.startswith("x-oss") else assess
    status, _, body = await ask(gateway, "text", query)
    code = "InvalidArgument" if ask is get else "InvalidImageFormat"
    assert (status, error_of(body)[0]) == (400, code)
    status, _, body = await ask(gateway, "none", query)
    assert (status, error_of(body)[0]) == (404, "NoSuchKey")


@pytest.mark.parametrize("query", [INFO, AVERAGE])
async def test_neighbours_need_the_right_to_process(store: FakeStore, query: str) -> None:
    store.objects["/demo/public/a.jpg"] = photo()
    open_to_all = {"demo": {"anonymous": "configured", "anonymous_prefixes": ["public/"]}}
    async with running_gateway(store.endpoint, buckets=open_to_all) as gateway:
        assert (await get(gateway, "public/a.jpg", "", key_id=READER_ID))[0] == 200
        assert (await get(gateway, "public/a.jpg", query, key_id=READER_ID))[0] == 403
        assert (await gateway.get(gateway.raw_url("/demo/public/a.jpg")))[0] == 200
        assert (await gateway.get(gateway.raw_url(f"/demo/public/a.jpg?{query}")))[0] == 403
    async with running_gateway(store.endpoint, buckets={"demo": {"scoring": False}}) as gateway:
        assert (await get(gateway, "public/a.jpg", query))[0] == 403


async def test_a_style_is_interpreted_as_the_process_it_stands_for(gateway: GatewayUnderTest) -> None:
    asked = ("rate", "facts", "thumb", "none")
    answers = [await get(gateway, "a.jpg", f"x-oss-process=style%2F{name}") for name in asked]
    assert [status for status, _, _ in answers] == [200, 200, 501, 404]
    assert "ImageScore" in json.loads(answers[0][2])
    assert json.loads(answers[1][2])["ImageWidth"] == {"value": "640"}
    assert "resize" in error_of(answers[2][2])[1]
    assert error_of(answers[3][2])[0] == "NoSuchStyle"
    status, _, body = await gateway.get(gateway.oss_url("plain", "a.jpg", "x-oss-process=style%2Frate"))
    assert (status, error_of(body)[0]) == (404, "NoSuchStyle")


@pytest.mark.parametrize("form", ["raw", "encoded", "style"])
async def test_a_score_is_saved_as_an_object(gateway: GatewayUnderTest, store: FakeStore, form: str) -> None:
    body = saving("scores/a b.json", "results", "style/rate" if form == "style" else "image/score")
    if form == "encoded":
        body = body.replace(b"/", b"%2F").replace(b"|", b"%7C").replace(b",", b"%2C")
    status, headers, answer = await post(gateway, body)
    saved = store.objects["/kept/scores/a%20b.json"]
    assert status == 200
    assert json.loads(answer) == {
        "bucket": "results",
        "fileSize": len(saved),
        "object": "scores/a b.json",
        "status": "OK",
    }
    assert json.loads(saved)["RequestId"] == headers["x-oss-request-id"]
    assert 0 <= json.loads(saved)["ImageScore"]["OverallQualityScore"] <= 1
    assert store.types["/kept/scores/a%20b.json"].startswith("application/json")


async def test_any_result_can_be_saved_beside_its_source(gateway: GatewayUnderTest, store: FakeStore) -> None:
    assert (await post(gateway, saving("info.json", action="image/info")))[0] == 200
    assert json.loads(store.objects["/demo/info.json"])["Format"] == {"value": "jpg"}


async def test_nothing_is_saved_that_is_refused(gateway: GatewayUnderTest, store: FakeStore) -> None:
    refused = [
        (b"", 400, "InvalidArgument"),
        (b"x-oss-process=image/score", 400, "InvalidArgument"),
        (b"x-oss-process=image/score|sys/saveas", 400, "InvalidArgument"),
        (saving("k") + b"&" + saving("k"), 400, "InvalidRequest"),
        (saving("k" * 7000), 400, "InvalidArgument"),
        (saving("k", action="image/resize,w_100"), 501, "NotImplemented"),
        (saving("k", "kept"), 404, "NoSuchBucket"),
    ]
    for body, status, code in refused:
        got, _, answer = await post(gateway, body)
        assert (got, error_of(answer)[0]) == (status, code), body
    assert {seen.method for seen in store.seen} <= {"GET"}
    assert (await post(gateway, saving("k"), "text"))[0] == 400
    assert (await post(gateway, saving("k"), "none"))[0] == 404
    digest = base64.b64encode(bytes(16)).decode()
    assert error_of((await post(gateway, saving("k"), **{"Content-MD5": digest}))[2])[0] == "BadDigest"
    assert {seen.method for seen in store.seen} == {"GET"}
    store.faults["/demo/k"] = "error:503:SlowDown"
    status, _, answer = await post(gateway, saving("k"))
    assert (status, error_of(answer)[0]) == (503, "SlowDown")


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ((("s3:GetObject", "demo/*"), ("oss:*", "demo/*"), ("s3:PutObject", "results/scores/*")), 200),
        ((("s3:GetObject", "demo/*"), ("oss:*", "demo/*"), ("s3:PutObject", "demo/*")), 403),
        ((("s3:GetObject", "demo/*"), ("oss:ProcessImm", "demo/*"), ("s3:PutObject", "results/*")), 403),
        ((("s3:GetObject", "demo/*"), ("oss:PostProcessTask", "demo/*"), ("s3:PutObject", "results/*")), 403),
        ((("oss:*", "demo/*"), ("s3:PutObject", "results/*")), 403),
    ],
)
async def test_saving_needs_every_right_of_its_own(
    store: FakeStore, scorer_address: str, rows: tuple[tuple[str, str], ...], status: int
) -> None:
    store.objects["/demo/a.jpg"] = photo()
    clients = {"SAVER": who("SAVER", *rows), KEY_ID: Credential(KEY_ID, SECRET, Identity("root", EVERYTHING))}
    buckets: dict[str, Any] = {"demo": {}, "results": {"store_name": "kept", "aliases": ["results-125"]}}
    async with running_gateway(store.endpoint, scorer_address, clients, buckets=buckets) as gateway:
        got, _, _ = await post(gateway, saving("scores/a", "results-125"), key_id="SAVER")
        assert (got, "/kept/scores/a" in store.objects) == (status, status == 200)


@pytest.mark.parametrize("query", ["imageMogr2/rotate/90", "imageView2/1/w/9", "watermark/1/image/aGk"])
async def test_an_operation_of_tencents_that_is_not_offered_is_named(gateway: GatewayUnderTest, query: str) -> None:
    status, _, body = await assess(gateway, "a.jpg", query)
    assert (status, error_of(body)[0]) == (501, "NotImplemented")
    assert query.partition("/")[0] in error_of(body)[1]


async def test_the_score_itself_stays_what_it_was(gateway: GatewayUnderTest) -> None:
    assert (await assess(gateway, "a.jpg", COS))[0] == 200


async def test_a_process_that_drips_in_is_not_waited_for(
    gateway: GatewayUnderTest, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.journeys.save._BODY_S", 0.2)

    async def dripping() -> AsyncIterator[bytes]:
        for at in range(100):
            yield b"x-oss-process=image/score|sys/saveas"[at % 30 : at % 30 + 1]
            await asyncio.sleep(0.05)

    url = gateway.s3_url("/demo/a.jpg", "x-oss-process=", method="POST")
    status, _, answer = await gateway.request("POST", url, data=dripping())
    assert (status, error_of(answer)[0]) == (400, "RequestTimeout")
    assert store.seen == []
