"""What operators may narrow: rates, scores at a time, the life of a URL; and what a refusal may explain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.auth import aws_v4
from tests.harness import HOST_SUFFIXES, KEY_ID, READER_ID, SECRET, running_gateway
from tests.journeys.clouds import basic
from tests.journeys.test_analyse import COS, OSS, assess, bomb, error_of, photo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest


async def test_an_identity_that_asks_too_often_is_told_to_slow_down(store: FakeStore) -> None:
    store.objects |= {"/demo/a": b"1", "/demo/public/a": b"2"}
    quotas = {"requests_per_second": 0.01, "burst": 3}
    async with running_gateway(store.endpoint, quotas=quotas) as gateway:
        answers = [await gateway.get(gateway.s3_url("/demo/a")) for _ in range(4)]
        other, _, _ = await gateway.get(gateway.s3_url("/demo/public/a", key_id=READER_ID))
        oss, headers, body = await gateway.get(gateway.oss_url("demo", "a"))
    assert [status for status, _, _ in answers] == [200, 200, 200, 503]
    assert (error_of(answers[3][2])[0], answers[3][1]["Retry-After"]) == ("SlowDown", "1")
    assert other == 200
    assert (oss, error_of(body)[0], headers["Retry-After"]) == (503, "QpsLimitExceeded", "1")


async def test_requests_at_a_time_are_limited_for_each_identity(store: FakeStore) -> None:
    store.objects |= {"/demo/long": bytes(300_000), "/demo/public/a": b"2"}
    async with running_gateway(store.endpoint, quotas={"concurrent_requests": 1}) as gateway:
        store.open_gate.clear()
        store.entered.clear()
        long = asyncio.create_task(gateway.get(gateway.s3_url("/demo/long")))
        await asyncio.wait_for(store.entered.wait(), 5)
        status, headers, body = await gateway.get(gateway.s3_url("/demo/long"))
        assert (status, error_of(body)[0], headers["Retry-After"]) == (503, "SlowDown", "1")
        store.open_gate.set()
        assert (await gateway.get(gateway.s3_url("/demo/public/a", key_id=READER_ID)))[0] == 200
        assert (await long)[0] == 200
        assert (await gateway.get(gateway.s3_url("/demo/long")))[0] == 200


def wrong(scheme: str, gateway: GatewayUnderTest) -> tuple[URL, dict[str, str]]:
    """A request whose secret is a wrong one."""
    match scheme:
        case "s3":
            return gateway.s3_url("/demo/a", method="PUT"), {}
        case "oss":
            return gateway.oss_url("other", "a").with_path("/demo/a", keep_query=True), {}
        case "cloudinary":
            return gateway.raw_url("/v1_1/demo/ping"), basic(secret="wrong")
        case _:
            return gateway.raw_url(f"/v2/analysis/demo/tasks/{64 * 'a'}"), basic(key_id="nobody")


@pytest.mark.parametrize(("scheme", "slow"), [("s3", 503), ("oss", 503), ("cloudinary", 420), ("analyze", 429)])
async def test_wrong_secrets_count_in_the_quota_of_their_address(store: FakeStore, scheme: str, slow: int) -> None:
    store.objects["/demo/a"] = b"1"
    quotas = {"requests_per_second": 0.01, "burst": 2}
    async with running_gateway(store.endpoint, quotas=quotas, clouds={"demo": {"bucket": "demo"}}) as gateway:
        url, headers = wrong(scheme, gateway)
        statuses = [(await gateway.get(url, headers=headers))[0] for _ in range(4)]
        assert statuses == [403 if scheme in ("s3", "oss") else 401] * 2 + [slow] * 2
        assert (await gateway.get(gateway.s3_url("/demo/a")))[0] == 200, "whoever can sign has a quota of his own"


async def test_scores_at_a_time_are_limited_for_each_identity(store: FakeStore, scorer_address: str) -> None:
    store.objects |= {"/demo/slow.jpg": photo(), "/demo/a.jpg": photo()}
    store.faults["/demo/slow.jpg"] = "stall"
    quotas, limits = {"concurrent_scores": 1}, {"deadline_s": 2}
    async with running_gateway(store.endpoint, scorer_address, quotas=quotas, limits=limits) as gateway:
        slow = asyncio.create_task(gateway.get(gateway.oss_url("demo", "slow.jpg", OSS)))
        await asyncio.wait_for(store.entered.wait(), 5)
        assert (await gateway.get(gateway.oss_url("demo", "a.jpg", OSS)))[0] == 503
        assert (await gateway.get(gateway.oss_url("demo", "a.jpg")))[0] == 200, "only scores are counted"
        assert (await slow)[0] == 400
        assert (await gateway.get(gateway.oss_url("demo", "a.jpg", OSS)))[0] == 200


async def test_a_url_that_lives_longer_than_the_settings_allow_is_refused(store: FakeStore) -> None:
    store.objects["/demo/a"] = b"1"
    async with running_gateway(store.endpoint, keys={"max_url_life_s": 300}) as gateway:
        status, _, body = await gateway.get(gateway.s3_url("/demo/a"))
        assert (status, "at most 300 seconds" in error_of(body)[1]) == (403, True)
        status, _, _ = await gateway.get(gateway.oss_url("demo", "a"))
        assert status == 403
    async with running_gateway(store.endpoint, keys={"max_url_life_s": 700}) as gateway:
        assert (await gateway.get(gateway.s3_url("/demo/a")))[0] == 200


@pytest.mark.parametrize("explain", [True, False])
async def test_a_refusal_explains_itself_only_when_told_to(store: FakeStore, *, explain: bool) -> None:
    async with running_gateway(store.endpoint, server={"explain_refusals": explain}) as gateway:
        signed = gateway.s3_url("/demo/a", method="PUT")
        status, _, body = await gateway.get(signed)
    assert (status, error_of(body)[0]) == (403, "SignatureDoesNotMatch")
    assert (b"<WouldMatch>method PUT</WouldMatch>" in body) is explain
    for hidden in (SECRET.reveal(), signed.query["X-Amz-Signature"]):
        assert hidden.encode() not in body
    assert KEY_ID.encode() in body or not explain


async def test_a_signature_for_a_public_host_is_accepted_and_logged(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.objects["/demo/a"] = b"1"
    caplog.set_level("INFO", "gateway.access")
    server = {"public_hosts": ["s3.example.com"], "path_prefix": "/s3"}
    async with running_gateway(store.endpoint, server=server) as gateway:
        query = aws_v4.presign(
            "GET",
            "/s3/demo/a",
            "",
            "s3.example.com",
            access_key_id=KEY_ID,
            secret=SECRET,
            region="us-east-1",
            expires_s=60,
            now=gateway.now(),
        )
        assert (await gateway.get(gateway.raw_url(f"/demo/a?{query}")))[0] == 200
    assert '"signed_as": "host s3.example.com, the path prefix"' in caplog.text


async def test_a_forwarded_host_is_believed_only_from_a_trusted_proxy(store: FakeStore) -> None:
    store.objects["/demo/a"] = b"1"
    for networks, status in (["127.0.0.0/8"], 200), (["10.0.0.0/8"], 403):
        async with running_gateway(store.endpoint, server={"trusted_proxies": networks}) as gateway:
            url, _ = gateway.cos_url("demo", "a")
            forwarded = {"X-Forwarded-Host": "demo.cos.localhost", "X-Forwarded-For": "192.0.2.1"}
            assert (await gateway.get(url, headers=forwarded))[0] == status


# --- limits of the vendors' own services ----------------------------------------------------------------------------

STRICT = {name: {**HOST_SUFFIXES[name], "strict_limits": True} for name in ("oss", "cos")}
MANY = 26_000_000


def code_and_number(headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    return error_of(body)[0], headers.get("x-oss-ec", "")


@pytest.mark.parametrize(
    ("process", "data", "code", "number", "words"),
    [
        (OSS, photo() + bytes(MANY), "ImageTooLarge", "0056-00000002", "20,971,520 bytes"),
        (OSS, bomb(30_001), "ImageTooLarge", "0040-00000019", "30,000 pixels a side"),
        (OSS, bomb(16_000), "ImageTooLarge", "0040-00000012", "250,000,000 pixels"),
        (COS, photo() + bytes(3_145_728), "ImageTooLarge", "", "3,145,728 bytes"),
        (COS, photo(kind="WEBP"), "InvalidImageFormat", "", "WEBP"),
        (COS, photo(kind="GIF"), "InvalidImageFormat", "", "JPEG, PNG"),
    ],
    ids=["OSS bytes", "OSS side", "OSS pixels", "COS bytes", "COS WebP", "COS GIF"],
)
async def test_strict_limits_refuse_what_the_vendor_refuses_in_its_own_code(
    store: FakeStore, scorer_address: str, process: str, data: bytes, code: str, number: str, words: str
) -> None:
    store.objects["/demo/x"] = data
    async with running_gateway(store.endpoint, scorer_address, dialects=STRICT) as gateway:
        status, headers, body = await assess(gateway, "x", process)
    assert (status, *code_and_number(headers, body)) == (400, code, number)
    assert words in error_of(body)[1]


async def test_strict_limits_hold_in_their_own_dialect_only_and_the_defaults_are_generous(
    store: FakeStore, scorer_address: str
) -> None:
    store.objects |= {"/demo/x": photo(kind="WEBP"), "/demo/long": photo() + bytes(MANY)}
    for dialects, expected in ((STRICT, (200, 400, 400)), (HOST_SUFFIXES, (200, 200, 200))):
        async with running_gateway(store.endpoint, scorer_address, dialects=dialects) as gateway:
            asked = (("x", OSS), ("x", COS), ("long", OSS))
            assert tuple([(await assess(gateway, key, process))[0] for key, process in asked]) == expected
            plain, _, body = await gateway.get(gateway.oss_url("demo", "long"))
            assert (plain, len(body)) == (200, len(store.objects["/demo/long"])), "only scores are limited"


async def test_a_declared_length_over_the_vendors_limit_is_not_downloaded(
    store: FakeStore, scorer_address: str
) -> None:
    store.objects["/demo/x"] = photo() + bytes(64 * 1024 * 1024)
    async with running_gateway(store.endpoint, scorer_address, dialects=STRICT) as gateway:
        assert (await assess(gateway, "x", OSS))[0] == 400
        await asyncio.wait_for(store.aborted.wait(), 5)
    assert store.sent < 24 * 1024 * 1024, "sockets on loopback hold some megabytes, no more"
