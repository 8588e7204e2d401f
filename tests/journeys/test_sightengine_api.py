"""Sightengine's API through the whole gateway: pictures by URL, by object and sent along, and every refusal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import pytest

from gateway.credentials import EVERYTHING, Credential, Identity, Statement
from tests.harness import KEY_ID, READER_ID, SECRET
from tests.imaging.pictures import encode, photo_like
from tests.journeys.neighbourhood import Neighbourhood, cloud_gateway, neighbourhood

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest

PICTURE = encode(photo_like(320, 240), "JPEG", quality=90)
KEY = {"api_user": KEY_ID, "api_secret": SECRET.reveal()}


@pytest.fixture
async def around() -> AsyncIterator[Neighbourhood]:
    async with neighbourhood() as running:
        running.pictures |= {"/a%20b.jpg?x=1&y=2": PICTURE, "/text.jpg": b"no picture"}
        yield running


@pytest.fixture
def opened(store: FakeStore, scorer_address: str, tmp_path: Path, around: Neighbourhood) -> Any:
    """Opens a gateway in front of the same store and neighbourhood; it has no cloud, as none is needed."""
    store.objects["/demo/d/a%20b.jpg"] = PICTURE

    def open_one(**tables: Any) -> Any:
        return cloud_gateway(store.endpoint, scorer_address, tmp_path, around, **{"clouds": {}, **tables})

    return open_one


async def get(gateway: GatewayUnderTest, fields: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    status, _, body = await gateway.get(gateway.raw_url(f"/1.0/check.json?{urlencode(fields)}"))
    return status, json.loads(body)


async def post(gateway: GatewayUnderTest, data: Any, path: str = "/1.0/check.json") -> tuple[int, dict[str, Any]]:
    status, _, body = await gateway.request("POST", gateway.raw_url(path), data=data)
    return status, json.loads(body)


def form(fields: Mapping[str, str], media: bytes | None, *, media_first: bool) -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False)
    parts: list[tuple[str, Any, dict[str, str]]] = [(name, value, {}) for name, value in fields.items()]
    if media is not None:
        parts.insert(0 if media_first else len(parts), ("media", media, {"filename": "a b.jpg"}))
    for name, value, options in parts:
        data.add_field(name, value, **options)
    return data


async def test_the_same_picture_scores_alike_by_url_by_object_and_sent_along(
    opened: Any, around: Neighbourhood
) -> None:
    asked = {"models": "quality,properties", **KEY}
    async with opened() as gateway:
        url = f"{around.url}/a b.jpg?x=1&y=2"
        answers = [
            await get(gateway, {**asked, "url": url}),
            await get(gateway, {**asked, "url": "s3://demo/d/a b.jpg"}),
            await post(gateway, {**asked, "url": url}),
            await post(gateway, form({**asked, "url": url}, None, media_first=False)),
            await post(gateway, form(asked, PICTURE, media_first=False)),
            await post(gateway, form(asked, PICTURE, media_first=True)),  # as in the vendor's curl lines
        ]
    assert [status for status, _ in answers] == [200] * 6
    assert len({answer["quality"]["score"] for _, answer in answers}) == 1
    assert [answer["media"]["uri"] for _, answer in answers] == [url, "s3://demo/d/a b.jpg", url, url, *["a b.jpg"] * 2]
    assert len({answer["request"]["id"] for _, answer in answers}) == 6


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"api_secret": "wrong"}, 401, "argument_error"),
        ({"api_user": "nobody"}, 401, "argument_error"),
        ({"api_user": "", "api_secret": ""}, 401, "argument_error"),
        ({"models": ""}, 400, "argument_error"),
        ({"models": "nudity-2.1"}, 400, "argument_error"),
        ({"url": ""}, 400, "argument_error"),
        ({"url": "http://169.254.169.254/latest/"}, 400, "media_error"),
        ({"url": "file:///etc/passwd"}, 400, "media_error"),
        ({"url": "{around}/none.jpg"}, 400, "media_error"),
        ({"url": "{around}/text.jpg"}, 400, "media_error"),
        ({"url": "s3://demo/none.jpg"}, 400, "media_error"),
        ({"url": "s3://demo"}, 400, "argument_error"),
        ({"api_user": READER_ID, "url": "s3://demo/d/a b.jpg"}, 403, "credentials_error"),
        ({"api_user": READER_ID, "url": "{around}/a b.jpg"}, 403, "credentials_error"),
    ],
)
async def test_bad_input_is_told_in_the_vendor_s_json(
    opened: Any, around: Neighbourhood, fields: dict[str, str], status: int, kind: str
) -> None:
    asked = {"models": "quality", "url": f"{around.url}/a b.jpg?x=1&y=2", **KEY, **fields}
    asked["url"] = asked["url"].replace("{around}", around.url)
    async with opened() as gateway:
        for answered, told in (await get(gateway, asked), await post(gateway, asked)):
            assert (answered, told["status"], told["error"]["type"]) == (status, "failure", kind)
            assert SECRET.reveal() not in str(told)


async def test_a_file_that_is_none_or_no_picture_or_too_large_or_cut_is_refused(opened: Any) -> None:
    asked = {"models": "quality", **KEY}
    torn = b'--x\r\nContent-Disposition: form-data; name="media"; filename="a"\r\n\r\nabc'
    async with opened(limits={"max_bytes": 500_000}) as gateway:
        answers = [
            await post(gateway, form(asked, b"no picture", media_first=True)),
            await post(gateway, form(asked, PICTURE[: len(PICTURE) // 2], media_first=True)),
            await post(gateway, form(asked, bytes(600_000), media_first=True)),
            await post(gateway, form(asked, None, media_first=True)),
        ]
        url = gateway.raw_url("/1.0/check.json")
        media = {"Content-Type": "multipart/form-data; boundary=x"}
        status, _, body = await gateway.request("POST", url, data=torn, headers=media)
        answers.append((status, json.loads(body)))
    assert [status for status, _ in answers] == [400] * 5
    kinds = [answer["error"]["type"] for _, answer in answers]
    assert kinds == ["media_error", "media_error", "media_error", "argument_error", "request_error"]


async def test_other_paths_of_the_vendor_are_told_as_argument_errors(opened: Any) -> None:
    async with opened() as gateway:
        for path in ("/1.0/video/check-sync.json", "/1.0/feedback.json", "/1.0/check-workflow.json"):
            status, told = await post(gateway, KEY, path)
            assert (status, told["error"]["type"]) == (400, "argument_error")


async def test_it_can_be_bound_to_hosts_of_its_own_or_switched_off_and_never_hides_a_bucket(
    opened: Any, store: FakeStore
) -> None:
    store.objects["/1.0/check.json"] = b"an object"
    asked = f"/1.0/check.json?{urlencode({**KEY, 'models': 'quality', 'url': 's3://demo/d/a b.jpg'})}"
    bound = {"dialects": {"sightengine": {"hosts": ["api.sight.test"]}}}
    async with opened(**bound) as gateway:
        assert (await gateway.get(gateway.raw_url(asked)))[0] == 403  # S3's refusal of somebody anonymous
        status, _, body = await gateway.get(gateway.raw_url(asked), headers={"Host": "api.sight.test"})
        assert (status, json.loads(body)["status"]) == (200, "success")
    async with opened(dialects={"sightengine": {"enabled": False}}) as gateway:
        assert (await gateway.get(gateway.raw_url(asked)))[0] == 403
    async with opened() as gateway:
        assert (await gateway.get(gateway.s3_url("/1.0/check.json")))[::2] == (200, b"an object")


async def test_other_models_beside_quality_can_be_refused(opened: Any) -> None:
    asked = {"models": "quality,properties", "url": "s3://demo/d/a b.jpg", **KEY}
    async with opened(dialects={"sightengine": {"other_models": "error"}}) as gateway:
        assert (await get(gateway, asked))[1]["error"]["type"] == "argument_error"


async def test_an_explained_refusal_tells_nothing_more_of_a_key_in_clear(opened: Any) -> None:
    server = {"explain_refusals": True}
    async with opened(server=server) as gateway:
        status, told = await get(gateway, {"models": "quality", "url": "http://a", **KEY, "api_secret": "wrong"})
    assert (status, told["error"]["code"]) == (401, 1)
    assert set(told["error"]) == {"type", "code", "message"}


async def test_who_is_nobody_yet_counts_in_the_quota_of_its_address(opened: Any) -> None:
    async with opened(quotas={"requests_per_second": 0.001, "burst": 4}) as gateway:  # the body, and the claim
        wrong = {**KEY, "api_secret": "wrong", "models": "quality"}
        answers = [await post(gateway, form(wrong, PICTURE, media_first=True)) for _ in range(3)]
    assert [status for status, _ in answers] == [401, 401, 429]


@pytest.mark.parametrize(
    ("statements", "url", "status", "told"),
    [
        ((Statement("allow", ("sightengine:Check",), ("*",)),), "s3://demo/d/a b.jpg", 403, "credentials_error"),
        ((Statement("allow", ("s3:GetObject",), ("*",)),), "s3://demo/d/a b.jpg", 403, "credentials_error"),
        (
            (
                Statement("allow", ("sightengine:Check", "s3:GetObject"), ("*",)),
                Statement("deny", ("s3:GetObject",), ("demo/d/*",)),
            ),
            "s3://demo/d/a b.jpg",
            403,
            "credentials_error",
        ),
        ((Statement("allow", ("sightengine:Check", "s3:GetObject"), ("demo/*",)),), "s3://demo/d/a b.jpg", 200, None),
        (EVERYTHING, "s3://demo/.gateway-parts/x", 403, "credentials_error"),
        (EVERYTHING, "s3://admin/x", 403, "credentials_error"),
    ],
)
async def test_an_object_is_looked_at_for_a_key_that_may_read_it_and_check_it(
    opened: Any, store: FakeStore, statements: tuple[Statement, ...], url: str, status: int, told: str | None
) -> None:
    store.objects["/demo/.gateway-parts/x"] = PICTURE
    clients = {KEY_ID: Credential(KEY_ID, SECRET, Identity("checker", statements))}
    async with opened(clients=clients) as gateway:
        asked = {"models": "quality", "url": url, **KEY}
        for found, answer in (await get(gateway, asked), await post(gateway, asked)):
            assert (found, answer.get("error", {}).get("type")) == (status, told)


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b"{", "application/json", "request_error"),
        (b"[]", "application/json", "request_error"),
        (b"[" * 50_000, "application/json", "request_error"),
        (b'{"models": [' + b"1," * 50_000 + b"1]}", "application/json", "request_error"),
        (b"a=1&a=2", "application/x-www-form-urlencoded", "request_error"),
        (b"\xff=1", "application/x-www-form-urlencoded", "request_error"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", "request_error"),
        (b"", "multipart/form-data", "request_error"),
    ],
)
async def test_a_malformed_body_is_the_vendor_s_error(opened: Any, body: bytes, kind: str, told: str) -> None:
    async with opened() as gateway:
        url = gateway.raw_url("/1.0/check.json")
        status, _, answer = await gateway.request("POST", url, data=body, headers={"Content-Type": kind})
    assert (status, json.loads(answer)["error"]["type"]) == (400, told)
