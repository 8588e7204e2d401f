"""Hostile files: each is answered in words, in time and cheaply, and leaves nothing behind.

HOSTILE_FILES is how many of them come in a row (`make hostile`: 1,000).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gateway.errors import (
    IMAGE_DAMAGED,
    IMAGE_FILE_TOO_LARGE,
    IMAGE_SIDE_TOO_LONG,
    IMAGE_TOO_LARGE,
    NOT_AN_IMAGE,
    SCORING_TOO_SLOW,
    ApiError,
)
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from gateway.report import QualityReport
from tests.imaging import hostile
from tests.imaging.bodies import Body
from tests.imaging.fuzz import mutant
from tests.imaging.hostile import PIECE_BYTES, Hostile
from tests.imaging.pictures import encode, photo_like, score
from tests.proc import eventually, open_descriptors, resident_bytes
from tests.served import Served, serving
from tests.supervised import Supervised, supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fake_store import FakeStore

FILES = int(os.environ.get("HOSTILE_FILES", "150"))
LIMITS = Limits(max_bytes=16 * 2**20)
REFUSALS = (NOT_AN_IMAGE, IMAGE_DAMAGED, IMAGE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_FILE_TOO_LARGE, SCORING_TOO_SLOW)
KEPT_BYTES = 2 * 32 * 2**20  # glibc may keep blocks of up to 32 MiB, for the main thread and for the decoder's
GOOD = encode(photo_like(900, 700), "JPEG", quality=95)
GROUPS = (
    hostile.no_pictures,
    hostile.bombs,
    hostile.liars,
    hostile.endless,
    hostile.animations,
    hostile.jpegs,
    hostile.pngs,
    hostile.webps,
    hostile.gifs,
)


@pytest.fixture(scope="module")
def scorers() -> Iterator[Supervised]:
    with supervised(2, scorer_max_jobs=0) as running:
        yield running


@dataclass(frozen=True)
class Outcome:
    """What came of one file."""

    answer: QualityReport | ApiError
    read_bytes: int


async def meet(scorers: Supervised, file: Hostile, limits: Limits = LIMITS) -> Outcome:
    body = Body(file.data, PIECE_BYTES, file.endless or None)
    client = ScorerClient(scorers.address, limits)
    async with asyncio.timeout(limits.deadline_s + 5):
        try:
            return Outcome(await client.score(aiter(body), declared_bytes=None), body.read_bytes)
        except ApiError as error:
            return Outcome(error, body.read_bytes)


def complaints(file: Hostile, outcome: Outcome) -> Iterator[str]:
    """What is wrong with the answer."""
    answer = outcome.answer
    if isinstance(answer, QualityReport):
        if file.kind is not None:
            yield "it was scored"
        if not 0 <= answer.score <= 1:
            yield f"its score is {answer.score}"
    else:
        if answer.kind not in ((file.kind,) if file.kind else REFUSALS):
            yield f"it was refused as {answer}"
        if not re.fullmatch(r"The (image|object|file) .*\.|Reading and scoring the image .*\.", answer.message):
            yield f"{answer.message!r} is no sentence about it"
        yield from (f"{words!r} is not in {answer.message!r}" for words in file.words if words not in answer.message)
    if outcome.read_bytes > file.read_bytes:
        yield f"{outcome.read_bytes:,} bytes were read"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
async def test_a_hostile_file_is_answered_in_words_and_from_as_few_bytes_as_it_takes(
    scorers: Supervised, group: Callable[[], Iterator[Hostile]]
) -> None:
    found = [f"{file.name}: {text}" for file in group() for text in complaints(file, await meet(scorers, file))]
    assert found == []


def in_a_row(count: int) -> Iterator[Hostile]:
    """Files of every kind, and random damage, which is never the same."""
    files = list(hostile.catalogue())
    damaged = (Hostile(f"mutant {number}", mutant(number)) for number in itertools.count())
    mixed = itertools.chain.from_iterable(zip(itertools.cycle(files), damaged, strict=False))
    return itertools.islice(mixed, count)


def descriptors(scorers: Supervised) -> list[int]:
    """Count when the scorers wait: an answer is sent before the descriptors of its job are closed."""
    counts = []
    for _ in range(25):
        counts.append(sorted(open_descriptors(pid) for pid in scorers.scorers()))
        time.sleep(0.02)
    return min(counts)


def resident(scorers: Supervised) -> int:
    return max(resident_bytes(pid) for pid in scorers.scorers())


@pytest.mark.timeout(1200)
async def test_hostile_files_in_a_row_leave_scorers_descriptors_and_memory_as_they_were(scorers: Supervised) -> None:
    for file in in_a_row(2 * len(list(hostile.catalogue()))):
        await meet(scorers, file)
    eventually(scorers.is_complete)
    before = descriptors(scorers), open_descriptors(os.getpid())
    memory = resident(scorers)
    found = [text for file in in_a_row(FILES) for text in complaints(file, await meet(scorers, file))]
    assert found == []
    eventually(scorers.is_complete)
    assert (descriptors(scorers), open_descriptors(os.getpid())) == before
    assert resident(scorers) < memory + KEPT_BYTES
    assert (await meet(scorers, Hostile("a good one", GOOD))).answer == score(GOOD)


@pytest.mark.timeout(1200)
async def test_hostile_files_in_a_row_leave_the_service_healthy(tmp_path: Path, store: FakeStore) -> None:
    files = [file for file in in_a_row(FILES // 2) if not file.endless]
    gateway = serving(tmp_path, store.endpoint, more_settings="[limits]\nmax_bytes = 16_777_216\n")
    served = await asyncio.to_thread(gateway.__enter__)
    try:
        long = Hostile("a long one, for which a pipe is made and kept", GOOD + bytes(2**20))
        await answers(served, store, [*files[:40], long])
        (pid,) = served.gateway_pids()
        before, memory = open_descriptors(pid), resident_bytes(pid)
        statuses = await answers(served, store, files)
        assert set(statuses) == {200, 400}
        assert await answers(served, store, [Hostile("a good one", GOOD)]) == [200]
        await asyncio.to_thread(eventually, lambda: open_descriptors(pid) <= before)
        assert resident_bytes(pid) < memory + 2 * hostile.HEADER_BYTES, "the headers of two files at most"
        assert (served.gateway_pids(), len(served.scorer_pids())) == ({pid}, 1)
    finally:
        await asyncio.to_thread(gateway.__exit__, None, None, None)


async def answers(served: Served, store: FakeStore, files: list[Hostile]) -> list[int]:
    """Ask for the score of each file, in turn as either vendor's client; return the statuses."""
    statuses = []
    for file, query in zip(files, itertools.cycle(("x-oss-process=image%2Fscore", "ci-process=AssessQuality"))):
        store.objects["/demo/file"] = file.data
        status, _, body = await asyncio.to_thread(served.place.request, "GET", "/demo/file", query=query)
        assert status == 200 or b"<Message>" in body, file.name
        statuses.append(status)
    return statuses
