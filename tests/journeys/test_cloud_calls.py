"""What an SDK's user may say in a call to Cloudinary's API, and finds again: names, notices, pages, objects of S3."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from gateway.auth import cloudinary
from tests.digests import md5
from tests.harness import SECRET
from tests.journeys.clouds import CLOUD, CloudUnderTest, form_of, picture, running_cloud, signed
from tests.journeys.neighbourhood import Neighbourhood, neighbourhood, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fake_store import FakeStore

PICTURE = picture()


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_whatever_is_done_to_an_asset_is_told_to_whom_the_request_names(
    store: FakeStore, scorer_address: str, tmp_path: Path, algorithm: str
) -> None:
    settings = CLOUD | {"signature_algorithm": algorithm}
    async with told_to(store, scorer_address, tmp_path, settings) as (cloud, around):
        told: dict[str, str] = {"notification_url": around.hook}
        assert (await cloud.upload(PICTURE, public_id="x", **told))[0] == 200
        for action, fields in (
            ("explicit", {"public_id": "x", "type": "upload"}),
            ("rename", {"from_public_id": "x", "to_public_id": "y"}),
            ("destroy", {"public_id": "y", "invalidate": "1"}),
        ):
            status, reply = await cloud.post(f"image/{action}", form_of(signed({**fields, **told}), None))
            assert status == 200, reply
        await until(lambda: len(around.notes) == 4)
    notes = {note.document["notification_type"]: note for note in around.notes}
    assert set(notes) == {"upload", "explicit", "rename", "delete"}
    assert (notes["rename"].document["from_public_id"], notes["rename"].document["public_id"]) == ("x", "y")
    resources = [{"resource_type": "image", "type": "upload", "public_id": "y"}]
    assert notes["delete"].document["resources"] == resources
    for note in notes.values():
        kind: Any = algorithm
        assert note.signature == cloudinary.sign_notification(note.body, int(note.timestamp), SECRET, kind)


async def test_who_did_not_sign_tells_nobody(store: FakeStore, scorer_address: str, tmp_path: Path) -> None:
    presets: dict[str, dict[str, Any]] = {
        "open": {"unsigned": True},
        "telling": {"unsigned": True, "notification_url": "{hook}"},
    }
    async with told_to(store, scorer_address, tmp_path, CLOUD, presets) as (cloud, around):
        for preset in ("open", "telling"):
            fields = {"upload_preset": preset, "public_id": preset, "notification_url": f"{around.url}/elsewhere"}
            assert (await cloud.post("image/upload", form_of(fields, PICTURE)))[0] == 200
        await until(lambda: bool(around.notes))
    assert [note.document["public_id"] for note in around.notes] == ["telling"]


@asynccontextmanager
async def told_to(
    store: FakeStore,
    scorer_address: str,
    folder: Path,
    settings: dict[str, Any],
    presets: dict[str, dict[str, Any]] | None = None,
) -> AsyncIterator[tuple[CloudUnderTest, Neighbourhood]]:
    """A cloud, and a receiver that it may tell; `{hook}` in a preset stands for it."""
    async with neighbourhood() as around:
        text = json.dumps(presets or settings["presets"]).replace("{hook}", around.hook)
        given = settings | {"presets": json.loads(text)}
        tables: dict[str, Any] = {"fetch": {"allow": [around.authority]}, "tasks": {"poll_s": 0.05}}
        async with running_cloud(store.endpoint, scorer_address, folder, cloud=given, **tables) as cloud:
            yield cloud, around


NAMES = ["a b", "dir/sub/ö", "猫/🐈 1", "x.jpg", "x.jpg.png", "100%", "a+b&c=d", "a?b#c", "v1/x"]


async def test_a_public_id_is_a_key_to_the_letter_and_is_found_by_every_call(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    for name in NAMES:
        _, reply = await cloud.upload(PICTURE, public_id=name)
        assert (reply["public_id"], store.objects) == (name, {f"/demo/{quote(name, safe='/~')}": PICTURE})
        path = f"resources/image/upload/{quote(name, safe='')}"
        assert (await cloud.admin("GET", path))[1]["asset_id"] == reply["asset_id"]
        assert (await cloud.admin("POST", path, json={"tags": ["t", "u"]}))[1]["tags"] == ["t", "u"]
        listed = await cloud.admin("GET", f"resources/image/upload?{urlencode({'prefix': name[:1]})}")
        assert [row["public_id"] for row in listed[1]["resources"]] == [name]
        url = reply["url"].removeprefix("http://res.localhost")
        _, _, body = await cloud.gateway.get(cloud.gateway.raw_url(url), headers={"Host": "res.localhost"})
        assert body == PICTURE, name
        form = form_of(signed({"public_id": name, "invalidate": "true"}), None)
        assert await cloud.post("image/destroy", form) == (200, {"result": "ok"})
        assert store.objects == {}


async def test_a_name_that_could_lead_elsewhere_is_refused_by_every_call(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    for name in ("..", "../x", "a/./b", "a//b", "/a", "a/", " a", "a\\b", "a\nb", "", "x" * 256):
        replies = [await cloud.upload(PICTURE, public_id=name)] if name else []
        for action, fields in (
            ("explicit", {"public_id": name}),
            ("destroy", {"public_id": name}),
            ("rename", {"from_public_id": "x", "to_public_id": name}),
            ("rename", {"from_public_id": name, "to_public_id": "x"}),
        ):
            replies += [await cloud.post(f"image/{action}", form_of(signed(fields), None))]
        assert {(status, *reply) for status, reply in replies} == {(400, "error")}, name
    assert store.objects == {}


@pytest.mark.parametrize("as_json", [True, False])
async def test_an_object_that_came_by_s3_is_an_asset_to_every_call(
    cloud: CloudUnderTest,
    store: FakeStore,
    as_json: bool,  # noqa: FBT001 # a table
) -> None:
    store.objects["/demo/by/s3"] = PICTURE
    changes = {"tags": "a,b", "context": "k=v", "quality_analysis": "true", "display_name": "shown"}
    options: dict[str, Any] = {"json": changes} if as_json else {"data": changes}
    status, reply = await cloud.admin("POST", "resources/image/upload/by/s3", **options)
    assert (status, reply["tags"], reply["context"]) == (200, ["a", "b"], {"custom": {"k": "v"}})
    assert (reply["etag"], "quality_score" in reply) == (md5(PICTURE), True)
    _, again = await cloud.admin("GET", "resources/image/upload/by/s3")
    assert (again["asset_id"], again["display_name"], again["tags"]) == (reply["asset_id"], "shown", ["a", "b"])
    _, listed = await cloud.admin("GET", "resources/image?prefix=by/")
    assert (listed["resources"][0]["tags"], listed["resources"][0]["context"]) == (["a", "b"], {"custom": {"k": "v"}})
    form = form_of(signed({"public_id": "by/s3", "type": "upload", "detection": "iqa"}), None)
    assert "info" in (await cloud.post("image/explicit", form))[1]


async def test_a_list_is_turned_over_page_by_page_and_ends(cloud: CloudUnderTest) -> None:
    for number in range(5):
        await cloud.upload(PICTURE, public_id=f"p/{number}")
    await cloud.upload(PICTURE, public_id="other")
    await cloud.upload(b"text", "raw", public_id="p/raw")
    found, cursor = [], ""
    for _ in range(3):
        query = urlencode({"prefix": "p/", "max_results": "2", **({"next_cursor": cursor} if cursor else {})})
        _, page = await cloud.admin("GET", f"resources/image/upload?{query}")
        found += [row["public_id"] for row in page["resources"]]
        cursor = page.get("next_cursor", "")
    assert (found, cursor) == ([f"p/{number}" for number in range(5)], "")


async def test_a_picture_whose_scoring_takes_too_long_is_stored_and_the_reason_told(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    async with running_cloud(store.endpoint, scorer_address, tmp_path, limits={"deadline_s": 0.001}) as cloud:
        status, reply = await cloud.upload(PICTURE, public_id="x", quality_analysis="1")
    assert (status, set(store.objects)) == (200, {"/demo/x"}), reply
    assert reply["quality_analysis_error"]["message"]
