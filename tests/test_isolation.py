"""What a picture may cost others, through the real supervisor: nothing but time."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from gateway.errors import IMAGE_TOO_LARGE, SCORER_DIED, SCORING_TOO_SLOW, ApiError
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from gateway.report import QualityReport
from tests.harness import running_gateway
from tests.imaging.bodies import Body
from tests.imaging.hostile import scan_bomb
from tests.imaging.pictures import encode, photo_like, png_header, score
from tests.proc import eventually, open_descriptors
from tests.served import serving
from tests.supervised import Supervised, supervised

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fake_store import FakeStore

PICTURE = encode(photo_like(900, 700), "JPEG", quality=95)
SCORE = "x-oss-process=image%2Fscore"
Result = QualityReport | ApiError


async def ask(address: str, body: Body, limits: Limits | None = None) -> Result:
    try:
        return await ScorerClient(address, limits or Limits()).score(aiter(body), declared_bytes=None)
    except ApiError as error:
        return error


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, condition)


async def work_in_both(scorers: Supervised, pause: asyncio.Event) -> list[asyncio.Task[Result]]:
    """Give each of two scorers a picture whose last bytes do not come before `pause` is set."""
    idle = {pid: open_descriptors(pid) for pid in scorers.scorers()}
    tasks = [asyncio.create_task(ask(scorers.address, Body(PICTURE, pause=pause))) for _ in idle]
    await until(lambda: all(open_descriptors(pid) > count for pid, count in idle.items()))
    return tasks


async def warm_up(scorers: Supervised) -> None:
    """Let every scorer do some work, so that its descriptors are those of an idle one."""
    for pid in scorers.scorers():
        others = scorers.scorers() - {pid}
        for other in others:
            os.kill(other, signal.SIGSTOP)
        assert isinstance(await ask(scorers.address, Body(PICTURE)), QualityReport)
        for other in others:
            os.kill(other, signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_killed_scorer_costs_exactly_its_own_request(number: signal.Signals) -> None:
    with supervised(2) as scorers:
        await warm_up(scorers)
        before, pause = scorers.scorers(), asyncio.Event()
        working = await work_in_both(scorers, pause)
        queued = [asyncio.create_task(ask(scorers.address, Body(PICTURE))) for _ in range(6)]
        os.kill(min(before), number)
        done, (survivor,) = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        (error,) = (task.result() for task in done)
        assert isinstance(error, ApiError)
        assert error.kind is SCORER_DIED
        pause.set()
        expected = score(PICTURE)
        assert await asyncio.gather(survivor, *queued) == [expected] * 7
        eventually(scorers.is_complete)
        assert scorers.scorers() & before == before - {min(before)}


async def test_a_picture_that_takes_too_much_memory_costs_exactly_its_own_request() -> None:
    hog = encode(Image.new("RGB", (5000, 4000)), "JPEG", progressive=True, subsampling=0)
    with supervised(2) as scorers:
        await warm_up(scorers)
        before, pause = scorers.scorers(), asyncio.Event()
        other = asyncio.create_task(ask(scorers.address, Body(PICTURE, pause=pause)))
        error = await ask(scorers.address, Body(hog), Limits(max_memory_bytes=80_000_000))
        assert isinstance(error, ApiError)
        assert (error.kind, "80,000,000 bytes" in error.message) == (IMAGE_TOO_LARGE, True)
        pause.set()
        assert await other == score(PICTURE)
        eventually(lambda: scorers.is_complete() and scorers.scorers() != before)
        assert len(scorers.scorers() & before) == 1
        assert await ask(scorers.address, Body(hog)) == score(hog)


async def test_a_picture_that_takes_too_long_costs_its_own_request_and_the_scorer_is_replaced() -> None:
    with supervised(1) as scorers:
        (overrun,) = scorers.scorers()
        error = await ask(scorers.address, Body(scan_bomb(6000, 6000, 30_000)), Limits(deadline_s=1.5))
        assert isinstance(error, ApiError)
        assert (error.kind, "1.5 seconds" in error.message) == (SCORING_TOO_SLOW, True)
        assert await ask(scorers.address, Body(PICTURE)) == score(PICTURE)
        assert scorers.scorers() != {overrun}


async def test_no_picture_is_lost_while_scorers_are_replaced() -> None:
    with supervised(2, scorer_max_jobs=3) as scorers:
        before = scorers.scorers()
        results = await asyncio.gather(*(ask(scorers.address, Body(PICTURE)) for _ in range(30)))
        assert results == [score(PICTURE)] * 30
        eventually(scorers.is_complete)
        assert not scorers.scorers() & before


async def test_heavy_pictures_never_keep_all_scorers_busy() -> None:
    with supervised(2, scorer_queue=8) as scorers:
        pause = asyncio.Event()
        bodies = [Body(png_header(3000, 2000, interlace=1) + bytes(9), 1, pause=pause) for _ in range(4)]
        heavy = [asyncio.create_task(ask(scorers.address, body)) for body in bodies]
        await until(lambda: all(body.read == len(body.pieces) - 1 for body in bodies))
        for _ in range(3):
            assert await ask(scorers.address, Body(PICTURE)) == score(PICTURE)
        assert not any(task.done() for task in heavy)
        for task in heavy:
            task.cancel()
        await asyncio.wait(heavy)


async def test_a_single_scorer_takes_pictures_of_both_kinds() -> None:
    heavy = encode(Image.new("RGB", (2100, 2000)), "PNG", compress_level=1)
    webp = encode(Image.new("RGB", (2100, 2000)), "WEBP", quality=50, method=0)
    with supervised(1) as scorers:
        bodies = [Body(data) for data in (PICTURE, webp, heavy, PICTURE, webp)]
        results = await asyncio.gather(*(ask(scorers.address, body) for body in bodies))
    assert all(isinstance(result, QualityReport) for result in results)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 90}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {"quality": 70})],
)
async def test_the_same_bytes_give_the_identical_score_in_every_scorer_with_any_chunking(
    kind: str, options: dict[str, int]
) -> None:
    data = encode(photo_like(1000, 800), kind, **options)
    dice = random.Random(f"{kind} {options}")  # noqa: S311 # not a secret
    expected = score(data)
    with supervised(2) as scorers:
        for pid in scorers.scorers():
            os.kill(pid, signal.SIGSTOP)
            for _ in range(50):
                size = int(2 ** dice.uniform(8, 22))
                assert await ask(scorers.address, Body(data, size)) == expected
            os.kill(pid, signal.SIGCONT)


async def test_the_service_answers_a_killed_scorers_request_with_an_error_and_all_others_with_a_score(
    tmp_path: Path, store: FakeStore
) -> None:
    store.objects |= {"/demo/slow.jpg": PICTURE, "/demo/a.jpg": PICTURE}
    store.faults["/demo/slow.jpg"] = "stall"
    gateway = serving(tmp_path, store.endpoint)
    served = await asyncio.to_thread(gateway.__enter__)
    try:

        async def status(path: str) -> int:
            return (await asyncio.to_thread(served.place.request, "GET", path, query=SCORE))[0]

        assert await status("/demo/a.jpg") == 200
        (scorer,) = served.scorer_pids()
        idle = open_descriptors(scorer)
        slow = asyncio.create_task(status("/demo/slow.jpg"))
        await until(lambda: open_descriptors(scorer) > idle)
        queued = [asyncio.create_task(status("/demo/a.jpg")) for _ in range(5)]
        await asyncio.sleep(0.2)
        os.kill(scorer, signal.SIGSEGV)
        assert (await slow, await asyncio.gather(*queued)) == (500, [200] * 5)
    finally:
        await asyncio.to_thread(gateway.__exit__, None, None, None)


HEAD = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n'
CHUNKED = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n'


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (HEAD % len(PICTURE) + PICTURE, 200),
        (HEAD % (len(PICTURE) + 9) + PICTURE, 502),
        (HEAD % len(PICTURE) + PICTURE[:-1], 502),
        (HEAD % len(PICTURE) + PICTURE + HEAD % 3 + b"bad", 200),
        (CHUNKED % (len(PICTURE), PICTURE) + b"0\r\n\r\n", 200),
        (CHUNKED % (len(PICTURE), PICTURE), 502),
    ],
    ids=["whole", "more promised", "one byte less", "more sent", "chunked", "chunked without an end"],
)
async def test_a_score_counts_only_when_the_store_has_sent_the_whole_body(
    scorer_address: str, answer: bytes, status: int
) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, running_gateway(f"http://{host}:{port}", scorer_address) as gateway:
        for _ in range(2):
            assert (await gateway.get(gateway.s3_url("/demo/a.jpg", SCORE)))[0] == status


async def test_a_full_queue_is_a_503_that_says_when_to_come_back(tmp_path: Path, store: FakeStore) -> None:
    store.objects["/demo/a.jpg"] = PICTURE
    address = str(tmp_path / "jobs")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as jobs, ExitStack() as waiting:
        jobs.bind(address)
        jobs.listen(0)
        waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)).connect(address)
        async with running_gateway(store.endpoint, address) as gateway:
            for query, code in ((SCORE, b"ServiceUnavailable"), ("ci-process=AssessQuality", b"SlowDown")):
                status, headers, body = await gateway.get(gateway.s3_url("/demo/a.jpg", query))
                assert (status, headers["Retry-After"], code in body) == (503, "1", True)
