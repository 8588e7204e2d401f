"""What uploads without a signature must not reach: other assets, other places, the secret's signatures."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.credentials import Credential, Identity, Secret
from tests.harness import KEY_ID, keyring
from tests.journeys.clouds import CloudUnderTest, form_of, picture, running_cloud

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_store import FakeStore

PICTURE = picture()


def lent(**fields: str) -> dict[str, str]:
    return {"upload_preset": "open", **fields}


async def test_the_signature_of_a_reply_is_none_of_a_request(cloud: CloudUnderTest, store: FakeStore) -> None:
    """`public_id=lent/x&timestamp=1&version=2` would else be the text of a signed request about `lent/x`."""
    await cloud.post("image/upload", form_of(lent(public_id="x"), PICTURE))
    now = str(int(time.time()))
    _, reply = await cloud.post("image/upload", form_of(lent(public_id=f"x&timestamp={now}"), PICTURE))
    forged = {"public_id": "lent/x", "timestamp": now, "version": str(reply["version"])}
    form = {**forged, "signature": reply["signature"], "api_key": KEY_ID}
    status, _ = await cloud.post("image/destroy", form_of(form, None))
    assert status == 401
    assert "/demo/lent/x" in store.objects


@pytest.mark.parametrize(
    "fields",
    [
        {"public_id_prefix": "elsewhere", "public_id": "x"},
        {"folder": "elsewhere", "public_id": "x"},
        {"type": "private", "public_id": "x"},
        {"use_filename": "1", "unique_filename": "0", "detection": "iqa", "public_id": "x"},
    ],
)
async def test_the_preset_alone_says_what_becomes_of_the_file(
    cloud: CloudUnderTest, store: FakeStore, fields: dict[str, str]
) -> None:
    status, reply = await cloud.post("image/upload", form_of(lent(**fields), PICTURE))
    assert (status, reply["type"], "info" in reply, set(store.objects)) == (200, "upload", False, {"/demo/lent/x"})


async def test_objects_of_the_stores_are_no_source(cloud: CloudUnderTest, store: FakeStore) -> None:
    store.objects["/demo/secret"] = PICTURE
    status, reply = await cloud.post("image/upload", form_of(lent(public_id="x"), "s3://demo/secret"))
    assert (status, reply["error"]["message"]) == (403, "Access Denied.")
    assert set(store.objects) == {"/demo/secret"}


async def test_nothing_is_told_of_a_private_asset_or_another_object_of_that_name(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    await cloud.upload(PICTURE, public_id="lent/private", type="private", tags="t")
    store.objects["/demo/lent/by_s3"] = PICTURE
    for name in ("private", "by_s3"):
        status, reply = await cloud.post("image/upload", form_of(lent(public_id=name), PICTURE))
        assert (status, set(reply)) == (409, {"error"})


async def test_what_was_stored_while_the_file_was_looked_at_stays(cloud: CloudUnderTest, store: FakeStore) -> None:
    store.answers["PUT /demo/lent/x"] = (412, b"<Error><Code>PreconditionFailed</Code></Error>", {})
    assert (await cloud.post("image/upload", form_of(lent(public_id="x"), PICTURE)))[0] == 409
    assert store.seen[-1].headers["if-none-match"] == "*"
    assert (await cloud.admin("GET", "resources/image"))[1]["resources"] == []


async def test_a_key_that_has_ended_lends_nothing(store: FakeStore, scorer_address: str, tmp_path: Path) -> None:
    ended = replace(keyring()[KEY_ID], expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    async with running_cloud(store.endpoint, scorer_address, tmp_path, {KEY_ID: ended}) as cloud:
        status, reply = await cloud.post("image/upload", form_of(lent(public_id="x"), PICTURE))
    assert (status, reply["error"]["message"]) == (401, "The identity of unsigned uploads has no key.")
    other = Credential("NEW", Secret("new"), Identity("demo", ended.identity.statements))
    async with running_cloud(store.endpoint, scorer_address, tmp_path, {KEY_ID: ended, "NEW": other}) as cloud:
        _, reply = await cloud.post("image/upload", form_of(lent(public_id="x"), PICTURE))
    assert reply["api_key"] == "NEW"
