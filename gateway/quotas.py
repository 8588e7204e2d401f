"""How much one identity may ask for: requests a second, and scores at a time. Pure; the clock is an argument.

Counted per gateway process: with several of them an identity gets that many times as much.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import SLOW_DOWN, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """What one identity may have; 0 means as much as it likes."""

    requests_per_second: float = 0.0  # of one identity, in each gateway process
    burst: float = 0.0  # requests that may come at once; 0 means two seconds' worth
    concurrent_scores: int = 0  # of one identity at a time, in each gateway process


@dataclass(slots=True)
class Quotas:
    """Token buckets by identity, and the scores that run now."""

    settings: QuotaSettings = field(default_factory=QuotaSettings)
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # tokens, at (seconds)
    _scores: Counter[str] = field(default_factory=Counter)

    def admit(self, identity: str, now_s: float) -> None:
        """Take one token of the identity's bucket; `now_s` is a monotonic clock's. Raises SLOW_DOWN."""
        rate = self.settings.requests_per_second
        if not rate:
            return
        burst = max(1.0, self.settings.burst or 2 * rate)
        tokens, at = self._buckets.pop(identity, (burst, now_s))
        tokens = min(burst, tokens + (now_s - at) * rate)
        self._buckets[identity] = (tokens - 1 if tokens >= 1 else tokens, now_s)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)  # who has been silent longest has a full bucket again soonest
        if tokens < 1:
            raise ApiError(SLOW_DOWN, f"{identity} exceeds {rate:g} requests a second")

    @contextmanager
    def scoring(self, identity: str) -> Iterator[None]:
        """Count a score while it runs. Raises SLOW_DOWN when the identity has as many running as it may."""
        limit = self.settings.concurrent_scores
        if limit and self._scores[identity] >= limit:
            raise ApiError(SLOW_DOWN, f"{identity} has {limit} scores running")
        self._scores[identity] += 1
        try:
            yield
        finally:
            self._scores[identity] -= 1
            if not self._scores[identity]:
                del self._scores[identity]
