"""How much one identity may ask for: requests a second, requests and scores at a time. Pure; the clock is an argument.

Counted per gateway process: with several of them an identity gets that many times as much.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import INVALID_ACCESS_KEY_ID, INVALID_TOKEN, SIGNATURE_DOES_NOT_MATCH, SLOW_DOWN, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_MAX_BUCKETS = 10_000
_FALSE_CLAIMS = frozenset({INVALID_ACCESS_KEY_ID, INVALID_TOKEN, SIGNATURE_DOES_NOT_MATCH})
# On whose accounts the request at hand runs; None where nobody says when it ends.
_HELD: ContextVar[list[str] | None] = ContextVar("held", default=None)


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """What one identity may have; 0 means as much as it likes. Who is nobody counts by the address it comes from."""

    requests_per_second: float = 0.0  # of one identity, in each gateway process
    burst: float = 0.0  # requests that may come at once; 0 means two seconds' worth
    concurrent_requests: int = 0  # of one identity at a time, in each gateway process; long transfers count, too
    concurrent_scores: int = 0  # of one identity at a time, in each gateway process


@dataclass(slots=True)
class Quotas:
    """Token buckets by identity, and the scores that run now."""

    settings: QuotaSettings = field(default_factory=QuotaSettings)
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # tokens, at (seconds)
    _requests: Counter[str] = field(default_factory=Counter)
    _scores: Counter[str] = field(default_factory=Counter)

    def admit(self, identity: str, now_s: float) -> None:
        """Take one token of the identity's bucket; `now_s` is a monotonic clock's. Raises SLOW_DOWN.

        The identity has one request more running, until the end of the `request()` around this.
        """
        self._hold(identity)
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

    def charged(self, refusal: ApiError, address: str, now_s: float) -> ApiError:
        """Take a token of the address that a claim came from, if it proved wrong; return what is to be answered.

        Else whoever guesses secrets, or has got hold of an old one, would ask as often as he likes.
        """
        if not address or refusal.kind not in _FALSE_CLAIMS:
            return refusal
        try:
            self.admit(address, now_s)
        except ApiError as slow_down:
            return slow_down
        return refusal

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it runs, on the accounts on which it is admitted meanwhile."""
        held: list[str] = []
        token = _HELD.set(held)
        try:
            yield
        finally:
            _HELD.reset(token)
            for identity in held:
                _give_back(self._requests, identity)

    def _hold(self, identity: str) -> None:
        limit, held = self.settings.concurrent_requests, _HELD.get()
        if not limit or held is None or identity in held:
            return
        if self._requests[identity] >= limit:
            raise ApiError(SLOW_DOWN, f"{identity} has {limit} requests running")
        self._requests[identity] += 1
        held.append(identity)

    def scoring(self, identity: str) -> AbstractContextManager[None]:
        """Count a score while it runs. Entering raises SLOW_DOWN when the identity has as many running as it may."""
        return _Scoring(self._scores, identity, self.settings.concurrent_scores)


class _Scoring:
    """One score while it runs; a generator would do, at several times the cost."""

    __slots__ = ("_identity", "_limit", "_running")

    def __init__(self, running: Counter[str], identity: str, limit: int) -> None:
        self._running, self._identity, self._limit = running, identity, limit

    def __enter__(self) -> None:
        if self._limit and self._running[self._identity] >= self._limit:
            raise ApiError(SLOW_DOWN, f"{self._identity} has {self._limit} scores running")
        self._running[self._identity] += 1

    def __exit__(self, *_: object) -> None:
        _give_back(self._running, self._identity)


def _give_back(counts: Counter[str], identity: str) -> None:
    counts[identity] -= 1
    if not counts[identity]:
        del counts[identity]
