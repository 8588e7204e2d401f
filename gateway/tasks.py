"""A task as plain data: an analysis that was promised, its outcome, and how far its delivery is. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Literal, cast

Status = Literal["pending", "processing", "completed", "failed"]
FINAL: frozenset[Status] = frozenset({"completed", "failed"})


@dataclass(frozen=True, slots=True)
class Task:
    """One promised analysis.

    `task_id` is 64 hex digits. `cloud` and `access_key_id` say for whom; its rights counted when it was accepted.
    `source` is what to analyse (`uri` or `asset_id`) and its value. `notification_url` is `""` where nobody is to be
    told; `trusted` says that it came out of the settings. `created_at` is in seconds since 1970.

    The rest changes: `outcome` is the notification's text, complete once the status is final; `attempts` and
    `deliveries` count the beginnings of either work, so that what ends a gateway each time comes to an end itself;
    `claim` grows with each taker, and only the last one can save.
    """

    task_id: str
    cloud: str
    access_key_id: str
    request_id: str
    source: tuple[Literal["uri", "asset_id"], str]
    notification_url: str
    trusted: bool
    created_at: float
    status: Status = "pending"
    outcome: str = ""
    attempts: int = 0
    deliveries: int = 0
    claim: int = 0

    @property
    def ended(self) -> bool:
        """Tell whether the status is final."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class TaskSchedule:
    """When work on a task goes on. Times are in seconds since 1970.

    `due_at` is None when nothing is left to do; `forget_at` is when a task with nothing left to do may be forgotten.
    """

    due_at: float | None
    forget_at: float = 0.0


_FIXED = ("task_id", "cloud", "access_key_id", "request_id", "source", "notification_url", "trusted", "created_at")


def request_text(task: Task) -> str:
    """Return what never changes of a task as a line of JSON, for `task_of`."""
    return json.dumps({name: getattr(task, name) for name in _FIXED}, separators=(",", ":"))


def task_of(request: str, status: str, outcome: str, attempts: int, deliveries: int, claim: int) -> Task:
    """Rebuild a task from `request_text`'s line and what changes of it."""
    fixed = json.loads(request)
    task = Task(**{**fixed, "source": tuple(fixed["source"])}, status=cast("Status", status), outcome=outcome)
    return replace(task, attempts=attempts, deliveries=deliveries, claim=claim)


def back_off_s(tries: int, first_s: float, longest_s: float) -> float:
    """Return the seconds until the next try after `tries` (1 ...) have failed: doubling, from the first to the longest.

    >>> [back_off_s(tries, 1, 60) for tries in (1, 2, 3, 7, 10_000)]
    [1, 2, 4, 60, 60]
    """
    return min(longest_s, first_s * 2.0 ** min(tries - 1, 30))
