"""When to leave a store's address alone, and how many second tries a store gets. Pure; the clock is an argument.

Knows counts and times; must not know addresses, requests or why one failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What becomes of an address, which is named with it, or of a request, which has none.
StoreEvent = Literal["opened", "closed", "refused", "retry", "retry_denied"]
_MOST_SAVED = 10.0  # second tries
_EACH_SECOND = 0.1  # of a second try, earned while nobody asks for anything


@dataclass(slots=True)
class Breaker:
    """One address: closed while it answers, open after `limit` failures in a row, then tried once each `pause_s`.

    `limit` 0 never opens. An answer to anybody closes it.
    """

    limit: int
    pause_s: float
    is_open: bool = False
    _failures: int = 0
    _next_try: float = 0.0  # monotonic seconds

    def admits(self, now_s: float) -> bool:
        """Tell whether a request may go to the address now: when open, only the one that tries it."""
        return not self.is_open or now_s >= self._next_try

    def asked(self, now_s: float) -> None:
        """Note that a request goes there; while it is open nobody else does until another pause is over."""
        if self.is_open:
            self._next_try = now_s + self.pause_s

    def failed(self, now_s: float) -> bool:
        """Count a failure; return whether it was the one that opened it."""
        self._failures += 1
        if self.is_open or not self.limit or self._failures < self.limit:
            return False
        self.is_open, self._next_try = True, now_s + self.pause_s
        return True

    def answered(self) -> bool:
        """Close it; return whether it was open."""
        was_open, self.is_open, self._failures = self.is_open, False, 0
        return was_open

    def seen(self) -> None:
        """Let the next request try the address at once: something answers there, if not yet to a request."""
        self._next_try = 0.0


@dataclass(slots=True)
class RetryBudget:
    """Second tries as a share of the requests, a few saved up, and one each ten seconds for who asks rarely.

    A store in trouble so never gets much more than the requests that clients make.
    """

    share: float
    _saved: float = _MOST_SAVED
    _earned_at: float = 0.0  # monotonic seconds

    def earn(self, now_s: float) -> None:
        """Count a request."""
        waited = max(0.0, now_s - self._earned_at)
        self._saved = min(_MOST_SAVED, self._saved + self.share + waited * _EACH_SECOND)
        self._earned_at = now_s

    def spend(self) -> bool:
        """Take one second try; False when none is left, or none is ever wanted (`share` 0)."""
        if self._saved < 1 or not self.share:
            return False
        self._saved -= 1
        return True
