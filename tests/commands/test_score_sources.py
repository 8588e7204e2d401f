from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from gateway.commands import score
from gateway.commands.score import _one, _Progress, _scored
from gateway.commands.score_output import Scored
from gateway.commands.score_sources import Source, local_files, sources
from gateway.errors import NOT_AN_IMAGE, SCORERS_BUSY, ApiError
from gateway.settings import load
from tests.imaging.pictures import encode, photo_like
from tests.imaging.pictures import score as scored_alone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.imaging.pool import ScorerClient

REPORT = scored_alone(encode(photo_like(90, 80), "PNG"))


def names(folder: Path, *paths: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in local_files(paths or [str(folder)])]


def test_folders_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/10.jpg", "b.jpg", "a.JPEG", "B/x.png", "b/c/d/e.webp", "b/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = names(tmp_path)
    assert found == ["B/x.png", "a.JPEG", "b/.hidden.jpg", "b/10.jpg", "b/2.jpg", "b/c/d/e.webp", "b.jpg"]
    assert names(tmp_path, str(tmp_path / "b.jpg"), str(tmp_path / "B")) == ["b.jpg", "B/x.png"]


def test_a_link_to_a_folder_is_not_followed_unless_it_is_what_was_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").touch()
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "file.jpg").symlink_to(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert names(tmp_path, str(tmp_path / "link")) == ["link/a.jpg", "link/file.jpg"]


def test_what_is_no_regular_file_is_not_opened_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert names(tmp_path) == []


async def test_a_folder_that_cannot_be_listed_is_a_failure_and_not_a_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "z.jpg").touch()
    listed = type(tmp_path).iterdir

    def iterdir(place: Path) -> object:
        if place.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(place)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    settings = load(None, {}, {"upstream": {"unused": {"endpoint": "http://-"}}})
    async with AsyncExitStack() as stack:
        found = [source async for source in sources([str(tmp_path)], settings, stack)]
    assert [source.path for source in found] == [str(tmp_path / "locked"), str(tmp_path / "z.jpg")]
    with pytest.raises(OSError, match="directory"):
        async with found[0].open():
            pass


# --- the order and the pace of the work -----------------------------------------------------------------------------


class Scorer:
    """Stands for the scorers: takes the time and gives the answers that it is told to."""

    def __init__(self, *answers: ApiError | float) -> None:
        self.answers = list(answers)
        self.at_once = self.most_at_once = 0

    async def score(self, chunks: AsyncIterator[bytes], **_options: object) -> object:
        answer = self.answers.pop(0) if self.answers else 0.0
        if isinstance(answer, ApiError):
            raise answer
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(answer)
        self.at_once -= 1
        async for _ in chunks:
            pass
        return REPORT

    @property
    def client(self) -> ScorerClient:
        return cast("ScorerClient", self)


async def listed(files: list[Path]) -> AsyncIterator[Source]:
    settings = load(None, {}, {"upstream": {"unused": {"endpoint": "http://-"}}})
    async with AsyncExitStack() as stack:
        async for source in sources(list(map(str, files)), settings, stack):
            yield source


def pictures(folder: Path, count: int) -> list[Path]:
    files = [folder / f"{number:03}.jpg" for number in range(count)]
    for file in files:
        file.write_bytes(b"x")
    return files


async def test_a_slow_picture_keeps_its_place_and_the_scorers_stay_busy(tmp_path: Path) -> None:
    files, scorer = pictures(tmp_path, 40), Scorer(0.5)
    results = [each async for each in _scored(scorer.client, listed(files), 2, thumbnails=False)]
    assert [each.path for each in results] == list(map(str, files))
    assert scorer.most_at_once == 3, "one a scorer, and one that waits for the next to be free"


async def test_results_that_wait_for_a_slow_one_are_bounded(tmp_path: Path) -> None:
    files, scorer = pictures(tmp_path, 100), Scorer(0.3)
    opened = 0

    async def counted() -> AsyncIterator[Source]:
        nonlocal opened
        async for source in listed(files):
            opened += 1
            yield source

    results = _scored(scorer.client, counted(), 2, thumbnails=False)
    await anext(results)
    assert opened <= 2 * 8 + 1
    assert len([each async for each in results]) == 99


async def test_a_full_queue_is_waited_for_and_other_errors_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "_BUSY_PAUSE_S", 0.001)
    (file,) = pictures(tmp_path, 1)
    source = await anext(listed([file]))
    one = partial(_one, source=source, slots=asyncio.Semaphore(1), thumbnail=False)
    busy, bad = ApiError(SCORERS_BUSY), ApiError(NOT_AN_IMAGE)
    assert await one(Scorer(busy, busy, 0.0).client) == Scored(str(file), REPORT)
    assert await one(Scorer(busy, bad, 0.0).client) == Scored(str(file), bad)
    monkeypatch.setattr(score, "_BUSY_FOR_S", -1.0)
    assert await one(Scorer(busy, 0.0).client) == Scored(str(file), busy)


def test_the_bar_counts_pictures_and_failures_and_makes_room_for_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    known, unknown = _Progress(4), _Progress(0)
    known.step(failed=False)
    known.step(failed=True)
    known.hide()
    unknown.step(failed=False)
    drawn = capsys.readouterr().err.split("\r\033[K")
    assert drawn[1:] == [
        f"[{'.' * 30}] 0/4",
        "0 scored",
        f"[{'#' * 7}{'.' * 23}] 1/4",
        f"[{'#' * 15}{'.' * 15}] 2/4, 1 failed",
        "",
        "1 scored",
    ]
