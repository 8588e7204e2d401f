"""Tasks are claimed by one at a time, saved by the last to claim, and outlive whoever kept them: in each store."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.errors import LEDGER_FAILED, ApiError
from gateway.stores.task_ledger import FILE_NAME, open_task_ledger
from gateway.tasks import Task, TaskSchedule, back_off_s
from gateway.vendors import TaskSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.stores.task_ledger import TaskLedger


def new_task(source: str = "http://a/\u00e9.jpg") -> Task:
    return Task(os.urandom(32).hex(), "demo", "KEY", "r1", ("uri", source), "http://b/", trusted=False, created_at=5.5)


@pytest.fixture(params=["sqlite", "redis"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], TaskLedger]]:
    """Opens the same tasks again and again, as gateway processes do."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    ledgers: list[TaskLedger] = []

    def open_one() -> TaskLedger:
        ledgers.append(open_task_ledger(url, str(tmp_path)))
        return ledgers[-1]

    if url:
        from redis import asyncio as redis  # noqa: PLC0415 # only where it is there

        client = redis.from_url(url)
        await client.flushdb()
        await client.aclose()
    yield open_one
    for ledger in ledgers:
        await ledger.close()


async def test_a_task_is_known_to_every_process_exactly_as_it_was_added(opened: Callable[[], TaskLedger]) -> None:
    task = new_task()
    assert await opened().add(task, 10.25, TaskSettings(max_open=1))
    assert await opened().task(task.task_id) == task
    assert await opened().task("0" * 64) is None


async def test_a_claim_is_one_s_own_until_its_time_has_come(opened: Callable[[], TaskLedger]) -> None:
    task, ledger, other = new_task(), opened(), opened()
    await ledger.add(task, 10.25, TaskSettings(max_open=10))
    assert await other.claim(10.2, 20.5) is None
    first = await ledger.claim(10.25, 20.5)
    assert first == replace(task, status="processing", attempts=1, claim=1)
    assert await other.claim(20.4, 30.0) is None
    second = await other.claim(20.5, 30.0)
    assert second == replace(first, attempts=2, claim=2)
    late = replace(first, status="completed", outcome="late")
    assert not await ledger.save(late, TaskSchedule(None, 99.0))
    assert await ledger.task(task.task_id) == second


async def test_a_final_status_stays_and_only_its_delivery_is_left(opened: Callable[[], TaskLedger]) -> None:
    task, ledger = new_task(), opened()
    await ledger.add(task, 1.0, TaskSettings(max_open=10))
    claimed = await ledger.claim(1.0, 60.0)
    assert claimed
    done = replace(claimed, status="failed", outcome='{"error":"\u00e9"}')
    assert await ledger.save(done, TaskSchedule(2.0))
    assert await ledger.task(task.task_id) == done
    delivering = await ledger.claim(2.0, 60.0)
    assert delivering == replace(done, claim=2, deliveries=1)
    assert delivering.ended
    assert not await ledger.save(done, TaskSchedule(None))
    assert await ledger.save(delivering, TaskSchedule(None, 4e9))
    assert await ledger.claim(3e9, 4e9) is None
    assert await ledger.task(task.task_id) == delivering


async def test_a_lease_is_made_longer_by_saving(opened: Callable[[], TaskLedger]) -> None:
    ledger = opened()
    await ledger.add(new_task(), 1.0, TaskSettings(max_open=10))
    claimed = await ledger.claim(1.0, 5.0)
    assert claimed
    assert await ledger.save(claimed, TaskSchedule(9.0))
    assert await ledger.claim(8.9, 20.0) is None
    again = await ledger.claim(9.0, 20.0)
    assert again
    assert again.task_id == claimed.task_id


async def test_one_key_cannot_take_the_places_of_all(opened: Callable[[], TaskLedger]) -> None:
    ledger, places = opened(), TaskSettings(max_open=5, max_open_of_key=2)
    mine = [new_task() for _ in range(3)]
    assert [await ledger.add(task, 1.0, places) for task in mine] == [True, True, False]
    assert await ledger.task(mine[2].task_id) is None
    assert await opened().add(replace(new_task(), access_key_id="OTHER"), 2.0, places)
    claimed = await ledger.claim(1.0, 60.0)
    assert claimed
    assert not await ledger.add(new_task(), 1.0, places), "one that is worked on is open"
    assert await ledger.save(replace(claimed, status="completed"), TaskSchedule(70.0))
    assert not await ledger.add(new_task(), 1.0, places), "so is one that is to be delivered"
    assert await ledger.save(replace(claimed, status="completed"), TaskSchedule(None, 4e9))
    assert await ledger.add(new_task(), 1.0, places)
    assert await ledger.add(new_task(), 1.0, replace(places, max_open_of_key=0))
    assert not await ledger.add(new_task(), 1.0, replace(places, max_open=4, max_open_of_key=0))


async def test_the_longest_due_goes_first_and_no_task_beyond_the_bound_is_kept(
    opened: Callable[[], TaskLedger],
) -> None:
    ledger, tasks = opened(), [new_task(str(number)) for number in range(3)]
    for task, due in zip(tasks, (3.0, 1.0, 2.0), strict=True):
        assert await ledger.add(task, due, TaskSettings(max_open=3))
    assert not await ledger.add(new_task(), 0.0, TaskSettings(max_open=3))
    claimed = [await ledger.claim(10.0, 60.0) for _ in range(4)]
    assert [task and task.source[1] for task in claimed] == ["1", "2", "0", None]
    assert claimed[0]
    assert await ledger.save(claimed[0], TaskSchedule(None, 4e9))
    assert await ledger.add(new_task(), 0.0, TaskSettings(max_open=3))


async def test_several_processes_at_once_never_claim_the_same_task(opened: Callable[[], TaskLedger]) -> None:
    ledgers, tasks = [opened() for _ in range(4)], [new_task(str(number)) for number in range(40)]
    for task in tasks:
        await ledgers[0].add(task, 1.0, TaskSettings(max_open=100))

    async def take(ledger: TaskLedger) -> list[str]:
        taken = []
        while task := await ledger.claim(2.0, 60.0):
            taken.append(task.task_id)
        return taken

    taken = await asyncio.gather(*(take(ledger) for ledger in ledgers))
    assert Counter(task_id for each in taken for task_id in each) == Counter(task.task_id for task in tasks)


async def test_what_has_ended_long_ago_is_forgotten_and_what_is_open_is_not(
    opened: Callable[[], TaskLedger],
) -> None:
    ledger, open_task, ended = opened(), new_task(), new_task()
    await ledger.add(ended, 1.0, TaskSettings(max_open=10))
    await ledger.add(open_task, 2.0, TaskSettings(max_open=10))
    claimed = await ledger.claim(1.0, 60.0)
    assert claimed
    await ledger.save(replace(claimed, status="completed"), TaskSchedule(None, 100.0))
    await ledger.forget(1000.0)
    assert await ledger.task(ended.task_id) is None
    assert await ledger.task(open_task.task_id) == open_task


async def test_a_store_that_cannot_be_reached_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    for ledger in (open_task_ledger("", str(tmp_path)), open_task_ledger("redis://127.0.0.1:1/0", "")):
        with pytest.raises(ApiError) as caught:
            await ledger.claim(1.0, 2.0)
        assert caught.value.kind is LEDGER_FAILED
        await ledger.close()


def test_the_wait_between_tries_doubles_up_to_a_bound() -> None:
    assert [back_off_s(tries, 0.5, 60) for tries in (1, 2, 3, 8, 100_000)] == [0.5, 1, 2, 60, 60]
