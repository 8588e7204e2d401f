"""Work done in the time that nobody else wants. Knows threads and the kernel's scheduler; must not know pictures.

A thread of the class SCHED_IDLE gives way at once to whoever wakes up; one that is only nice does not (ADR 30). But
on a full machine it gets a few thousandths of a core, and it takes a privilege to leave the class again. So work comes
in steps, and what has got too little time is gone on with by the thread that wanted it done.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

Steps = Generator[None, None, T]  # what another thread may go on with after each `yield`; it returns its result

_PATIENCE_S = 0.5  # for how long one piece of work may wait for a core
_CROWDED_S = 30.0  # for how long a machine that made somebody wait so long counts as full
_WAITED = Path("/proc/thread-self/schedstat")  # nanoseconds: at work, ready to work but kept waiting; and a count


class _CrowdedError(Exception):
    """There is too little time that nobody wants."""


def nothing() -> None:
    """Be called where nobody has anything to do."""


def finish(steps: Steps[T], after_each: Callable[[], None] = nothing) -> T:
    """Take all steps, here and now; return what they return. Raises what they raise."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            result: T = ended.value
            return result
        after_each()


class Leisure:
    """A thread that works while a core has nothing else to do. For one caller at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "leisure", initializer=_give_way)
        self._crowded_until = 0.0

    def have(self, work: Callable[[Callable[[], None]], T]) -> T:
        """Have work done by that thread, or else here; return what it returns. Raises what it raises.

        It must call what it is given now and then. An error that comes from there must reach us; `work` is then called
        again by this thread, and goes on where it was.
        """
        if monotonic() >= self._crowded_until:
            with suppress(_CrowdedError):
                return self._thread.submit(_with_patience, work).result()
            self._crowded_until = monotonic() + _CROWDED_S
        return work(nothing)


def _give_way() -> None:
    with suppress(OSError):  # a sandbox may forbid it: then the thread is as nice as its process
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _with_patience(work: Callable[[Callable[[], None]], T]) -> T:
    """Do the work, or raise _CrowdedError when it had to wait for too long."""
    began, waited_s = monotonic(), _waited_s()

    def check() -> None:
        if monotonic() - began > _PATIENCE_S and _waited_s() - waited_s > _PATIENCE_S:
            raise _CrowdedError

    return work(check)


def _waited_s() -> float:
    """Return for how long this thread had to wait for a core, in its life. Raises _CrowdedError where nobody knows."""
    try:
        return int(_WAITED.read_bytes().split()[1]) / 1e9
    except (OSError, IndexError):
        raise _CrowdedError from None
