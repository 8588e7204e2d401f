"""Works on promised analyses: claims one, holds it while it lasts, saves what came of it, has it delivered.

Must not know vendors: what an analysis is, how it fails and whom it is told to, it is given.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.errors import INTERNAL_ERROR, ApiError
from gateway.tasks import TaskSchedule, back_off_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.stores.task_ledger import TaskLedger
    from gateway.tasks import Task
    from gateway.vendors import TaskSettings

_log = logging.getLogger("gateway")
_TIDY_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class TaskWork:
    """What is to be done: each takes the task as it was claimed.

    `perform` returns the outcome's text; an ApiError of status 500 and more is worth another try. `fail` writes an
    error as an outcome. `deliver` tells whether the outcome has arrived; it raises nothing but ApiError.
    """

    perform: Callable[[Task], Awaitable[str]]
    fail: Callable[[Task, ApiError], str]
    deliver: Callable[[Task], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class TaskRunner:
    """The work of one gateway process on the tasks that it shares with others.

    `bell` is rung when this process has kept a new task: the others find it within `poll_s`. `clock` is in seconds
    since 1970.
    """

    ledger: TaskLedger
    settings: TaskSettings
    work: TaskWork
    bell: asyncio.Event
    clock: Callable[[], float]

    async def run(self) -> None:
        """Work until cancelled; what is held then is free for others at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.settings.concurrent):
                group.create_task(self._one_after_another())
            group.create_task(self._tidy())

    async def _one_after_another(self) -> None:
        while True:
            try:
                task = await self._claim()
                if task is None:
                    await self._idle()
                else:
                    await self._hold(task)
            except ApiError as error:  # the ledger cannot be reached: what was held comes back when its time is over
                _log.warning("tasks: %s", error)
                await asyncio.sleep(self.settings.poll_s)
            except Exception:  # noqa: BLE001 # whatever one task does, the others are worked on
                _log.exception("tasks: a mistake of ours")
                await asyncio.sleep(self.settings.poll_s)

    async def _claim(self) -> Task | None:
        """Claim a task; one that was claimed just when this gateway is to end is let go."""
        self.bell.clear()  # before looking: what rings it from now on is looked for again
        now = self.clock()
        claiming = asyncio.ensure_future(self.ledger.claim(now, now + self.settings.lease_s))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with suppress(ApiError):  # it must not take the place of the end
                if task := await claiming:
                    await self._save(task, TaskSchedule(self.clock()))
            raise

    async def _save(self, task: Task, schedule: TaskSchedule) -> bool:
        """Save, and see it through even when this gateway is to end."""
        saving = asyncio.ensure_future(self.ledger.save(task, schedule))
        try:
            return await asyncio.shield(saving)
        except asyncio.CancelledError:
            await asyncio.gather(saving, return_exceptions=True)
            raise

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(self.settings.poll_s):
                await self.bell.wait()
        except TimeoutError:
            pass

    async def _tidy(self) -> None:
        while True:
            try:
                await self.ledger.forget(self.clock())
            except ApiError as error:
                _log.warning("tasks: %s", error)
            await asyncio.sleep(_TIDY_EVERY_S)

    async def _hold(self, task: Task) -> None:
        """Do what is next for a task, and keep others away from it meanwhile. Raises LEDGER_FAILED."""
        doing = asyncio.ensure_future(self._deliver(task) if task.ended else self._perform(task))
        try:
            while not (await asyncio.wait({doing}, timeout=self.settings.lease_s / 3))[0]:
                if not await self.ledger.save(task, TaskSchedule(self.clock() + self.settings.lease_s)):
                    _log.warning("task %s was held for too long, another gateway works on it", task.task_id)
                    return
            ended, schedule = doing.result()
        except asyncio.CancelledError:
            with suppress(ApiError):  # the same
                await self._save(task, TaskSchedule(self.clock()))
            raise
        finally:
            if not doing.done():  # else nothing is waited for, so that nothing comes between the end and its saving
                doing.cancel()
                await asyncio.gather(doing, return_exceptions=True)
        await self._save(ended, schedule)

    async def _perform(self, task: Task) -> tuple[Task, TaskSchedule]:
        """Analyse; return the task with its outcome, or as it is for another try later."""
        if task.attempts > self.settings.attempts:  # the last one never came back
            return self._failed(task, ApiError(INTERNAL_ERROR, "every attempt ended its gateway"))
        try:
            return self._ended(replace(task, status="completed", outcome=await self.work.perform(task)))
        except ApiError as error:
            refusal = error
        except Exception:  # noqa: BLE001 # one task's mistake must not end the work on all others
            _log.exception("task %s failed", task.task_id)
            refusal = ApiError(INTERNAL_ERROR)
        if refusal.kind.status >= 500 and task.attempts < self.settings.attempts:
            return task, TaskSchedule(self.clock() + self._wait_s(task.attempts))
        return self._failed(task, refusal)

    def _failed(self, task: Task, error: ApiError) -> tuple[Task, TaskSchedule]:
        return self._ended(replace(task, status="failed", outcome=self.work.fail(task, error)))

    def _ended(self, task: Task) -> tuple[Task, TaskSchedule]:
        now = self.clock()
        return task, TaskSchedule(now if task.notification_url else None, now + self.settings.keep_s)

    async def _deliver(self, task: Task) -> tuple[Task, TaskSchedule]:
        """Tell the outcome; return when to try again, or that nothing is left to do."""
        try:
            arrived = await self.work.deliver(task)
        except ApiError as error:
            _log.info("task %s: delivery %d failed: %s", task.task_id, task.deliveries, error)
            arrived = False
        except Exception:  # noqa: BLE001 # the same
            _log.exception("task %s: delivery %d failed", task.task_id, task.deliveries)
            arrived = False
        now = self.clock()
        if arrived or task.deliveries >= self.settings.deliveries:
            if not arrived:
                _log.warning("task %s: given up after %d deliveries", task.task_id, task.deliveries)
            return task, TaskSchedule(None, now + self.settings.keep_s)
        return task, TaskSchedule(now + self._wait_s(task.deliveries))

    def _wait_s(self, tries: int) -> float:
        return back_off_s(tries, self.settings.first_wait_s, self.settings.longest_wait_s)
