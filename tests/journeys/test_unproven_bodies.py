"""Bodies of senders whom nobody knows yet: no more of them is kept than fits, and whoever is known is not affected."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.errors import DISK_FULL, ApiError
from gateway.journeys.cloud_body import Shelf
from gateway.stores.spool import Room
from tests.harness import KEY_ID, SECRET
from tests.journeys.clouds import CloudUnderTest, basic, form_of, picture, running_cloud, signature, signed
from tests.journeys.neighbourhood import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from _typeshed import ReadableBuffer as Buffer

    from tests.fake_store import FakeStore

PICTURE = picture()
ROOM = {"max_unproven_bytes": 60_000}
TABLES: dict[str, Any] = {"dialects": {"cloudinary": ROOM, "sightengine": ROOM}}
HEADER = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
FILE = HEADER.format("file", '; filename="a.jpg"').encode()
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[Room]:
    """The rooms of the gateway that is started next, Cloudinary's first."""
    made: list[Room] = []

    def make(max_bytes: int) -> Room:
        made.append(Room(max_bytes))
        return made[-1]

    monkeypatch.setattr("gateway.app.Room", make)
    return made


@pytest.fixture
async def cloud(
    rooms: list[Room], store: FakeStore, scorer_address: str, tmp_path: Path
) -> AsyncIterator[CloudUnderTest]:
    assert rooms == []
    async with running_cloud(store.endpoint, scorer_address, tmp_path, **TABLES) as running:
        yield running


def fields_of(values: Mapping[str, str]) -> bytes:
    return "".join(f"{HEADER.format(name, '')}{value}\r\n" for name, value in values.items()).encode()


async def started(cloud: CloudUnderTest, body: bytes, hold: asyncio.Event) -> tuple[int, Any]:
    """Send a form whose end comes only when that is permitted."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body
        await hold.wait()
        yield b"\r\n--b--\r\n"

    return await cloud.post("raw/upload", pieces(), headers=MULTIPART)


async def test_all_strangers_together_have_their_room_and_the_others_as_much_as_they_like(
    cloud: CloudUnderTest, store: FakeStore, rooms: list[Room]
) -> None:
    hold, content = asyncio.Event(), b"x" * 40_000
    proven = fields_of(signed({"public_id": "first"})) + FILE + content
    stranger = FILE + content + b"\r\n" + fields_of(signed({"public_id": "last"})).removesuffix(b"\r\n")
    held = [asyncio.create_task(started(cloud, stranger, hold))]
    held += [asyncio.create_task(started(cloud, proven, hold)) for _ in range(3)]
    room = rooms[0]
    await until(lambda: room.taken > 40_000)
    status, reply = await cloud.post("raw/upload", FILE + content, headers=MULTIPART)
    assert (status, reply["error"]["message"][:16]) == (420, "Too many uploads")
    status, _ = await cloud.post("image/upload", b'{"file": "%s"}' % (b"x" * 30_000))
    assert status == 420
    assert (await cloud.post("raw/upload", form_of({"public_id": "b"}, content), headers=basic()))[0] == 200
    hold.set()
    assert [status for status, _ in await asyncio.gather(*held)] == [200] * 4
    assert set(store.objects) == {"/demo/first", "/demo/last", "/demo/b"}
    assert room.taken == 0


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({"api_key": "NOBODY"}, 401, "Unknown API key NOBODY"),
        ({"timestamp": "1000000000"}, 401, "Invalid Signature"),
        ({"timestamp": "soon"}, 400, "Invalid timestamp"),
    ],
)
async def test_what_nothing_behind_the_file_could_mend_is_refused_before_the_file_has_come(
    cloud: CloudUnderTest, changed: dict[str, str], status: int, told: str
) -> None:
    never, fields = asyncio.Event(), {**signed({}), **changed}
    body = fields_of(fields) + FILE + PICTURE
    if told == "Invalid Signature":  # a field behind the file might make it right
        never.set()
    async with asyncio.timeout(20):
        found, reply = await started(cloud, body, never)
    assert (found, reply["error"]["message"][: len(told)]) == (status, told)


async def test_a_stale_form_is_refused_before_its_file_has_come(cloud: CloudUnderTest) -> None:
    fields = {"timestamp": str(int(time.time()) - 3700)}
    body = fields_of({**fields, "signature": signature(fields), "api_key": KEY_ID}) + FILE + PICTURE
    async with asyncio.timeout(20):
        status, reply = await started(cloud, body, asyncio.Event())
    assert (status, reply["error"]["message"][:13]) == (400, "Stale request")


async def test_a_signature_before_the_file_may_cover_what_follows_it(cloud: CloudUnderTest, store: FakeStore) -> None:
    fields = signed({"public_id": "x"})
    form = aiohttp.FormData(quote_fields=False)
    for name in ("api_key", "timestamp", "signature"):
        form.add_field(name, fields[name])
    form.add_field("file", PICTURE, filename="a.jpg")
    form.add_field("public_id", "x")
    assert (await cloud.post("image/upload", form))[0] == 200
    assert set(store.objects) == {"/demo/x"}


async def test_sightengine_s_strangers_have_a_room_too(cloud: CloudUnderTest) -> None:
    key = {"models": "quality", "api_user": KEY_ID, "api_secret": SECRET.reveal()}
    url = cloud.gateway.raw_url("/1.0/check.json")
    large = picture(size=(1800, 1400))
    assert len(large) > 10 * ROOM["max_unproven_bytes"]  # so that it comes in several pieces
    statuses = []
    for first in (True, False):
        form = aiohttp.FormData(quote_fields=False)
        if not first:
            form.add_field("media", large, filename="a.jpg")
        for name, value in key.items():
            form.add_field(name, value)
        if first:
            form.add_field("media", large, filename="a.jpg")
        status, _, body = await cloud.gateway.request("POST", url, data=form)
        statuses.append((status, json.loads(body)["status"]))
    assert statuses == [(200, "success"), (429, "failure")]
    wrong = fields_of({**key, "api_secret": "wrong"}) + FILE.replace(b'"file"', b'"media"') + large

    async def pieces() -> AsyncIterator[bytes]:
        yield wrong
        await asyncio.Event().wait()

    async with asyncio.timeout(20):
        status, _, _ = await cloud.gateway.request("POST", url, data=pieces(), headers=MULTIPART)
    assert status == 401


def test_a_full_disk_is_told_as_such_and_leaves_nothing_taken() -> None:
    class Full(io.BytesIO):
        def write(self, _: Buffer, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    room = Room(100)
    shelf = Shelf(100, room)
    with pytest.raises(ApiError) as caught:
        shelf.add(Full(), b"123")
    assert caught.value.kind is DISK_FULL
    shelf.close()
    assert room.taken == 0


def test_what_is_given_back_can_be_taken_again() -> None:
    room = Room(10)
    room.take(10)
    room.give_back(10)
    room.take(10)
    assert room.taken == 10
