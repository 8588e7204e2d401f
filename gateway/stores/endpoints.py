"""Which of a store's addresses to ask, and how often to ask again. Pure; the clock is an argument.

An address that could not be reached rests; while all of them rest, all are asked. Retries have a budget, so that a
store that is in trouble does not get twice the requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yarl import URL

_REST_S = 5.0
_EARNED = 0.1  # of a retry, by each request
_MOST_SAVED = 10.0  # retries


@dataclass(slots=True)
class Endpoints:
    """The addresses of one store, in turn; those that failed lately come last."""

    addresses: tuple[URL, ...]
    _resting: dict[URL, float] = field(default_factory=dict)  # until when (monotonic seconds)
    _turn: int = 0
    _retries: float = _MOST_SAVED

    def order(self, now_s: float) -> tuple[URL, ...]:
        """Return all addresses in the order in which a new request may try them; it earns a part of a retry."""
        self._turn += 1
        self._retries = min(_MOST_SAVED, self._retries + _EARNED)
        first = self._turn % len(self.addresses)
        turned = (*self.addresses[first:], *self.addresses[:first])
        return tuple(sorted(turned, key=lambda address: self._resting.get(address, 0.0) > now_s))

    def failed(self, address: URL, now_s: float) -> None:
        """Let an address rest for some seconds."""
        self._resting[address] = now_s + _REST_S

    def answered(self, address: URL) -> None:
        """Take an address back into its turn."""
        self._resting.pop(address, None)

    def may_retry(self) -> bool:
        """Take one retry out of the budget; False when it is spent."""
        if self._retries < 1:
            return False
        self._retries -= 1
        return True
