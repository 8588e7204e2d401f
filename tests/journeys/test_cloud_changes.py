"""Assets that others change: by S3, behind the cloud's back, or by the cloud itself, between two steps of a call."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.digests import md5
from tests.journeys.clouds import CloudUnderTest, form_of, picture, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fake_store import FakeStore

FIRST, OTHER = picture(), picture("blue", (400, 100))
RES = {"Host": "res.localhost"}


def overwritten(store: FakeStore, name: str, content: bytes = OTHER) -> Callable[[], object]:
    """An S3 client that puts something else in an asset's place."""
    return lambda: store.objects.update({f"/demo/{name}": content})


async def delivered(cloud: CloudUnderTest, path: str) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = await cloud.gateway.get(cloud.gateway.raw_url(path), headers=RES)
    return status, dict(headers), body


async def rename(cloud: CloudUnderTest, old: str, new: str, **fields: str) -> tuple[int, dict[str, Any]]:
    form = form_of(signed({"from_public_id": old, "to_public_id": new, **fields}), None)
    return await cloud.post("image/rename", form)


async def test_what_s3_puts_in_the_place_of_an_asset_is_told_but_not_published(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    _, first = await cloud.upload(FIRST, public_id="x", tags="t", quality_analysis="1")
    overwritten(store, "x")()
    assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[0] == 404
    before = len(store.seen)
    assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[0] == 404
    assert len(store.seen) == before  # it is known by now
    _, shown = await cloud.admin("GET", "resources/image/upload/x")
    assert (shown["etag"], shown["width"], shown["tags"]) == (md5(OTHER), 400, ["t"])
    assert (shown["asset_id"], shown["version"] > first["version"]) == (first["asset_id"], True)
    assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[0] == 404
    await cloud.upload(OTHER, public_id="x")
    assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[::2] == (200, OTHER)


async def test_an_upload_that_the_store_has_and_the_ledger_not_yet_is_delivered(
    cloud: CloudUnderTest, store: FakeStore, tmp_path: Path
) -> None:
    def remembered() -> None:
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as db:
            db.execute("UPDATE asset SET document = json_set(document, '$.store_etag', ?)", (md5(OTHER),))

    await cloud.upload(FIRST, public_id="x")
    overwritten(store, "x")()
    store.acts["GET /demo/x"] = remembered
    assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[::2] == (200, OTHER)


async def test_a_picture_in_whose_place_there_is_none_any_more_is_a_raw_asset(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    await cloud.upload(FIRST, public_id="x")
    overwritten(store, "x", b"plain text")()
    assert (await cloud.admin("GET", "resources/image/upload/x"))[0] == 404
    _, shown = await cloud.admin("GET", "resources/raw/upload/x")
    assert (shown["bytes"], shown["format"], "width" in shown) == (10, "", False)


@pytest.mark.parametrize("method", ["explicit", "update"])
async def test_a_score_is_of_the_content_that_was_looked_up_or_of_none(
    cloud: CloudUnderTest, store: FakeStore, method: str
) -> None:
    await cloud.upload(FIRST, public_id="x")
    store.acts["GET /demo/x"] = overwritten(store, "x")
    if method == "explicit":
        form = form_of(signed({"public_id": "x", "type": "upload", "quality_analysis": "1"}), None)
        status, reply = await cloud.post("image/explicit", form)
    else:
        status, reply = await cloud.admin("POST", "resources/image/upload/x", json={"quality_analysis": True})
    assert (status, reply["error"]["message"][:21]) == (409, "The asset was changed")
    _, found = await cloud.admin("POST", "resources/search", json={"expression": "quality_score>=0"})
    assert found["total_count"] == 0


async def test_a_renamed_asset_keeps_its_id_and_all_that_was_said_of_it(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    _, first = await cloud.upload(FIRST, public_id="dir/x", tags="t", quality_analysis="1")
    status, reply = await rename(cloud, "dir/x", "dir/y")
    assert (status, reply["asset_id"], reply["tags"], reply["display_name"]) == (200, first["asset_id"], ["t"], "y")
    assert store.objects == {"/demo/dir/y": FIRST}
    assert (await cloud.admin("GET", f"resources/{first['asset_id']}"))[1]["public_id"] == "dir/y"
    assert (await cloud.admin("GET", "resources/image/upload/dir/x"))[0] == 404
    _, found = await cloud.admin("POST", "resources/search", json={"expression": "quality_score>=0"})
    assert [row["public_id"] for row in found["resources"]] == ["dir/y"]
    assert (await rename(cloud, "dir/y", "dir/y"))[0] == 200
    assert (await delivered(cloud, "/demo/image/upload/dir/y.jpg"))[::2] == (200, FIRST)


async def test_a_rename_overwrites_nothing_unless_it_is_told_to(cloud: CloudUnderTest, store: FakeStore) -> None:
    await cloud.upload(FIRST, public_id="x")
    await cloud.upload(OTHER, public_id="y")
    status, reply = await rename(cloud, "x", "y")
    assert (status, reply["error"]["message"]) == (409, "to_public_id (y) already exists")
    assert store.objects == {"/demo/x": FIRST, "/demo/y": OTHER}
    assert (await rename(cloud, "x", "y", overwrite="true"))[0] == 200
    assert store.objects == {"/demo/y": FIRST}


async def test_what_comes_under_the_old_name_while_it_is_renamed_is_not_lost(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    await cloud.upload(FIRST, public_id="x")
    store.acts["PUT /demo/y"] = overwritten(store, "x")
    status, _ = await rename(cloud, "x", "y")
    assert (status, store.objects) == (409, {"/demo/x": OTHER})
    await cloud.upload(FIRST, public_id="x")
    store.acts["PUT /demo/y"] = lambda: store.acts.update({"HEAD /demo/x": overwritten(store, "x")})
    assert (await rename(cloud, "x", "y"))[0] == 200
    assert store.objects == {"/demo/x": OTHER, "/demo/y": FIRST}


async def test_of_two_renames_to_one_name_the_second_is_refused(cloud: CloudUnderTest, store: FakeStore) -> None:
    await cloud.upload(FIRST, public_id="x")
    await cloud.upload(OTHER, public_id="z")
    replies = await asyncio.gather(rename(cloud, "x", "y"), rename(cloud, "z", "y"))
    assert sorted(status for status, _ in replies) == [200, 409]
    assert len(store.objects) == 2
    assert set(store.objects.values()) == {FIRST, OTHER}


async def test_of_uploads_at_once_the_one_that_the_store_has_is_known_and_published(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    contents = [picture("blue", (100 + 10 * number, 100)) for number in range(6)]
    for _ in range(2):
        replies = await asyncio.gather(*(cloud.upload(each, public_id="x") for each in contents))
        assert [status for status, _ in replies] == [200] * 6
        left = store.objects["/demo/x"]
        assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[::2] == (200, left)
        assert (await cloud.admin("GET", "resources/image/upload/x"))[1]["etag"] == md5(left)


@pytest.mark.parametrize("late", [False, True])
async def test_an_upload_that_comes_between_the_storing_of_another_and_its_note_wins(
    cloud: CloudUnderTest,
    store: FakeStore,
    tmp_path: Path,
    late: bool,  # noqa: FBT001 # a table
) -> None:
    """The other one is noted first, by another gateway; the store has its file, or ours."""

    def noted() -> None:
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as db:
            query = "UPDATE asset SET document = json_set(document, '$.version_id', 'other', '$.store_etag', ?)"
            db.execute(query, (md5(OTHER),))
        if late:
            store.acts["HEAD /demo/x"] = overwritten(store, "x")

    await cloud.upload(picture("green"), public_id="x")
    store.acts["PUT /demo/x"] = noted
    assert (await cloud.upload(FIRST, public_id="x"))[0] == 200
    store.acts.clear()
    assert (await delivered(cloud, "/demo/image/upload/x.jpg"))[::2] == (200, OTHER if late else FIRST)


async def test_a_part_of_an_upload_in_order_asks_for_the_next_one_alone(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    edges = [0, 3000, 6000, 9000, len(FIRST)]
    asked = []
    for start, end in pairwise(edges):
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(FIRST)}", "X-Unique-Upload-Id": "u"}
        store.seen.clear()
        status, reply = await cloud.post("image/upload", form_of(signed({}), FIRST[start:end]), headers=headers)
        assert status == 200, reply
        asked.append(sum(seen.method == "HEAD" and ".gateway-parts" in seen.raw_path for seen in store.seen))
    assert (asked[:-1], reply["etag"]) == ([1, 1, 1], md5(FIRST))


@pytest.mark.parametrize(
    ("name", "content", "policy"),
    [
        ("page.html", b"<script>1</script>", "sandbox"),
        ("drawing.svg", b"<svg/>", "sandbox"),
        ("a.txt", b"text", None),
    ],
)
async def test_a_delivered_file_runs_nothing_on_the_hosts_account(
    cloud: CloudUnderTest, name: str, content: bytes, policy: str | None
) -> None:
    form = form_of({"upload_preset": "open", "public_id": name}, content)
    assert (await cloud.post("raw/upload", form))[0] == 200
    status, headers, body = await delivered(cloud, f"/demo/raw/upload/lent/{name}")
    assert (status, body, headers["X-Content-Type-Options"]) == (200, content, "nosniff")
    assert headers.get("Content-Security-Policy") == policy
