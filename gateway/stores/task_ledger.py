"""Where promised analyses are kept, so that they outlive a gateway. Says what a task ledger does; knows no vendor.

A task is worked on by whoever has claimed it last, until the time that the claim names: then it is due again, for
anybody. So a gateway that dies needs nobody who notices, and one that was only slow cannot save what another did.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.tasks import Task, TaskSchedule

FILE_NAME = "tasks.sqlite3"


class Places(Protocol):
    """How many tasks may have something left to do."""

    @property
    def max_open(self) -> int:
        """All together."""
        ...

    @property
    def max_open_of_key(self) -> int:
        """Those of one access key; 0: any number."""
        ...


class TaskLedger(Protocol):
    """Tasks by their ids, and by the time at which they are due. Methods raise LEDGER_FAILED."""

    async def add(self, task: Task, due_at: float, places: Places) -> bool:
        """Keep a new task; False, and nothing kept, when too many have something left to do, of all or of its key."""
        ...

    async def task(self, task_id: str) -> Task | None:
        """Return a task as it is now."""
        ...

    async def claim(self, now: float, until: float) -> Task | None:
        """Take the task that has been due for longest, None when none is; it is due again at `until`.

        A pending task becomes a processing one. An attempt is counted, or a delivery once the status is final.
        """
        ...

    async def save(self, task: Task, schedule: TaskSchedule) -> bool:
        """Keep status and outcome of a claimed task; False, and nothing kept, when another has claimed it since."""
        ...

    async def forget(self, now: float) -> None:
        """Forget the tasks whose time has come."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...


def open_task_ledger(url: str, folder: str) -> TaskLedger:
    """Return the tasks at a Redis URL, or, when that is empty, in the file in `folder`. Touches neither yet."""
    if url:
        from gateway.stores.task_redis import RedisTasks  # noqa: PLC0415 # the client is an optional package

        return RedisTasks(url)
    from gateway.stores.task_sqlite import SqliteTasks  # noqa: PLC0415 # nor is the other one needed by all

    return SqliteTasks(Path(folder) / FILE_NAME)
