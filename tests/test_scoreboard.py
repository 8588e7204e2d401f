from __future__ import annotations

import asyncio
import errno
import http.client
import os
import re
import signal
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from gateway.metrics import METRICS
from gateway.processes import fork
from gateway.scoreboard import _HALF_BYTES, PROCESS_STARTS, Page
from gateway.telemetry import RequestRecord, Telemetry, publish
from tests.fake_store import FakeStore
from tests.proc import eventually
from tests.served import serving
from tests.test_telemetry import admin_port, fetched, parsed
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.scoreboard import Counts
    from tests.served import Place, Served


def counted(number: int, *more: str) -> Counts:
    return Counter({("gateway_requests_total", "oss", "oss:ProcessImm", "200"): number, (PROCESS_STARTS, *more): 1})


def test_what_was_written_last_is_read_in_every_process() -> None:
    page = Page()
    assert page.read() == Counter()
    for number in range(5):
        page.write(counted(number, "scorer"))
        assert page.read() == counted(number, "scorer")

    def write() -> int:
        page.write(counted(7, "gateway"))
        return 0

    child = fork(write)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert page.read() == counted(7, "gateway")


def test_a_writing_that_broke_off_leaves_the_one_before() -> None:
    page = Page()
    page.write(counted(1, "scorer"))
    page.write(counted(2, "scorer"))
    for half in (0, 1):
        before = page.read()
        at = half * _HALF_BYTES + 40
        byte = page._memory[at]
        page._memory[at] = byte ^ 1
        assert page.read() in (before, counted(1, "scorer"))
        page._memory[at] = byte


def test_counts_that_do_not_fit_leave_the_ones_before() -> None:
    page = Page()
    page.write(counted(1, "scorer"))
    with pytest.raises(ValueError, match="do not fit"):
        page.write(counted(2, "x" * _HALF_BYTES))
    assert page.read() == counted(1, "scorer")


def test_a_reader_never_sees_half_a_writing() -> None:
    page = Page()

    def write() -> int:
        for number in range(1_000_000):
            page.write(Counter({("gateway_results_total", f"{event}"): number for event in range(100)}))
        return 0

    writer = fork(write)
    try:
        eventually(lambda: bool(page.read()))
        ends_at, last = time.monotonic() + 0.5, -1
        while time.monotonic() < ends_at:
            (number,) = set(page.read().values())
            assert number >= last, "nor one that is older than what has been read before"
            last = number
        assert last > 0
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    assert len(set(page.read().values())) == 1, "nor when its writer was killed"


async def test_the_metrics_are_the_sum_over_all_processes() -> None:
    pages = [Page(), Page()]
    pages[0].write(counted(3, "gateway"))
    pages[1].write(counted(4, "scorer"))
    telemetry = Telemetry()
    telemetry.ended(RequestRecord("00000000", dialect="oss", action="oss:ProcessImm", status=200))
    async with admin_port(telemetry, pages) as url:
        found = parsed((await fetched(f"{url}/metrics"))[2])
    assert found["gateway_requests_total"] == {("oss", "oss:ProcessImm", "200"): 8}
    assert found[PROCESS_STARTS] == {("gateway",): 1, ("scorer",): 1}
    assert list(found) == [name for name in METRICS if name in found], "in the order of the table"


async def test_what_one_process_has_told_is_told_by_the_other_and_by_its_successor() -> None:
    pages, processes = [Page(), Page()], [Telemetry(), Telemetry()]
    first, second = (admin_port(processes[one], [pages[1 - one]], pages[one]) for one in (0, 1))
    async with first as zero, second as one:
        for hits in range(1, 5):
            processes[hits % 2].cache_event("hit")
            for url in (one, zero) if hits % 2 else (zero, one):
                assert parsed((await fetched(f"{url}/metrics"))[2])["gateway_results_total"] == {("hit",): hits}
    successor = Telemetry()
    successor.inherit(pages[0].read())
    assert successor.counts()["gateway_results_total", "hit"] == 2


def test_no_counter_falls_however_often_and_whichever_process_is_asked_nor_when_one_is_killed(tmp_path: Path) -> None:
    with (
        threaded_store(FakeStore()) as endpoint,
        serving(tmp_path, endpoint, server="workers = 2") as gateway,
        asking(gateway.place),
    ):
        told = scraped(gateway, {}, 1.5)
        for _ in range(2):
            os.kill(min(gateway.gateway_pids()), signal.SIGKILL)
            told = scraped(gateway, told, 1)
    assert sum(value for name, value in told.items() if name.startswith("gateway_requests_total")) > 0


@contextmanager
def asking(place: Place) -> Iterator[None]:
    """Have requests counted, as fast as one client can, until leaving."""
    stop = Event()

    def ask() -> None:
        while not stop.is_set():
            with suppress(OSError, http.client.HTTPException):  # of a process that was killed
                place.request("GET", "/demo/none")

    client = Thread(target=ask)
    client.start()
    try:
        yield
    finally:
        stop.set()
        client.join()


def scraped(gateway: Served, before: dict[str, float], for_s: float) -> dict[str, float]:
    """Ask for the metrics for so long; no counter may be less than it was told the last time, or before."""
    ends_at, told = time.monotonic() + for_s, before
    while time.monotonic() < ends_at:
        with suppress(OSError, http.client.HTTPException), closing(http.client.HTTPConnection(gateway.admin)) as asked:
            asked.request("GET", "/metrics")
            now = counters(asked.getresponse().read().decode())
            assert {name: (was, now.get(name)) for name, was in told.items() if now.get(name, -1) < was} == {}
            told = now
    return told


def counters(text: str) -> dict[str, float]:
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples if re.match(r"\w+_(total|bucket|count|sum)\b", name)}


async def test_a_process_goes_on_counting_from_its_predecessor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.telemetry._PUBLISH_EVERY_S", 0.001)
    page = Page()
    for total in (2, 4, 6):
        telemetry = Telemetry()
        telemetry.inherit(page.read())
        publishing = asyncio.create_task(publish(telemetry, page))
        for _ in range(2):
            telemetry.ended(RequestRecord("00000000", dialect="s3", action="s3:GetObject", status=200))
        await asyncio.to_thread(eventually, lambda: page.read() == telemetry.counts())  # noqa: B023 # it is awaited
        telemetry.cache_event("hit")
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        assert page.read()["gateway_requests_total", "s3", "s3:GetObject", "200"] == total
        assert page.read()["gateway_results_total", "hit"] == total / 2, "the last figures are written on leaving"


async def test_figures_that_no_longer_fit_are_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.telemetry._PUBLISH_EVERY_S", 0.001)
    telemetry = Telemetry()
    telemetry.cache_event("x" * _HALF_BYTES)
    await publish(telemetry, Page())
    assert "no longer published" in caplog.text


async def test_figures_that_cannot_be_had_for_a_moment_are_published_when_they_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.telemetry._PUBLISH_EVERY_S", 0.001)
    telemetry, page, tries = Telemetry(), Page(), count()

    def jobs() -> tuple[int, int]:
        if next(tries) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return 2, 1

    telemetry.scorer_jobs = jobs
    publishing = asyncio.create_task(publish(telemetry, page))
    await asyncio.to_thread(eventually, lambda: page.read()["gateway_scorer_jobs_waiting",] == 2)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
