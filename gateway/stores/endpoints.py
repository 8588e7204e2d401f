"""Which of a store's addresses to ask, and how often to ask again. Pure; the clock is an argument.

An address that could not be reached rests: others are asked first. One that failed again and again is left alone,
but for one request now and then (`breaker`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.stores.breaker import Breaker, RetryBudget

if TYPE_CHECKING:
    from yarl import URL

_REST_S = 5.0


@dataclass(slots=True)
class Endpoints:
    """The addresses of one store, in turn; those that failed lately come last."""

    addresses: tuple[URL, ...]
    failures: int = 5  # in a row, after which an address is left alone; 0: never
    pause_s: float = 2.0
    retry_share: float = 0.1
    _breakers: dict[URL, Breaker] = field(init=False)
    _budget: RetryBudget = field(init=False)
    _resting: dict[URL, float] = field(default_factory=dict)  # until when (monotonic seconds)
    _turn: int = 0

    def __post_init__(self) -> None:
        """Begin with every address believed to be there."""
        self._breakers = {each: Breaker(self.failures, self.pause_s) for each in self.addresses}
        self._budget = RetryBudget(self.retry_share)

    def order(self, now_s: float, *, harmless: bool = True) -> tuple[URL, ...]:
        """Return all addresses in the order in which a new request may try them; it earns a part of a retry.

        A `harmless` request, which may go elsewhere afterwards, is the first to try one that has been left alone.
        """
        self._budget.earn(now_s)
        if len(self.addresses) == 1:
            return self.addresses
        self._turn += 1
        first = self._turn % len(self.addresses)
        turned = (*self.addresses[first:], *self.addresses[:first])
        return tuple(sorted(turned, key=lambda address: self._rank(address, now_s, harmless=harmless)))

    def _rank(self, address: URL, now_s: float, *, harmless: bool) -> int:
        breaker = self._breakers[address]
        if breaker.is_open:
            return 0 if harmless and breaker.admits(now_s) else 3
        return 2 if self._resting.get(address, 0.0) > now_s else 1

    def take(self, address: URL, now_s: float) -> bool:
        """Tell whether a request may go to the address now, which counts as going; False: it is left alone."""
        breaker = self._breakers[address]
        if not breaker.admits(now_s):
            return False
        breaker.asked(now_s)
        return True

    def rest(self, address: URL, now_s: float) -> None:
        """Let an address rest for some seconds: it cannot be reached."""
        self._resting[address] = now_s + _REST_S

    def failed(self, address: URL, now_s: float) -> bool:
        """Count that an address did not answer a request; return whether it is left alone from now on."""
        return self._breakers[address].failed(now_s)

    def answered(self, address: URL) -> bool:
        """Take an address back into its turn; return whether it had been left alone."""
        self._resting.pop(address, None)
        return self._breakers[address].answered()

    def seen(self, address: URL) -> None:
        """Note that something answers at an address, if not yet to a request."""
        self._resting.pop(address, None)
        self._breakers[address].seen()

    def slow_down(self) -> None:
        """Note that the store has too much to do: that costs a retry, as if there had been one."""
        self._budget.spend()

    def may_retry(self) -> bool:
        """Take one retry out of the budget; False when it is spent."""
        return self._budget.spend()
