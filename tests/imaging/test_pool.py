from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gateway.errors import (
    IMAGE_DAMAGED,
    IMAGE_FILE_TOO_LARGE,
    IMAGE_TOO_LARGE,
    NOT_AN_IMAGE,
    SCORER_DIED,
    SCORERS_BUSY,
    SCORING_TOO_SLOW,
    UPSTREAM_BROKEN,
    ApiError,
)
from gateway.imaging.launch import heavy_address
from gateway.imaging.limits import Limits
from gateway.imaging.messages import Accepted, encode_answer
from gateway.imaging.pool import ScorerClient
from gateway.splice import SinkGoneError
from tests.imaging.bodies import Body
from tests.imaging.pictures import encode, from_array, photo_like, png_header, score

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gateway.errors import ErrorKind
    from gateway.report import QualityReport
    from tests.imaging.conftest import Scorers

PICTURE = encode(photo_like(900, 700), "JPEG", quality=95)


async def ask(
    scorers: Scorers, body: Body, *, declared: int | None = None, limits: Limits | None = None
) -> QualityReport:
    client = ScorerClient(scorers.address, limits or Limits())
    chunks: AsyncIterator[bytes] = aiter(body)
    return await client.score(chunks, declared_bytes=declared)


async def refusal(
    scorers: Scorers, body: Body, *, declared: int | None = None, limits: Limits | None = None
) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await ask(scorers, body, declared=declared, limits=limits)
    return caught.value


@pytest.fixture(autouse=True)
def no_descriptor_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    request.getfixturevalue("scorers")
    own = Path("/proc/self/fd")
    before = len(list(own.iterdir()))
    yield
    assert len(list(own.iterdir())) == before


@pytest.mark.parametrize("size", [1, 777, 16_384, 10**9])
async def test_the_score_is_identical_with_any_chunking(scorers: Scorers, size: int) -> None:
    scorers.start()
    data = encode(photo_like(300, 200), "JPEG")
    assert await ask(scorers, Body(data, size), declared=len(data)) == score(data)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {}), ("GIF", {}), ("JPEG", {"progressive": True})])
async def test_every_format_is_scored(scorers: Scorers, kind: str, options: dict[str, bool]) -> None:
    scorers.start()
    data = encode(photo_like(300, 200), kind, **options)
    assert await ask(scorers, Body(data)) == score(data)


async def test_every_stage_of_a_picture_is_told_once_with_its_times(scorers: Scorers) -> None:
    scorers.start()
    told: list[tuple[str, float, float]] = []
    client = ScorerClient(scorers.address, Limits(), lambda *stage: told.append(stage))
    await client.score(aiter(Body(PICTURE)), declared_bytes=None)
    with client.stage("render"):
        pass
    assert [name for name, _, _ in told] == ["header", "wait", "score", "decode", "model", "render"]
    times = {name: (began, ended) for name, began, ended in told}
    assert all(began <= ended for began, ended in times.values())
    assert times["wait"][1] == times["score"][0] <= times["decode"][0]
    assert times["model"][1] <= times["score"][1]


async def test_bytes_behind_the_picture_are_read_and_do_not_matter(scorers: Scorers) -> None:
    scorers.start()
    body = Body(PICTURE + bytes(3_000_000))
    assert await ask(scorers, body) == score(PICTURE)
    assert body.read == len(body.pieces)


async def test_a_score_does_not_count_when_the_body_breaks_after_the_last_pixel(scorers: Scorers) -> None:
    scorers.start()
    with pytest.raises(ConnectionResetError):
        await ask(scorers, Body(PICTURE + bytes(3_000_000), end=ConnectionResetError()))


class Rest:
    """What is behind the picture, moved `given` bytes far when the scorer goes; `lost` more are in a pipe by then."""

    def __init__(self, count: int, given: int, lost: int) -> None:
        self.left, self.given, self.lost = count, given, lost
        self.poured: list[int] = []

    def at_hand(self) -> bytes:
        return b""

    def claim_rest(self) -> int:
        return self.left

    async def pour(self, count: int, sink: int, moved: Callable[[int], None], /) -> None:
        assert count == self.left
        self.poured.append(count)
        if len(self.poured) == 1:
            os.write(sink, bytes(self.given))
            moved(self.given)
            self.left -= self.given + self.lost
            raise SinkGoneError(self.left)
        moved(count)


@pytest.mark.parametrize("lost", [0, 1000, 9000], ids=["nothing", "something", "all that was left"])
async def test_what_a_scorer_does_not_want_is_read_to_its_end_all_the_same(scorers: Scorers, lost: int) -> None:
    scorers.start()
    rest = Rest(10_000, 1000, lost)
    client = ScorerClient(scorers.address, Limits())
    body = aiter(Body(PICTURE, len(PICTURE)))
    assert await client.score(body, declared_bytes=len(PICTURE) + 10_000, rest=rest) == score(PICTURE)
    assert rest.poured == [10_000, 9000 - lost], "even of nothing: only so its end is noticed"


@pytest.mark.parametrize("difference", [-1, 1, 5000])
async def test_a_body_of_another_length_than_declared_is_broken(scorers: Scorers, difference: int) -> None:
    scorers.start()
    assert (await refusal(scorers, Body(PICTURE), declared=len(PICTURE) + difference)).kind is UPSTREAM_BROKEN


@pytest.mark.parametrize(
    ("data", "limits", "kind"),
    [
        (PICTURE, Limits(max_bytes=1000), IMAGE_FILE_TOO_LARGE),
        (PICTURE, Limits(max_pixels=1000), IMAGE_TOO_LARGE),
        (png_header(60_000, 60_000) + bytes(999), Limits(), IMAGE_TOO_LARGE),
        (png_header(9_000, 9_000, interlace=1) + bytes(999), Limits(), IMAGE_TOO_LARGE),
        (b"plain text, no picture", Limits(), NOT_AN_IMAGE),
        (PICTURE[:100], Limits(), IMAGE_DAMAGED),
    ],
)
async def test_what_its_header_decides_never_reaches_a_scorer(
    scorers: Scorers, data: bytes, limits: Limits, kind: ErrorKind
) -> None:
    body = Body(data + bytes(1_000_000) if kind is IMAGE_TOO_LARGE else data, 1000)
    assert (await refusal(scorers, body, limits=limits)).kind is kind
    assert body.read < 100


async def test_a_declared_length_over_the_limit_is_refused_before_the_first_byte(scorers: Scorers) -> None:
    body = Body(PICTURE)
    error = await refusal(scorers, body, declared=5000, limits=Limits(max_bytes=4999))
    assert (error.kind, body.read) == (IMAGE_FILE_TOO_LARGE, 0)
    assert "5,000" in error.message
    assert "4,999" in error.message


async def test_a_damaged_picture_stops_the_download(scorers: Scorers) -> None:
    scorers.start()
    noise = np.random.default_rng(1).uniform(0, 255, (400, 500, 3))
    broken = bytearray(encode(from_array(noise), "PNG"))
    broken[2000:2100] = bytes(100)
    body = Body(bytes(broken), end=asyncio.Event())
    error = await asyncio.wait_for(refusal(scorers, body, limits=Limits(deadline_s=60)), 50)
    assert error.kind is IMAGE_DAMAGED


async def test_a_full_queue_is_busy_at_once(scorers: Scorers) -> None:
    waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    for each in waiting:
        each.connect(scorers.address)
    error = await asyncio.wait_for(refusal(scorers, Body(PICTURE)), 10)
    assert error.kind is SCORERS_BUSY
    for each in waiting:
        each.close()


async def test_a_full_queue_of_heavy_pictures_leaves_the_others_alone(scorers: Scorers) -> None:
    scorers.start(heavy=False)
    waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    for each in waiting:
        each.connect(heavy_address(scorers.address))
    heavy = Body(png_header(2001, 2000, interlace=1), end=asyncio.Event())
    light = encode(photo_like(300, 200), "PNG")
    for small in (light, encode(photo_like(300, 200), "WEBP")):
        assert await ask(scorers, Body(small)) == score(small)
    error = await asyncio.wait_for(refusal(scorers, heavy), 10)
    assert (error.kind, error.kind.status, error.kind.retry_after_s > 0) == (SCORERS_BUSY, 503, True)
    for each in waiting:
        each.close()


async def test_a_picture_that_takes_too_much_memory_is_too_large_and_the_message_names_the_limit(
    scorers: Scorers,
) -> None:
    process = scorers.start()
    data = encode(Image.new("RGB", (5000, 4000)), "JPEG", progressive=True, subsampling=0)
    error = await refusal(scorers, Body(data), limits=Limits(max_memory_bytes=70_000_000))
    assert error.kind is IMAGE_TOO_LARGE
    assert "70,000,000 bytes" in error.message
    assert await asyncio.to_thread(process.wait, 30) == 0
    scorers.start()
    assert await ask(scorers, Body(data), limits=Limits(max_memory_bytes=300_000_000)) == score(data)


CLIENT = """
import asyncio, sys
from gateway.errors import ApiError
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient

async def chunks():
    yield sys.stdin.buffer.read()

async def main():
    try:
        report = await ScorerClient(sys.argv[1], Limits()).score(chunks(), declared_bytes=None)
        print(report.score)
    except ApiError as error:
        print(error.kind.status, error.kind.retry_after_s)

asyncio.run(main())
"""


async def test_all_gateway_processes_share_one_bounded_queue(scorers: Scorers) -> None:
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", CLIENT, scorers.address, stdin=-1, stdout=-1)
        for _ in range(6)
    ]
    asking = [asyncio.create_task(process.communicate(PICTURE)) for process in processes]
    # Three find a place (a backlog of 2 holds 3), three do not and are told so while no scorer runs.
    while len(refused := [task for task in asking if task.done()]) < 3:
        await asyncio.wait(set(asking) - set(refused), return_when=asyncio.FIRST_COMPLETED)
    assert [task.result()[0] for task in refused] == [b"503 1\n"] * 3
    scorers.start()
    answers = [(await task)[0].strip() for task in asking if task not in refused]
    assert answers == [str(score(PICTURE).score).encode()] * 3


async def test_a_job_that_no_scorer_takes_up_in_time_is_busy(scorers: Scorers) -> None:
    assert (await refusal(scorers, Body(PICTURE), limits=Limits(deadline_s=0.2))).kind is SCORERS_BUSY


async def test_the_pictures_that_wait_and_those_that_are_scored_are_told_apart(scorers: Scorers) -> None:
    client, endless = ScorerClient(scorers.address, Limits()), Body(PICTURE, end=asyncio.Event())
    chunks: AsyncIterator[bytes] = aiter(endless)
    asking = asyncio.create_task(client.score(chunks, declared_bytes=None))
    async with asyncio.timeout(30):
        while client.jobs != (1, 0):  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0.01)
        scorers.start()
        while client.jobs != (0, 1):  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert client.jobs == (0, 0)


async def test_without_a_listener_the_scorer_has_died(scorers: Scorers) -> None:
    scorers.address += "-gone"
    assert (await refusal(scorers, Body(PICTURE))).kind is SCORER_DIED


async def test_a_slow_scorer_is_too_slow_and_the_message_names_the_limit(scorers: Scorers) -> None:
    asking = asyncio.create_task(refusal(scorers, Body(PICTURE), limits=Limits(deadline_s=0.5)))
    connection = await asyncio.to_thread(lambda: scorers.listener.accept()[0])
    connection.send(encode_answer(Accepted(1)))
    error = await asking
    connection.close()
    assert error.kind is SCORING_TOO_SLOW
    assert "0.5 seconds" in error.message


@pytest.mark.parametrize("length", [100, len(PICTURE) // 2, len(PICTURE)])
async def test_a_download_slower_than_the_deadline_is_too_slow(scorers: Scorers, length: int) -> None:
    scorers.start()
    await ask(scorers, Body(PICTURE))
    body = Body(PICTURE[:length], end=asyncio.Event())
    assert (await refusal(scorers, body, limits=Limits(deadline_s=0.7))).kind is SCORING_TOO_SLOW
    assert await ask(scorers, Body(PICTURE)) == score(PICTURE)


async def test_a_crash_costs_only_its_own_request(scorers: Scorers) -> None:
    process = scorers.start()
    await ask(scorers, Body(PICTURE))
    body = Body(PICTURE[:20_000], end=asyncio.Event())
    crashing = asyncio.create_task(refusal(scorers, body))
    await asyncio.sleep(0.3)
    assert body.read == len(body.pieces)
    process.send_signal(signal.SIGKILL)
    assert (await asyncio.wait_for(crashing, 20)).kind is SCORER_DIED
    following = asyncio.create_task(ask(scorers, Body(PICTURE)))
    scorers.start()
    assert await following == score(PICTURE)


async def test_a_cancelled_request_leaves_nothing_behind(scorers: Scorers) -> None:
    scorers.start()
    await ask(scorers, Body(PICTURE))
    body = Body(PICTURE[:20_000], end=asyncio.Event())
    asking = asyncio.create_task(ask(scorers, body))
    await asyncio.sleep(0.2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await ask(scorers, Body(PICTURE)) == score(PICTURE)


async def test_many_requests_share_the_scorers(scorers: Scorers) -> None:
    scorers.listener.listen(32)
    scorers.start(2)
    reports = await asyncio.gather(*(ask(scorers, Body(PICTURE)) for _ in range(12)))
    assert reports == [score(PICTURE)] * 12
