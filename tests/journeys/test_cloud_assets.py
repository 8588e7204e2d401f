"""What Cloudinary's API does with assets once they are there: presets, kinds, delivery, allowances, searches, parts."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.auth import cloudinary
from tests.digests import md5
from tests.fake_store import served
from tests.harness import KEY_ID, SECRET
from tests.journeys.clouds import CLOUD, CloudUnderTest, form_of, picture, running_cloud, signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_store import FakeStore

PICTURE = picture()
RES = {"Host": "res.localhost:8000"}


async def delivered(cloud: CloudUnderTest, path: str, **headers: str) -> tuple[int, bytes]:
    status, _, body = await cloud.gateway.get(cloud.gateway.raw_url(path), headers=RES | headers)
    return status, body


@pytest.mark.parametrize(
    ("kind", "content", "filename", "told", "format_"),
    [
        ("auto", PICTURE, "a.jpg", "image", "jpg"),
        ("auto", b"plain text", "notes.txt", "raw", None),
        ("auto", b"\x00\x00\x00\x18ftypmp42", "film.mp4", "video", "mp4"),
        ("video", b"whatever", "film.webm", "video", "webm"),
        ("raw", PICTURE, "a.jpg", "raw", None),
        ("raw", b"", "empty.bin", "raw", None),
    ],
)
async def test_each_kind_is_stored_and_only_pictures_are_analysed(
    cloud: CloudUnderTest, store: FakeStore, kind: str, content: bytes, filename: str, told: str, format_: str | None
) -> None:
    status, reply = await cloud.upload(content, kind, filename, quality_analysis="1", public_id="x")
    assert (status, reply["resource_type"], reply.get("format")) == (200, told, format_)
    assert store.objects["/demo/x"] == content
    assert ("quality_analysis" in reply) is (told == "image")
    assert (await cloud.admin("GET", f"resources/{told}/upload/x"))[1]["asset_id"] == reply["asset_id"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"public_id": "a/b"}, "a/b"),
        ({"public_id": "b", "folder": "a"}, "a/b"),
        ({"use_filename": "1", "unique_filename": "0"}, "a_b"),
        ({"use_filename": "1", "unique_filename": "0", "folder": "f"}, "f/a_b"),
        ({"filename_override": "other.png", "use_filename": "true", "unique_filename": "false"}, "other"),
        ({"upload_preset": "closed"}, "a_b"),
        ({"upload_preset": "closed", "use_filename": "0", "public_id": "own"}, "own"),
    ],
)
async def test_an_upload_gets_the_name_that_its_options_say(
    cloud: CloudUnderTest, fields: dict[str, str], name: str
) -> None:
    assert (await cloud.upload(PICTURE, **fields))[1]["public_id"] == name


async def test_a_preset_switches_the_analysis_on_for_signed_uploads_too(cloud: CloudUnderTest) -> None:
    _, reply = await cloud.upload(PICTURE, upload_preset="closed")
    assert "quality_score" in reply


async def test_what_is_there_is_overwritten_unless_that_is_forbidden(cloud: CloudUnderTest, store: FakeStore) -> None:
    other = picture("blue")
    _, first = await cloud.upload(PICTURE, public_id="x")
    _, kept = await cloud.upload(other, public_id="x", overwrite="false")
    assert (kept["existing"], kept["etag"], store.objects["/demo/x"]) == (True, md5(PICTURE), PICTURE)
    _, second = await cloud.upload(other, public_id="x")
    assert (second["asset_id"], second["etag"]) == (first["asset_id"], md5(other))
    assert second["version"] > first["version"]
    await cloud.post("image/upload", form_of({"upload_preset": "open", "public_id": "y"}, PICTURE))
    form = form_of({"upload_preset": "open", "public_id": "y", "overwrite": "true"}, other)
    assert (await cloud.post("image/upload", form))[1]["existing"] is True
    assert store.objects["/demo/lent/y"] == PICTURE


async def test_a_picture_beyond_a_limit_is_stored_and_the_reason_told(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    limits = {"max_pixels": 10_000}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, limits=limits) as cloud:
        status, reply = await cloud.upload(PICTURE, public_id="x", quality_analysis="1", detection="iqa")
        assert (status, reply["quality_analysis_error"]["code"]) == (200, "ImageTooLarge")
        assert "10000" in reply["quality_analysis_error"]["message"].replace(",", "")
        assert "quality_analysis" not in reply
        assert store.objects["/demo/x"] == PICTURE
        assert (await cloud.upload(PICTURE, public_id="y"))[0] == 200


async def test_an_upload_is_stored_while_no_scorer_can_be_had(store: FakeStore, tmp_path: Path) -> None:
    async with running_cloud(store.endpoint, "/nonexistent", tmp_path) as cloud:
        status, reply = await cloud.upload(PICTURE, public_id="x", quality_analysis="1")
        assert (status, reply["quality_analysis_error"]["code"]) == (200, "InternalError")
        assert (await cloud.upload(PICTURE, public_id="y"))[0] == 200
    assert set(store.objects) == {"/demo/x", "/demo/y"}


async def test_originals_are_delivered_at_their_urls(cloud: CloudUnderTest) -> None:
    _, reply = await cloud.upload(PICTURE, public_id="dir/ö 1.v2")
    path = reply["url"].removeprefix("http://res.localhost")
    assert path == f"/demo/image/upload/v{reply['version']}/dir/%C3%B6%201.v2.jpg"
    unversioned = path.replace(f"v{reply['version']}/", "")
    for each in (path, unversioned, unversioned.removesuffix(".jpg"), unversioned.replace(".jpg", ".JPEG")):
        assert await delivered(cloud, each) == (200, PICTURE)
    assert (await cloud.gateway.request("HEAD", cloud.gateway.raw_url(path), headers=RES))[2] == b""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/demo/image/upload/w_100,h_100/x.jpg", 400),
        ("/demo/image/upload/c_fill/v1/x.jpg", 400),
        ("/demo/image/upload/x.png", 400),
        ("/demo/image/upload/y.jpg", 404),
        ("/demo/raw/upload/x", 404),
        ("/demo/image/fetch/http://example.com/x.jpg", 404),
        ("/demo/image/private/hidden.jpg", 401),
        ("/demo/image/upload/hidden.jpg", 404),
        ("/demo/image/upload/by_s3.jpg", 404),
        ("/other/image/upload/x.jpg", 401),
        ("/", 404),
    ],
)
async def test_nothing_else_is_delivered(cloud: CloudUnderTest, store: FakeStore, path: str, status: int) -> None:
    await cloud.upload(PICTURE, public_id="x")
    await cloud.upload(PICTURE, public_id="hidden", type="private")
    store.objects["/demo/by_s3"] = PICTURE
    assert (await cloud.admin("GET", "resources/image/upload/by_s3"))[0] == 200  # which does not publish it
    found, body = await delivered(cloud, path)
    assert (found, "error" in json.loads(body)) == (status, True)


async def test_a_delivery_host_publishes_no_other_clouds_assets(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    clouds = {"demo": {"bucket": "demo"}, "open": CLOUD | {"bucket": "shop"}}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, clouds=clouds) as cloud:
        assert (await cloud.upload(PICTURE, public_id="x"))[0] == 200
        assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[0] == 404


async def test_deliveries_count_in_the_quota_of_their_address(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    quotas = {"requests_per_second": 0.001, "burst": 2}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, quotas=quotas) as cloud:
        statuses = [(await delivered(cloud, "/demo/image/upload/x.jpg"))[0] for _ in range(3)]
    assert statuses == [404, 404, 420]


async def test_admin_calls_tell_what_is_left_of_their_allowance(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    settings = CLOUD | {"admin_calls_per_hour": 2, "scores_per_day": 2}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, cloud=settings) as cloud:
        headers = {"Authorization": "Basic R0FURVdBWURFTU86Z2F0ZXdheS1kZW1vLXNlY3JldA=="}
        left = []
        for _ in range(3):
            url = cloud.gateway.raw_url("/v1_1/demo/ping")
            status, told, body = await cloud.gateway.get(url, headers=headers)
            left.append((status, told["X-FeatureRateLimit-Limit"], told["X-FeatureRateLimit-Remaining"]))
            assert told["X-FeatureRateLimit-Reset"].endswith(" GMT")
        assert left == [(200, "2", "1"), (200, "2", "0"), (420, "2", "0")]
        assert json.loads(body)["error"]["message"].startswith(
            "Rate Limit Exceeded. Limit of 2 api operations reached."
        )
        statuses = [(await cloud.upload(PICTURE, public_id=f"{n}", quality_analysis="1"))[0] for n in range(3)]
        assert statuses == [200, 200, 420]
        assert "/demo/2" not in store.objects
        assert (await cloud.upload(PICTURE, public_id="2"))[0] == 200


async def search(cloud: CloudUnderTest, **query: Any) -> dict[str, Any]:
    status, found = await cloud.admin("POST", "resources/search", json=query)
    assert status == 200, found
    return found


async def test_a_search_pages_through_what_uploads_scored_and_reads_no_picture(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    for number in range(5):
        data = picture("green", (200 + number * 40, 200))
        await cloud.upload(data, public_id=f"s/{number}", quality_analysis="1")
    await cloud.upload(PICTURE, public_id="s/unscored")
    await cloud.post("image/explicit", form_of(signed({"public_id": "s/unscored", "quality_analysis": "1"}), None))
    before = len(store.seen)
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"expression": "quality_score>=0", "sort_by": [{"quality_analysis.color_score": "asc"}]}
    while True:
        page = await search(cloud, max_results=2, **query)
        found += page["resources"]
        assert page["total_count"] == 5
        if "next_cursor" not in page:
            break
        query["next_cursor"] = page["next_cursor"]
    assert sorted(row["public_id"] for row in found) == [f"s/{number}" for number in range(5)]
    scores = [row["quality_analysis"]["color_score"] for row in found]
    assert scores == sorted(scores)
    assert len(store.seen) == before
    assert (await search(cloud, expression="NOT quality_score>=0"))["total_count"] == 1
    await cloud.admin("POST", "resources/image/upload/s/unscored", data={"quality_analysis": "true"})
    assert (await search(cloud, expression="quality_score>=0"))["total_count"] == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sort_by", "[" + "1," * 100_000 + "1]"),
        ("next_cursor", "W" * 400_000),
        ("next_cursor", "WzFd"),
        ("sort_by", "["),
    ],
)
async def test_a_search_that_is_none_is_refused_at_once(cloud: CloudUnderTest, name: str, value: str) -> None:
    status, told = await cloud.admin("POST", "resources/search", data={name: value})
    assert (status, name in told["error"]["message"]) == (400, True)


@pytest.mark.parametrize("total_known", [True, False])
async def test_two_gateways_take_the_parts_of_one_upload(
    store: FakeStore,
    scorer_address: str,
    tmp_path: Path,
    total_known: bool,  # noqa: FBT001 # a table
) -> None:
    async with AsyncExitStack() as stack:
        clouds = [
            await stack.enter_async_context(running_cloud(store.endpoint, scorer_address, tmp_path)) for _ in range(2)
        ]
        cuts = [0, 5_000, 11_000, len(PICTURE)]
        replies = []
        for number, (start, end) in enumerate(pairwise(cuts)):
            total = len(PICTURE) if total_known or end == len(PICTURE) else -1
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}", "X-Unique-Upload-Id": "u1"}
            form = form_of(signed({"quality_analysis": "1"}), PICTURE[start:end])
            replies.append(await clouds[number % 2].post("image/upload", form, headers=headers))
        assert [status for status, _ in replies] == [200] * 3
        assert [reply.get("done") for _, reply in replies] == [False, False, None]
        assert len({reply["public_id"] for _, reply in replies}) == 1
        last = replies[-1][1]
        assert (last["etag"], "quality_analysis" in last) == (md5(PICTURE), True)
        assert list(store.objects) == [f"/demo/{last['public_id']}"]
        for status, shown in [await each.admin("GET", f"resources/{last['asset_id']}") for each in clouds]:
            assert (status, shown["public_id"]) == (200, last["public_id"])


async def test_the_last_part_can_be_sent_again_when_the_whole_could_not_be_stored(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    replies = []
    for place, fault in (("0-4999", ""), ("5000-", "error:503:SlowDown"), ("5000-", "")):
        start, _, last = place.partition("-")
        end = int(last or len(PICTURE) - 1)
        headers = {"Content-Range": f"bytes {start}-{end}/{len(PICTURE)}", "X-Unique-Upload-Id": "u1"}
        form = form_of(signed({"public_id": "x"}), PICTURE[int(start) : end + 1])
        store.faults = {"/demo/x": fault} if fault else {}
        replies.append(await cloud.post("image/upload", form, headers=headers))
    assert [status for status, _ in replies] == [200, 500, 200]
    assert replies[-1][1]["etag"] == md5(PICTURE)
    assert set(store.objects) == {"/demo/x"}


async def test_assets_are_removed_and_listed_by_names_with_commas(cloud: CloudUnderTest, store: FakeStore) -> None:
    for name in ("a", "b", "a,b"):
        await cloud.upload(PICTURE, public_id=name)
    listed = await cloud.admin("GET", "resources/image/upload?public_ids[]=a,b&public_ids[]=b")
    assert [row["public_id"] for row in listed[1]["resources"]] == ["a,b", "b"]
    _, told = await cloud.admin("DELETE", "resources/image/upload?public_ids[]=a,b")
    assert (told["deleted"], set(store.objects)) == ({"a,b": "deleted"}, {"/demo/a", "/demo/b"})
    _, told = await cloud.admin("DELETE", "resources/image/upload", json={"public_ids": ["b", "a,b"]})
    assert (told["deleted"], set(store.objects)) == ({"b": "deleted", "a,b": "not_found"}, {"/demo/a"})


async def test_an_asset_id_resolves_on_another_machine_and_after_a_restart(
    store: FakeStore, tmp_path: Path, redis_url: str
) -> None:
    tables: dict[str, Any] = {"tasks": {"url": redis_url}}
    async with running_cloud(store.endpoint, "/nonexistent", tmp_path / "one", **tables) as cloud:
        _, reply = await cloud.upload(PICTURE, public_id="x", tags="t")
    async with running_cloud(store.endpoint, "/nonexistent", tmp_path / "two", **tables) as cloud:
        status, shown = await cloud.admin("GET", f"resources/{reply['asset_id']}")
        assert (status, shown["public_id"], shown["tags"]) == (200, "x", ["t"])
        assert (await search(cloud, expression="tags=t"))["total_count"] == 1
    async with running_cloud(store.endpoint, "/nonexistent", tmp_path / "three") as cloud:
        assert (await cloud.admin("GET", f"resources/{reply['asset_id']}"))[0] == 404
    for folder in ("one", "two"):
        assert not (tmp_path / folder).exists()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("bytes 0-9/20", "Invalid Content-Range: 10 bytes announced"),
        ("bytes 5-4/20", "Invalid Content-Range: bytes 5-4/20"),
        ("bytes 0-99/20", "Invalid Content-Range"),
        ("pages 1-2/3", "Invalid Content-Range"),
        ("bytes 0-9/999999999", "File size too large. Got 999999999"),
    ],
)
async def test_a_part_that_cannot_be_one_is_refused(
    cloud: CloudUnderTest, store: FakeStore, place: str, told: str
) -> None:
    headers = {"Content-Range": place, "X-Unique-Upload-Id": "u1"}
    status, reply = await cloud.post("image/upload", form_of(signed({}), b"12345"), headers=headers)
    assert (status, reply["error"]["message"][: len(told)]) == (400, told)
    assert store.objects == {}


async def test_whoever_is_to_be_told_of_an_upload_gets_a_signed_notification(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    told: asyncio.Queue[tuple[dict[str, str], str]] = asyncio.Queue()

    async def receive(request: web.BaseRequest) -> web.StreamResponse:
        await told.put((dict(request.headers), await request.text()))
        return web.Response(status=503 if told.qsize() == 1 else 200)

    async with served(web.Server(receive)) as url:
        settings = CLOUD | {"notification_url": f"{url}/default"}
        fetch = {"allow": [url.removeprefix("http://")]}
        tasks = {"first_wait_s": 0.05, "poll_s": 0.05}
        async with running_cloud(
            store.endpoint, scorer_address, tmp_path, cloud=settings, fetch=fetch, tasks=tasks
        ) as cloud:
            _, reply = await cloud.upload(PICTURE, public_id="x", notification_url=f"{url}/own")
            async with asyncio.timeout(20):
                first, again = await told.get(), await told.get()
            status, refusal = await cloud.upload(PICTURE, public_id="y", notification_url="http://169.254.169.254/")
    assert first[1] == again[1]
    document = json.loads(first[1])
    assert (document["notification_type"], document["public_id"]) == ("upload", "x")
    assert document["signature"] == reply["signature"]
    for headers, body in (first, again):
        signature = cloudinary.sign_notification(body, int(headers["X-Cld-Timestamp"]), SECRET)
        assert headers["X-Cld-Signature"] == signature
    assert (status, "error" in refusal, "/demo/y" in store.objects) == (400, True, False)
    assert document["api_key"] == KEY_ID
