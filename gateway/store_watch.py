"""Whether the stores answer, asked every few seconds, so that /readyz need not ask and the log says when it changes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.stores.upstream import Upstream

_log = logging.getLogger("gateway")
_PATIENCE = 2  # failures in a row before a store that has answered counts as gone
_AGAIN_S = 60.0  # between two lines that say the same
_FIRST_S = 0.5  # between two looks while nothing has answered yet


class StoreWatch:
    """Keeps `reachable` (by the store's name) up to date; `answered` is set as soon as one store has answered."""

    def __init__(self, stores: Mapping[str, Upstream], reachable: dict[str, bool], every_s: float) -> None:
        self.answered = asyncio.Event()
        self._stores = stores
        self._reachable = reachable
        self._every_s = every_s
        self._failures = dict.fromkeys(stores, 0)
        self._said_at = dict.fromkeys(stores, -_AGAIN_S)

    async def run(self) -> None:
        """Look until cancelled; with `every_s` 0 never, and every store is believed to be there."""
        if not self._every_s:
            self.answered.set()
            return
        while True:
            await asyncio.gather(*(self._look(name) for name in self._stores))
            await asyncio.sleep(self._every_s if self.answered.is_set() else min(_FIRST_S, self._every_s))

    async def _look(self, name: str) -> None:
        failure = await self._stores[name].failure()
        if not failure:
            if self._failures[name]:
                _log.warning("store %s answers again", name)
            self._failures[name], self._reachable[name] = 0, True
            self._said_at[name] = -_AGAIN_S
            self.answered.set()
            return
        self._failures[name] += 1
        if self._failures[name] >= _PATIENCE or not self._reachable.get(name):
            self._reachable[name] = False
        now = asyncio.get_running_loop().time()
        if now - self._said_at[name] >= _AGAIN_S:
            self._said_at[name] = now
            waits = "" if self.answered.is_set() else ", waiting for it"
            _log.warning("store %s does not answer: %s%s", name, failure, waits)
