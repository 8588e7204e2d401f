"""What operators are told of a store that fails again and again: figures, and a line when something changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, assert_never

from gateway import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.scoreboard import Counts
    from gateway.stores.breaker import StoreEvent

_log = logging.getLogger("gateway")


def begin(counted: Counts, store: str, addresses: Iterable[str]) -> None:
    """Show the figures of a store from the beginning: an alert on a rise needs to see the zero before it."""
    counted[metrics.STORE_REFUSED, store] += 0
    for result in ("sent", "denied"):
        counted[metrics.STORE_RETRIES, store, result] += 0
    for address in addresses:
        counted[metrics.BREAKER_OPEN, store, address] = 0
        counted[metrics.BREAKER_OPENINGS, store, address] += 0


def note(counted: Counts, store: str, event: StoreEvent, address: str) -> None:
    """Count an event of a store by its name in the settings; `address` is `""` where it is about no single one."""
    match event:
        case "opened":
            counted[metrics.BREAKER_OPEN, store, address] = 1
            counted[metrics.BREAKER_OPENINGS, store, address] += 1
            _log.warning("store %s: %s fails again and again, it is left alone", store, address)
        case "closed":
            counted[metrics.BREAKER_OPEN, store, address] = 0
            _log.warning("store %s: %s answers again", store, address)
        case "refused":
            counted[metrics.STORE_REFUSED, store] += 1
        case "retry":
            counted[metrics.STORE_RETRIES, store, "sent"] += 1
        case "retry_denied":
            counted[metrics.STORE_RETRIES, store, "denied"] += 1
        case _:
            assert_never(event)
