"""One request, one address of its store after the other, until one answers. Must not know HTTP or S3."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import UPSTREAM_BROKEN, UPSTREAM_LEFT_ALONE, UPSTREAM_UNREACHABLE, ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from yarl import URL

    from gateway.stores.breaker import StoreEvent
    from gateway.stores.endpoints import Endpoints

Answer = TypeVar("Answer")


class Tries:
    """Sends requests to the addresses that are not left alone, and tells `on_event` what that leads to.

    The second argument of `on_event` is the address, `""` where it is about all of them.
    """

    def __init__(self, endpoints: Endpoints, on_event: Callable[[StoreEvent, str], None]) -> None:
        self._endpoints = endpoints
        self._on_event = on_event

    async def first_answer(
        self, send: Callable[[URL], Awaitable[Answer]], on_failure: Callable[[ApiError], None], *, harmless: bool
    ) -> Answer:
        """Return what `send(address)` does; `on_failure` is told of each failure that another try follows.

        A `harmless` request may be sent again after it broke off, any other one only if it has arrived nowhere. Raises
        UPSTREAM_LEFT_ALONE when no address may be asked, else what `send` raises.
        """
        failed: ApiError | None = None
        for address in self._endpoints.order(monotonic(), harmless=harmless):
            if not self._endpoints.take(address, monotonic()):
                continue
            if failed:
                if not self._endpoints.may_retry():
                    self._on_event("retry_denied", "")
                    break
                self._on_event("retry", "")
                on_failure(failed)
            try:
                return await send(address)
            except ApiError as error:
                if error.kind is not UPSTREAM_UNREACHABLE and not (harmless and error.kind is UPSTREAM_BROKEN):
                    raise
                failed = error
        if failed is None:
            self._on_event("refused", "")
        raise failed or ApiError(UPSTREAM_LEFT_ALONE, "the store is left alone: it failed again and again")

    def failed(self, address: URL, *, rests: bool = False) -> None:
        """Count a failure that was the address's own; it `rests` where it could not be reached."""
        now_s = monotonic()
        if rests:
            self._endpoints.rest(address, now_s)
        if self._endpoints.failed(address, now_s):
            self._on_event("opened", str(address))

    def answered(self, address: URL, status: int) -> None:
        """Count an answer; a 503 costs as much as a second try would have."""
        if self._endpoints.answered(address):
            self._on_event("closed", str(address))
        if status == 503:
            self._endpoints.slow_down()
