from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gateway.imaging import leisure
from gateway.imaging.leisure import Leisure, Steps, finish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def counting(found: list[tuple[int, int]], until: int = 100) -> Steps[int]:
    """Note for each step the thread and its class."""
    for _ in range(until):
        found.append((threading.get_ident(), os.sched_getscheduler(0)))
        yield
    return until


def taking(steps: Steps[int]) -> Callable[[Callable[[], None]], int]:
    return lambda after_each: finish(steps, after_each)


def failing() -> Steps[int]:
    yield
    raise LookupError("as it is")


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that says how long threads had to wait for a core: not at all."""
    file = tmp_path / "schedstat"
    file.write_text("1000 0 1")
    monkeypatch.setattr(leisure, "_WAITED", file)
    monkeypatch.setattr(leisure, "_PATIENCE_S", 0.005)
    return file


def test_steps_are_taken_to_their_end() -> None:
    found: list[tuple[int, int]] = []
    assert finish(counting(found)) == len(found) == 100
    with pytest.raises(LookupError, match="as it is"):
        finish(failing())


def test_work_is_done_in_time_that_nobody_else_wants() -> None:
    found: list[tuple[int, int]] = []
    mine = os.sched_getscheduler(0)
    assert Leisure().have(taking(counting(found))) == 100
    ((thread, kind),) = set(found)
    assert (thread == threading.get_ident(), kind) == (False, os.SCHED_IDLE)
    assert os.sched_getscheduler(0) == mine


def test_an_error_is_the_callers() -> None:
    with pytest.raises(LookupError, match="as it is"):
        Leisure().have(taking(failing()))


def test_work_that_takes_long_stays_where_it_is_while_nothing_keeps_it_waiting(waited: Path) -> None:
    found: list[tuple[int, int]] = []

    def slow() -> Steps[int]:
        for _ in counting(found, 5):
            threading.Event().wait(0.005)
            yield
        return 5

    assert Leisure().have(taking(slow())) == 5
    assert {kind for _, kind in found} == {os.SCHED_IDLE}
    assert waited.read_text() == "1000 0 1"


def test_work_that_has_to_wait_for_too_long_is_gone_on_with_here_and_what_follows_is_done_here(
    waited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, int]] = []

    def kept_waiting() -> Steps[int]:
        for number, _ in enumerate(counting(found, 5)):
            if number == 2:
                waited.write_text("1000 6000000 2")
                threading.Event().wait(0.006)
            yield
        return 5

    one = Leisure()
    assert one.have(taking(kept_waiting())) == 5
    assert [kind == os.SCHED_IDLE for _, kind in found] == [True, True, True, False, False], "each step is taken once"
    assert found[-1][0] == threading.get_ident()
    found.clear()
    assert one.have(taking(counting(found))) == 100
    assert {thread for thread, _ in found} == {threading.get_ident()}
    now = time.monotonic()
    monkeypatch.setattr(leisure, "monotonic", lambda: now + 31)
    found.clear()
    one.have(taking(counting(found, 1)))
    assert found[0][1] == os.SCHED_IDLE, "the machine may have time again"


@pytest.mark.parametrize("text", [None, "", "1000"])
def test_where_nobody_knows_who_waits_work_is_done_here(text: str | None, waited: Path) -> None:
    waited.unlink() if text is None else waited.write_text(text)
    found: list[tuple[int, int]] = []
    assert Leisure().have(taking(counting(found))) == 100
    assert {thread for thread, _ in found} == {threading.get_ident()}


def test_where_the_class_is_forbidden_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    assert Leisure().have(taking(counting([]))) == 100
