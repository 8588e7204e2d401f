"""Everything at once on a real store: whole and partial downloads, clients that go, uploads, scores of fresh pictures.

Each answer is compared with what was stored. A few seconds in CI; `make soak` takes minutes.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest
from yarl import URL

from gateway.errors import SCORERS_BUSY
from tests.digests import md5
from tests.imaging.pictures import encode, photo_like
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.served import Place
    from tests.stores_up.fixtures import Live

SECONDS = float(os.environ.get("SOAK_SECONDS", "4"))
CLIENTS = 24
SCORE = "x-oss-process=image%2Fscore"
pytestmark = [pytest.mark.store, pytest.mark.timeout(SECONDS + 120)]
# Below and above what is spliced, and what is not a whole number of anything.
SIZES = (0, 1, 10_240, 65_836, 300_000, 2**20, 5 * 2**20 + 7)
OBJECTS = {f"soak/{size}": random.Random(size).randbytes(size) for size in SIZES}  # noqa: S311 # bytes, not secrets
PICTURES = {
    "whole": encode(photo_like(900, 700), "JPEG", quality=95),
    "progressive": encode(photo_like(800, 600), "JPEG", progressive=True),
    "png": encode(photo_like(400, 300), "PNG"),
}


@dataclass
class Soak:
    """What the clients share: where they ask, what they did, the score that each picture had at first."""

    place: Place
    session: aiohttp.ClientSession
    done: Counter[str] = field(default_factory=Counter)
    scores: dict[str, bytes] = field(default_factory=dict)

    def url(self, method: str, key: str, query: str = "") -> URL:
        path = f"/{BUCKET}/{key}"
        return URL(f"http://{self.place.authority}{path}?{self.place.presigned(method, path, query)}", encoded=True)

    async def get(
        self, key: str, query: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self.session.get(self.url("GET", key, query), headers=headers) as answer:
            return answer.status, answer.headers.copy(), await answer.read()

    async def put(self, key: str, body: bytes) -> None:
        async with self.session.put(self.url("PUT", key), data=io.BytesIO(body)) as answer:
            assert answer.status == 200, await answer.text()

    async def put_picture(self, dice: random.Random) -> tuple[str, str]:
        """Upload one of the pictures under a new key; return its name and that key."""
        name, key = dice.choice([*PICTURES]), f"soak/{dice.getrandbits(64)}.jpg"
        await self.put(key, PICTURES[name])
        return name, key


async def downloads(soak: Soak, dice: random.Random) -> None:
    key = dice.choice([*OBJECTS])
    status, _, body = await soak.get(key)
    assert (status, body == OBJECTS[key]) == (200, True)


async def reads_a_range(soak: Soak, dice: random.Random) -> None:
    key = dice.choice([key for key in OBJECTS if OBJECTS[key]])
    first = dice.randrange(len(OBJECTS[key]))
    last = dice.randrange(first, len(OBJECTS[key]))
    status, _, body = await soak.get(key, headers={"Range": f"bytes={first}-{last}"})
    assert (status, body == OBJECTS[key][first : last + 1]) == (206, True)


async def goes_away(soak: Soak, dice: random.Random) -> None:
    answer = await soak.session.get(soak.url("GET", dice.choice([*OBJECTS])))
    await answer.content.read(dice.randrange(1, 5000))
    answer.close()
    assert answer.status == 200


async def asks_for_headers(soak: Soak, dice: random.Random) -> None:
    key = dice.choice([*OBJECTS])
    async with soak.session.head(soak.url("HEAD", key)) as answer:
        assert (answer.status, int(answer.headers["Content-Length"])) == (200, len(OBJECTS[key]))


async def has_it_already(soak: Soak, dice: random.Random) -> None:
    key = dice.choice([*OBJECTS])
    status, _, body = await soak.get(key, headers={"If-None-Match": f'"{md5(OBJECTS[key])}"'})
    assert (status, body) == (304, b"")


async def misses(soak: Soak, _dice: random.Random) -> None:
    status, _, body = await soak.get("soak/none")
    assert (status, b"<Code>NoSuchKey</Code>" in body) == (404, True)


async def uploads(soak: Soak, dice: random.Random) -> None:
    key, body = f"soak/{dice.getrandbits(64)}", dice.randbytes(dice.choice((0, 70_000)))
    await soak.put(key, body)
    assert (await soak.get(key))[::2] == (200, body)


async def scores(soak: Soak, dice: random.Random) -> None:
    name, key = await soak.put_picture(dice)
    status, _, body = await soak.get(key, SCORE)
    if status == SCORERS_BUSY.status and SCORERS_BUSY.code_for("oss").encode() in body:
        return  # its queue is bounded
    assert status == 200, body
    found = body.partition(b',"RequestId"')[0]
    assert found == soak.scores.setdefault(name, found)


async def tires_of_a_score(soak: Soak, dice: random.Random) -> None:
    _, key = await soak.put_picture(dice)
    with suppress(TimeoutError):
        async with asyncio.timeout(dice.random() * 0.1):
            await soak.get(key, SCORE)


OFTEN: tuple[Callable[[Soak, random.Random], Awaitable[None]], ...] = (downloads, reads_a_range, goes_away)
RARELY = (asks_for_headers, has_it_already, misses, uploads, scores, tires_of_a_score)


async def client(soak: Soak, number: int, until_s: float) -> None:
    dice = random.Random(number)  # noqa: S311 # a choice, not a secret
    while time.monotonic() < until_s:
        operation = dice.choice((*OFTEN, *OFTEN, *RARELY))
        await operation(soak, dice)
        soak.done[operation.__name__] += 1


async def test_every_answer_is_right_under_everything_at_once(live: Live) -> None:
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)) as session:
        soak = Soak(live.gateway.place, session)
        for key, body in OBJECTS.items():
            await soak.put(key, body)
        until_s = time.monotonic() + SECONDS
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(client(soak, number, until_s))
    assert {operation.__name__ for operation in (*OFTEN, *RARELY)} == soak.done.keys()
