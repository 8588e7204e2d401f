"""How promised analyses come to their end: tried again, told again, taken over, given up, each ended once."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import INTERNAL_ERROR, LEDGER_FAILED, NO_SUCH_KEY, SCORERS_BUSY, URL_UNREACHABLE, ApiError
from gateway.journeys.tasks import TaskRunner, TaskWork
from gateway.stores.task_ledger import FILE_NAME, open_task_ledger
from gateway.tasks import Task, TaskSchedule
from gateway.vendors import TaskSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.stores.task_ledger import TaskLedger

QUICK = {"poll_s": 0.02, "first_wait_s": 0.02, "longest_wait_s": 0.1, "lease_s": 0.3, "attempts": 3, "deliveries": 4}


@dataclass
class Workshop:
    """Work that goes as the test wants: each call takes the next of what is to happen, the last one again and again."""

    performs: list[str | Exception] = field(default_factory=lambda: ["done"])
    delivers: list[bool | Exception] = field(default_factory=lambda: [True])
    takes_s: float = 0.0
    performed: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)

    async def perform(self, task: Task) -> str:
        self.performed.append(task.task_id)
        await asyncio.sleep(self.takes_s)
        step = self.performs.pop(0) if len(self.performs) > 1 else self.performs[0]
        if isinstance(step, Exception):
            raise step
        return step

    async def deliver(self, task: Task) -> bool:
        self.delivered.append(task.outcome)
        step = self.delivers.pop(0) if len(self.delivers) > 1 else self.delivers[0]
        if isinstance(step, Exception):
            raise step
        return step

    @property
    def work(self) -> TaskWork:
        return TaskWork(self.perform, lambda _, error: f"failed: {error.kind.code}", self.deliver)


def new_task(number: int = 0, url: str = "http://told") -> Task:
    return Task(f"{number:064x}", "demo", "KEY", "r1", ("uri", "http://a"), url, trusted=False, created_at=time.time())


@asynccontextmanager
async def running(ledger: TaskLedger, shop: Workshop, **settings: Any) -> AsyncIterator[TaskRunner]:
    runner = TaskRunner(ledger, TaskSettings(**{**QUICK, **settings}), shop.work, asyncio.Event(), time.time)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[TaskLedger]:
    opened = open_task_ledger("", str(tmp_path))
    yield opened
    await opened.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 # nobody announces it
            await asyncio.sleep(0.01)


async def ended(ledger: TaskLedger, number: int = 0) -> Task:
    async with asyncio.timeout(20):
        while (task := await ledger.task(f"{number:064x}")) is None or not task.ended:  # noqa: ASYNC110 # the same
            await asyncio.sleep(0.01)
    return task


async def test_a_task_is_performed_once_and_told_once(ledger: TaskLedger) -> None:
    shop = Workshop()
    async with running(ledger, shop, poll_s=60.0) as runner:
        await asyncio.sleep(0.05)  # it has found nothing, and now waits for the bell
        await ledger.add(new_task(), time.time(), TaskSettings(max_open=10))
        runner.bell.set()
        await until(lambda: len(shop.delivered) == 1)
    task = await ended(ledger)
    assert (task.status, task.outcome, shop.performed) == ("completed", "done", [task.task_id])
    assert shop.delivered == ["done"]


async def test_a_task_without_a_receiver_is_told_to_nobody(ledger: TaskLedger) -> None:
    shop = Workshop()
    await ledger.add(new_task(url=""), time.time(), TaskSettings(max_open=10))
    async with running(ledger, shop):
        await ended(ledger)
        await asyncio.sleep(0.1)
    assert shop.delivered == []


async def test_what_may_pass_is_tried_again_and_what_cannot_is_not(ledger: TaskLedger) -> None:
    shop = Workshop(performs=[ApiError(SCORERS_BUSY), ValueError("a mistake of ours"), "done"])
    await ledger.add(new_task(url=""), time.time(), TaskSettings(max_open=10))
    async with running(ledger, shop):
        assert (await ended(ledger)).status == "completed"
    assert len(shop.performed) == 3
    hopeless = Workshop(performs=[ApiError(NO_SUCH_KEY)])
    await ledger.add(new_task(1), time.time(), TaskSettings(max_open=10))
    async with running(ledger, hopeless):
        task = await ended(ledger, 1)
        await until(lambda: bool(hopeless.delivered))
    assert (task.status, task.outcome) == ("failed", "failed: NoSuchKey")
    assert (len(hopeless.performed), hopeless.delivered) == (1, ["failed: NoSuchKey"])


async def test_attempts_come_to_an_end(ledger: TaskLedger) -> None:
    shop = Workshop(performs=[ApiError(INTERNAL_ERROR)])
    await ledger.add(new_task(), time.time(), TaskSettings(max_open=10))
    async with running(ledger, shop):
        assert (await ended(ledger)).status == "failed"
    assert len(shop.performed) == QUICK["attempts"]


async def test_what_ends_its_gateway_each_time_fails_in_the_end(ledger: TaskLedger) -> None:
    await ledger.add(new_task(), 0.0, TaskSettings(max_open=10))
    for attempt in range(int(QUICK["attempts"])):  # claimed, and never heard of again
        assert await ledger.claim(attempt, attempt + 0.5)
    shop = Workshop()
    async with running(ledger, shop):
        assert (await ended(ledger)).status == "failed"
    assert shop.performed == []


async def test_a_receiver_that_fails_is_told_again_later_and_later_until_it_is_given_up(ledger: TaskLedger) -> None:
    shop = Workshop(delivers=[False, ApiError(URL_UNREACHABLE), ValueError("a mistake of ours"), True])
    await ledger.add(new_task(), time.time(), TaskSettings(max_open=10))
    async with running(ledger, shop):
        await until(lambda: len(shop.delivered) == 4)
        await asyncio.sleep(0.2)
    assert shop.delivered == ["done"] * 4
    deaf = Workshop(delivers=[False])
    await ledger.add(new_task(1), time.time(), TaskSettings(max_open=10))
    async with running(ledger, deaf):
        await until(lambda: len(deaf.delivered) == QUICK["deliveries"])
        await asyncio.sleep(0.3)
    assert len(deaf.delivered) == QUICK["deliveries"]
    assert (await ended(ledger, 1)).status == "completed"


async def test_a_long_analysis_is_held_beyond_its_lease(ledger: TaskLedger) -> None:
    slow, other = Workshop(takes_s=1.0), Workshop()
    await ledger.add(new_task(), time.time(), TaskSettings(max_open=10))
    async with running(ledger, slow):
        await until(lambda: bool(slow.performed))
        async with running(ledger, other):
            await ended(ledger)
    assert (len(slow.performed), other.performed) == (1, [])


async def test_what_is_held_at_the_end_of_a_gateway_is_free_at_once(ledger: TaskLedger) -> None:
    stuck, other = Workshop(takes_s=60.0), Workshop()
    await ledger.add(new_task(), time.time(), TaskSettings(max_open=10))
    async with running(ledger, stuck, lease_s=600.0):
        await until(lambda: bool(stuck.performed))
    async with running(ledger, other, lease_s=600.0):
        assert (await ended(ledger)).status == "completed"


async def test_what_is_claimed_while_its_gateway_ends_is_free_at_once(ledger: TaskLedger) -> None:
    """Ends a gateway at whatever point of a claim: none of the tasks may be left until a lease is over."""
    for number in range(30):
        await ledger.add(new_task(number), time.time(), TaskSettings(max_open=100))
        async with running(ledger, Workshop(), lease_s=600.0):
            await asyncio.sleep(number / 5000)
    async with running(ledger, Workshop(), lease_s=600.0):
        for number in range(30):
            await ended(ledger, number)


async def test_one_that_was_taken_for_dead_saves_nothing(ledger: TaskLedger) -> None:
    await ledger.add(new_task(), 0.0, TaskSettings(max_open=10))
    dead = await ledger.claim(1.0, 2.0)
    assert dead
    shop = Workshop()
    async with running(ledger, shop):
        task = await ended(ledger)
        await until(lambda: bool(shop.delivered))
    assert not await ledger.save(dead, TaskSchedule(0.0))
    assert await ledger.task(task.task_id) is not None
    assert (await ended(ledger)).outcome == "done"


async def test_an_unreachable_ledger_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    ledger, shop = open_task_ledger("", str(tmp_path)), Workshop()
    async with running(ledger, shop):
        await asyncio.sleep(0.1)
        (tmp_path / FILE_NAME).rmdir()
        await ledger.add(new_task(), time.time(), TaskSettings(max_open=10))
        await until(lambda: bool(shop.delivered))
    await ledger.close()


async def test_a_ledger_that_fails_while_its_gateway_ends_does_not_keep_it_from_ending() -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    class Failing:
        async def claim(self, _now: float, _until: float) -> Task | None:
            asked.set()
            await answers.wait()
            raise ApiError(LEDGER_FAILED)

        async def forget(self, _now: float) -> None:
            return None

    ledger: Any = Failing()
    settings: dict[str, Any] = {**QUICK}
    runner = TaskRunner(ledger, TaskSettings(**settings), Workshop().work, asyncio.Event(), time.time)
    task = asyncio.create_task(runner.run())
    await asyncio.wait_for(asked.wait(), 5)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, answers.set)
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
