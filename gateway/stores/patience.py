"""How long a store may be silent: one timer for all that are waited for. Must not know HTTP or S3."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_EVERY_S = 1.0  # at most
_LOOKS = 8  # within the limit, at least: whoever waits too long waits by an eighth too long


class Patience:
    """Fails whoever waits for longer than `limit_s` seconds (None: for ever) without a new beginning.

    A timer for each of them would cost ten times as much.
    """

    def __init__(self, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self._every_s = min(_LOOK_EVERY_S, (limit_s or _LOOK_EVERY_S) / _LOOKS)
        self._until: dict[Callable[[BaseException], None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, fail: Callable[[BaseException], None]) -> None:
        """Call `fail` with TimeoutError unless `end` is told of it, or `begin` again, in time."""
        if self.limit_s is None:
            return
        self._until[fail] = monotonic() + self.limit_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def end(self, fail: Callable[[BaseException], None]) -> None:
        """Forget who waits no longer."""
        self._until.pop(fail, None)

    def _look(self) -> None:
        now = monotonic()
        late = [fail for fail, until in self._until.items() if until <= now]
        for fail in late:
            self.end(fail)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._every_s, self._look) if self._until else None
        for fail in late:
            fail(TimeoutError("no answer in time"))
