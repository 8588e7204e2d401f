"""Broken requests to Cloudinary's API get the vendor's refusals, never a failure of ours, and store nothing."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

from tests.journeys.clouds import CloudUnderTest, basic, picture, running_cloud, signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_store import FakeStore

REQUESTS = int(os.environ.get("MUTATED_REQUESTS", "150"))
STATUSES = {200, 400, 401, 403, 404, 420}
SPLINTERS = (b"\x00", b"\xff", b"\r\n", b"--b", b'"', b"%", b"{", b"\\ud800", b"[]", b"&", b"=", b"9" * 30, b"")


def form_body() -> bytes:
    fields = signed({"public_id": "x", "context": "k=v", "tags": "a", "quality_analysis": "1"})
    part = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    text = "".join(part.format(name, "") + value + "\r\n" for name, value in fields.items())
    return (text + part.format("file", '; filename="a.jpg"')).encode() + picture() + b"\r\n--b--\r\n"


TARGETS = {
    "POST image/upload": ("multipart/form-data; boundary=b", form_body()),
    "POST image/explicit": ("application/x-www-form-urlencoded", b"public_id=x&type=upload&timestamp=1&signature=2"),
    "POST resources/image/upload/x": ("application/json", b'{"tags": ["a"], "context": "k=v", "detection": "iqa"}'),
    "POST resources/search": (
        "application/json",
        b'{"expression": "width>1 AND (tags=a OR bytes<5)", "sort_by": [{"width": "asc"}], "next_cursor": "WzFd"}',
    ),
    "GET resources/image/upload?prefix=a&next_cursor=YQ&max_results=3": ("", b""),
    "DELETE resources/image/upload?public_ids[]=a&public_ids[]=b": ("", b""),
}


def broken(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        data = data[:at] + chance.choice(SPLINTERS) + data[at + chance.randint(0, 12) :]
    return data


async def ask(cloud: CloudUnderTest, target: str, chance: random.Random) -> int:
    method, _, path = target.partition(" ")
    content_type, body = TARGETS[target]
    headers = {"Content-Type": content_type} if content_type else {}
    if "multipart" in content_type:
        headers |= {"X-Unique-Upload-Id": "u", "Content-Range": "bytes 0-9/20"} if chance.random() < 0.3 else {}
    else:
        headers |= basic()
    path = path if body else broken(path.encode(), chance).decode("latin-1")
    printable = "".join(letter if "!" <= letter <= "~" and letter not in '#"' else "%ff" for letter in path)
    url = cloud.gateway.raw_url(f"/v1_1/demo/{printable}")
    data = broken(body, chance) if body else None
    status, _, answer = await cloud.gateway.request(method, url, headers=headers, data=data)
    assert isinstance(json.loads(answer), dict), (target, answer)
    return status


async def test_whatever_is_broken_the_answer_is_the_vendors(
    store: FakeStore, scorer_address: str, tmp_path: Path
) -> None:
    chance = random.Random(6)  # noqa: S311 # the same each time
    async with running_cloud(store.endpoint, scorer_address, tmp_path) as cloud:
        for number in range(REQUESTS):
            target = chance.choice(sorted(TARGETS))
            status = await ask(cloud, target, chance)
            assert status in STATUSES, (number, target, status)
    assert set(store.objects) <= {"/demo/x"}
