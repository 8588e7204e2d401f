from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gateway.metrics import METRICS
from gateway.processes import fork
from gateway.scoreboard import _HALF_BYTES, PROCESS_STARTS, Page
from gateway.telemetry import RequestRecord, Telemetry, publish
from tests.proc import eventually
from tests.test_telemetry import admin_port, fetched, parsed

if TYPE_CHECKING:
    from gateway.scoreboard import Counts


def counted(count: int, *more: str) -> Counts:
    return Counter({("gateway_requests_total", "oss", "oss:ProcessImm", "200"): count, (PROCESS_STARTS, *more): 1})


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
        ends_at, reads = time.monotonic() + 0.5, 0
        while time.monotonic() < ends_at:
            assert len(set(page.read().values())) <= 1
            reads += 1
        assert reads
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
