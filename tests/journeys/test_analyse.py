from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import struct
import zlib
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import numpy as np
import pytest
from PIL import Image

from gateway.dialects.xml import XmlLimits, parse
from gateway.imaging.registry import MODEL_VERSION
from gateway.settings import Server
from gateway.splice import can_splice, splice
from gateway.supervisor import scorer_queue
from tests.fake_uploads import etag
from tests.harness import KEY_ID, READER_ID, GatewayUnderTest, impatient, running_gateway
from tests.proc import children, is_alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.fake_store import FakeStore

OSS, COS = "x-oss-process=image%2Fscore", "ci-process=AssessQuality"


def photo(width: int = 640, height: int = 480, kind: str = "JPEG", **options: Any) -> bytes:
    noise = np.random.default_rng(1).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def bomb(side: int) -> bytes:
    """A PNG whose header promises side x side pixels and whose data is a line of zeros."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.fixture
async def gateway(store: FakeStore, scorer_address: str) -> AsyncIterator[GatewayUnderTest]:
    store.objects["/demo/a.jpg"] = photo()
    limits = {"max_bytes": 3_000_000, "max_pixels": 4_000_000, "deadline_s": 5}
    async with running_gateway(store.endpoint, scorer_address, limits=limits) as running:
        yield running


async def assess(
    gateway: GatewayUnderTest, key: str, process: str, **options: Any
) -> tuple[int, Mapping[str, str], bytes]:
    if process == OSS:
        return await gateway.get(gateway.oss_url("demo", key, process), **options)
    url, headers = gateway.cos_url("demo", key, process)
    return await gateway.get(url, headers={**headers, **options.pop("headers", {})}, **options)


def error_of(body: bytes) -> tuple[str, str]:
    root = parse(body, XmlLimits())
    return root.child_text("Code"), root.child_text("Message")


async def test_a_score_is_told_in_the_words_of_its_process_parameter(gateway: GatewayUnderTest) -> None:
    status, headers, body = await assess(gateway, "a.jpg", OSS)
    assert status == 200
    assert json.loads(body)["RequestId"] == headers["x-oss-request-id"]
    assert (headers["Cache-Control"], headers["Last-Modified"]) == ("private", "Sat, 21 Nov 2026 05:01:25 GMT")
    status, headers, body = await assess(gateway, "a.jpg", COS)
    assert (status, headers["Content-Type"]) == (200, "application/xml")
    assert 0 <= int(parse(body, XmlLimits()).child_text("ClarityScore")) <= 100
    status, _, body = await gateway.get(gateway.s3_url("/demo/a.jpg", OSS))
    assert (status, "ImageScore" in json.loads(body)) == (200, True)


@pytest.mark.parametrize(
    ("data", "oss_code", "cos_code", "words"),
    [
        (b"these are not pixels", "InvalidArgument", "InvalidImageFormat", "not an image"),
        (b"", "InvalidArgument", "InvalidImageFormat", ""),
        (photo()[:9000], "InvalidArgument", "InvalidImageFormat", "truncated"),
        (bomb(50_000), "ImageTooLarge", "ImageTooLarge", "2,500,000,000"),
        (photo(2400, 2400), "ImageTooLarge", "ImageTooLarge", "4,000,000"),
        (photo() + bytes(3_000_000), "ImageTooLarge", "ImageTooLarge", "3,000,000"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "InvalidArgument", "InvalidImageFormat", "SVG"),
    ],
    ids=["text", "empty", "truncated", "bomb", "too many pixels", "too many bytes", "svg"],
)
async def test_a_bad_picture_is_a_400_that_names_the_cause_and_the_limit(
    gateway: GatewayUnderTest, store: FakeStore, data: bytes, oss_code: str, cos_code: str, words: str
) -> None:
    store.objects["/demo/bad"] = data
    for process, expected in ((OSS, oss_code), (COS, cos_code)):
        status, _, body = await assess(gateway, "bad", process)
        code, message = error_of(body)
        assert (status, code) == (400, expected)
        assert words in message


async def test_a_picture_that_the_header_condemns_is_not_downloaded(store: FakeStore, scorer_address: str) -> None:
    store.objects["/demo/bomb"] = bomb(50_000) + bytes(64 * 1024 * 1024)
    async with running_gateway(store.endpoint, scorer_address) as gateway:
        assert (await assess(gateway, "bomb", OSS))[0] == 400
        await asyncio.wait_for(store.aborted.wait(), 5)
    assert store.sent < 24 * 1024 * 1024, "sockets on loopback hold some megabytes, no more"


@pytest.mark.skipif(not can_splice(), reason="this system does not splice")
@pytest.mark.parametrize("behind", [0, 2_000_000], ids=["to the end", "with more than the scorer wants"])
async def test_a_long_picture_goes_to_its_scorer_unseen_and_scores_the_same(
    store: FakeStore, scorer_address: str, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    store.objects["/demo/long"] = photo(2400, 1800, quality=100) + bytes(behind)
    poured = AsyncMock(side_effect=splice)
    monkeypatch.setattr("gateway.stores.answer.splice", poured)
    scores = set()
    for possible in (True, False):
        monkeypatch.setattr("gateway.stores.answer.can_splice", lambda possible=possible: possible)
        async with running_gateway(store.endpoint, scorer_address) as gateway:
            store.peers.clear()
            status, _, body = await assess(gateway, "long", OSS)
            assert status == 200
            scores.add(str(json.loads(body)["ImageScore"]))
            count = poured.await_count
            assert (await gateway.get(gateway.s3_url("/demo/long")))[2] == store.objects["/demo/long"]
        assert len(store.peers) == 1, "a connection whose body was taken whole is used again"
        assert bool(count) == possible
        poured.reset_mock()
    assert len(scores) == 1


@pytest.mark.parametrize(("fault", "code"), [("truncate", "BadGateway"), ("stall", "GatewayTimeout")])
async def test_a_long_picture_that_breaks_off_is_no_score(
    store: FakeStore, scorer_address: str, fault: str, code: str
) -> None:
    store.objects["/demo/long"] = photo(2400, 1800, quality=100) + bytes(2_000_000)
    store.faults["/demo/long"] = fault
    async with running_gateway(store.endpoint, scorer_address, upstream=impatient(store.endpoint)) as gateway:
        status, _, body = await assess(gateway, "long", OSS)
    assert (status, error_of(body)[0]) == (504 if fault == "stall" else 502, code)


@pytest.mark.parametrize("process", [OSS, COS])
async def test_a_store_that_drips_is_too_slow(store: FakeStore, scorer_address: str, process: str) -> None:
    store.objects["/demo/a.jpg"] = photo()
    store.faults["/demo/a.jpg"] = "stall"
    async with running_gateway(store.endpoint, scorer_address, limits={"deadline_s": 0.5}) as gateway:
        status, _, body = await assess(gateway, "a.jpg", process)
    assert status == 400
    assert "0.5" in error_of(body)[1]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("truncate", 502, "BadGateway"),
        ("reset", 502, "BadGateway"),
        ("error:404:NoSuchKey", 404, "NoSuchKey"),
        ("error:404:NoSuchBucket", 404, "NoSuchBucket"),
        ("error:403:InvalidObjectState", 403, "InvalidObjectState"),
        ("error:503:SlowDown", 503, "SlowDown"),
    ],
)
@pytest.mark.parametrize("process", [OSS, COS])
async def test_what_the_store_says_is_told_in_the_dialect(
    gateway: GatewayUnderTest, store: FakeStore, process: str, fault: str, status: int, code: str
) -> None:
    store.faults["/demo/a.jpg"] = fault
    got, _, body = await assess(gateway, "a.jpg", process)
    assert (got, error_of(body)[0]) == (status, code)


async def test_head_answers_the_headers_of_the_score_and_no_body(gateway: GatewayUnderTest) -> None:
    url = gateway.s3_url("/demo/a.jpg", OSS, method="HEAD")
    status, headers, body = await gateway.request("HEAD", url)
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 50
    url = gateway.s3_url("/demo/none.jpg", OSS, method="HEAD")
    status, headers, body = await gateway.request("HEAD", url)
    assert (status, body) == (404, b"")
    assert "x-oss-err" in headers


async def test_a_range_is_ignored_and_a_version_is_asked_for(gateway: GatewayUnderTest, store: FakeStore) -> None:
    whole = await assess(gateway, "a.jpg", OSS)
    ranged = await assess(gateway, "a.jpg", OSS, headers={"Range": "bytes=0-9"})
    assert (ranged[0], json.loads(ranged[2])["ImageScore"]) == (200, json.loads(whole[2])["ImageScore"])
    assert "range" not in store.seen[-1].headers
    await gateway.get(gateway.oss_url("demo", "a.jpg", f"versionId=v%2B1&{OSS}"))
    assert store.seen[-1].raw_path == "/demo/a.jpg?versionId=v%2B1"


async def test_a_client_that_holds_the_score_gets_a_304(gateway: GatewayUnderTest, store: FakeStore) -> None:
    _, headers, _ = await assess(gateway, "a.jpg", OSS)
    assert headers["ETag"] == f'{etag(store.objects["/demo/a.jpg"])[:-1]}-score-{MODEL_VERSION}"'
    status, again, body = await assess(gateway, "a.jpg", OSS, headers={"If-None-Match": headers["ETag"]})
    assert (status, again["ETag"], body) == (304, headers["ETag"], b"")
    store.objects["/demo/a.jpg"] = photo(200, 200)
    assert (await assess(gateway, "a.jpg", OSS, headers={"If-None-Match": headers["ETag"]}))[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_other_methods_with_a_process_parameter_never_reach_the_store(
    gateway: GatewayUnderTest, store: FakeStore, method: str
) -> None:
    for process in (OSS, COS):
        status, _, _ = await gateway.request(method, gateway.s3_url("/demo/a.jpg", process, method=method))
        assert status == 400
    assert store.seen == []


async def test_scoring_needs_its_own_right_and_can_be_switched_off(store: FakeStore, scorer_address: str) -> None:
    store.objects |= {"/demo/public/a": photo(), "/shy/a": photo()}
    async with running_gateway(store.endpoint, scorer_address, buckets={"shy": {"scoring": False}}) as gateway:
        assert (await gateway.get(gateway.oss_url("demo", "public/a", key_id=READER_ID)))[0] == 200
        status, _, body = await gateway.get(gateway.oss_url("demo", "public/a", OSS, key_id=READER_ID))
        assert (status, error_of(body)[0]) == (403, "AccessDenied")
        assert (await gateway.get(gateway.oss_url("demo", "public/a", OSS, key_id=KEY_ID)))[0] == 200
        status, _, body = await gateway.get(gateway.oss_url("shy", "a", OSS))
        assert (status, "switched off" in error_of(body)[1]) == (403, True)


@pytest.mark.parametrize(("setting", "status", "counted"), [("accept", 200, 1), ("refuse", 403, 0)])
async def test_an_uncovered_cos_process_follows_the_setting(
    store: FakeStore, scorer_address: str, setting: str, status: int, counted: int
) -> None:
    store.objects["/demo/a.jpg"] = photo()
    dialects = {"cos": {"hosts": ["cos.localhost"], "unsigned_process": setting}}
    async with running_gateway(store.endpoint, scorer_address, dialects=dialects) as gateway:
        url, headers = gateway.cos_url("demo", "a.jpg")
        got, _, _ = await gateway.get(url.__class__(f"{url}&{COS}", encoded=True), headers=headers)
        assert (got, gateway.telemetry.uncovered_process) == (status, counted)
        plain = gateway.s3_url("/demo/a.jpg")
        assert (await gateway.get(plain.__class__(f"{plain}&{OSS}", encoded=True)))[0] == 403


async def test_a_killed_scorer_costs_its_own_request_and_nothing_else(store: FakeStore) -> None:
    store.objects |= {"/demo/slow.jpg": photo(), "/demo/a.jpg": photo()}
    store.faults["/demo/slow.jpg"] = "stall"
    with scorer_queue(Server(scorers=2)) as (address, scorers):
        for scorer in scorers:
            scorer.ensure(0)
        async with running_gateway(store.endpoint, address, limits={"deadline_s": 20}) as gateway:
            slow = asyncio.create_task(assess(gateway, "slow.jpg", OSS))
            await asyncio.wait_for(store.entered.wait(), 5)
            while (await assess(gateway, "a.jpg", OSS))[0] != 200:
                pass
            os.kill(busy(os.getpid()), signal.SIGKILL)
            status, _, body = await slow
            assert (status, error_of(body)[0]) == (500, "InternalError")
            assert (await assess(gateway, "a.jpg", OSS))[0] == 200
        for scorer in scorers:
            scorer.send(signal.SIGKILL)
            if is_alive(scorer.pid):
                os.waitpid(scorer.pid, 0)  # noqa: ASYNC222 # it was killed


def busy(parent: int) -> int:
    """The scorer that holds a job: it has a connected socket beside the listening one."""
    scorers = [pid for pid, command in children(parent).items() if "imaging.worker" in command]
    return max(scorers, key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208 # only their number counts
