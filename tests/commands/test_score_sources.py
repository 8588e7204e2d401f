from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from gateway.commands import score_run, score_sources
from gateway.commands.score import _Progress
from gateway.commands.score_output import Scored
from gateway.commands.score_run import _one, read_ahead, scored_in_order
from gateway.commands.score_sources import Openers, Position, Source, local_files, sources
from gateway.errors import ACCESS_DENIED, NOT_AN_IMAGE, SCORERS_BUSY, SLOW_DOWN, ApiError
from gateway.processes import StartError
from gateway.settings import load
from gateway.stores.listing import Listed
from tests.fake_store import FakeStore
from tests.imaging.pictures import encode, photo_like
from tests.imaging.pictures import score as scored_alone
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.imaging.pool import ScorerClient
    from gateway.settings import Settings

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
    results = [each async for each in scored_in_order(scorer.client, listed(files), 2, thumbnails=False)]
    assert [each.path for each in results] == list(map(str, files))
    assert scorer.most_at_once == 3, "one a scorer, and one that waits for the next to be free"
    scorer = Scorer(0.5)
    assert [each async for each in scored_in_order(scorer.client, listed(files), 2, thumbnails=False, remote=True)]
    assert scorer.most_at_once == 8, "downloads of other objects go on meanwhile"


async def test_results_that_wait_for_a_slow_one_are_bounded(tmp_path: Path) -> None:
    files, scorer = pictures(tmp_path, 100), Scorer(0.3)
    opened = 0

    async def counted() -> AsyncIterator[Source]:
        nonlocal opened
        async for source in listed(files):
            opened += 1
            yield source

    results = scored_in_order(scorer.client, counted(), 2, thumbnails=False)
    await anext(results)
    assert opened <= 2 * 8 + 1
    assert len([each async for each in results]) == 99


async def test_a_full_queue_is_waited_for_and_other_errors_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_run, "_BUSY_PAUSE_S", 0.001)
    (file,) = pictures(tmp_path, 1)
    source = await anext(listed([file]))
    one = partial(_one, source=source, slots=asyncio.Semaphore(1), thumbnail=False)
    busy, bad = ApiError(SCORERS_BUSY), ApiError(NOT_AN_IMAGE)
    assert await one(Scorer(busy, busy, 0.0).client) == Scored(str(file), REPORT)
    assert await one(Scorer(busy, bad, 0.0).client) == Scored(str(file), bad)
    monkeypatch.setattr(score_run, "_BUSY_FOR_S", -1.0)
    assert await one(Scorer(busy, 0.0).client) == Scored(str(file), busy)


async def test_what_comes_next_is_fetched_ahead_but_not_all_of_it() -> None:
    fetched = 0

    async def numbers() -> AsyncIterator[int]:
        nonlocal fetched
        for number in range(100):
            fetched += 1
            yield number

    ahead = read_ahead(numbers(), 10)
    assert await anext(ahead) == 0
    await asyncio.sleep(0.01)
    assert 10 <= fetched <= 12
    assert [number async for number in ahead] == list(range(1, 100))


async def test_what_fails_while_it_is_fetched_ahead_fails_after_what_came_before() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise StartError("gone")

    ahead = read_ahead(broken(), 10)
    assert await anext(ahead) == 1
    with pytest.raises(StartError, match="gone"):
        await anext(ahead)


async def test_a_start_position_skips_what_was_done(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    settings = load(None, {}, {"upstream": {"unused": {"endpoint": "http://-"}}})
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]

    async def found(start: Position) -> list[tuple[int, str]]:
        async with AsyncExitStack() as stack:
            return [(s.argument, s.path[-7:]) async for s in sources(paths, settings, stack, start)]

    assert await found(Position()) == [(0, "a/1.jpg"), (0, "a/2.jpg"), (1, "b/1.jpg")]
    assert await found(Position(0, f"{paths[0]}/1.jpg")) == [(0, "a/2.jpg"), (1, "b/1.jpg")]
    assert await found(Position(1, f"{paths[1]}/1.jpg")) == []
    with pytest.raises(StartError, match="not there any more"):
        await found(Position(0, f"{paths[0]}/3.jpg"))


# --- objects --------------------------------------------------------------------------------------------------------

BUSY = ApiError(SLOW_DOWN)


def store_at(endpoint: str) -> Settings:
    return load(None, {}, {"upstream": {"main": {"endpoint": endpoint, "access_key": "k", "secret": "s"}}})


async def keys_below(prefix: str, monkeypatch: pytest.MonkeyPatch, *pages: list[str] | ApiError) -> list[str]:
    """List these pages, each listing up to the next error, and return the keys that are found, errors by their code."""
    behind = []
    rest = list(pages)

    async def list_objects(_: object, prefix: str, *, after: str) -> AsyncIterator[Listed]:
        del prefix
        behind.append(after)
        while rest:
            if isinstance(page := rest.pop(0), ApiError):
                raise page
            for key in page:
                yield Listed(key, "", 1, "")

    monkeypatch.setattr(score_sources, "list_objects", list_objects)
    monkeypatch.setattr(score_sources, "_PAUSES_S", (0.0, 0.0))
    settings = store_at("http://127.0.0.1:9")
    async with AsyncExitStack() as stack:
        found = [source async for source in sources([f"s3://b/{prefix}"], settings, stack)]
    assert behind[0] == ""
    return [
        *(source.failure.kind.code if source.failure else source.path.removeprefix("s3://b/") for source in found),
        *(f"behind {after}" for after in behind[1:]),
        *("cut short" for source in found if source.cut_short),
    ]


async def test_a_store_in_trouble_is_asked_for_the_rest_of_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = ["p/1.jpg", "p/2.jpg"], ["p/3.jpg"]
    assert await keys_below("p/", monkeypatch, one, BUSY, BUSY, two) == [*one, *two, "behind p/2.jpg", "behind p/2.jpg"]
    given_up = await keys_below("p/", monkeypatch, one, BUSY, BUSY, BUSY, two)
    assert given_up == [*one, "SlowDown", *["behind p/2.jpg"] * 2, "cut short"]
    refused = ApiError(ACCESS_DENIED)
    assert await keys_below("p/", monkeypatch, one, refused, two) == [*one, "AccessDenied", "cut short"]
    assert await keys_below("p/", monkeypatch, BUSY, one) == ["SlowDown", "cut short"], "nobody waits for a wrong name"


async def test_what_consoles_make_for_a_folder_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await keys_below("p/", monkeypatch, ["p/", "p/1.jpg", "p/x.jpg/"]) == ["p/1.jpg"]
    assert await keys_below("p/", monkeypatch, ["p/"]) == ["NoSuchKey"]
    assert await keys_below("p", monkeypatch, ["p"]) == ["p"], "whoever names an object wants that one"


async def test_an_object_is_asked_for_again_while_its_store_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_sources, "_PAUSES_S", (0.0, 0.0))
    store = FakeStore(objects={"/b/a.jpg": b"a picture"})
    store.answers["GET /b/a.jpg"] = (503, b"<Error><Code>SlowDown</Code></Error>", {})
    with threaded_store(store) as endpoint:
        async with AsyncExitStack() as stack:
            source = Openers(store_at(endpoint), stack).source("s3://b/a.jpg")
            with pytest.raises(ApiError, match="SlowDown"):
                async with source.open():
                    pass
            assert len(store.seen) == 3
            store.acts["GET /b/a.jpg"] = lambda: store.acts.update({"GET /b/a.jpg": store.answers.clear})
            async with source.open() as (chunks, length):
                assert (b"".join([chunk async for chunk in chunks]), length) == (b"a picture", 9)
            assert len(store.seen) == 5


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
