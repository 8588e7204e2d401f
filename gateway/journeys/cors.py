"""Pages of other origins: their preflights go to the store, and what it would tell them onto the gateway's own answers.

The rules are the store's; must not know any of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.auth.identify import check_address
from gateway.dialects.base import StoreRequest
from gateway.errors import ApiError
from gateway.journeys.forward import relay
from gateway.stores.upstream import StoreBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.request import Headers, RequestHead, Target
    from gateway.settings import BucketRoute
    from gateway.stores.upstream import Upstream
    from gateway.wire import Exchange

_ASKS = frozenset({"origin", "access-control-request-method", "access-control-request-headers"})
# What a page's own request is told; the rest speaks to the browser, in the answer to a preflight.
_TELLS = frozenset(
    {"access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers", "vary"}
)
_WAIT_S = 3.0  # an answer that is ready waits no longer for the rules


@dataclass(frozen=True, slots=True)
class Crossing:
    """A request, perhaps of a page from elsewhere. `route_of` tells what a client's bucket name means."""

    head: RequestHead
    target: Target
    route_of: Callable[[str], BucketRoute]
    upstreams: Mapping[str, Upstream]

    @property
    def is_preflight(self) -> bool:
        """Tell whether it only asks for the rules. Its target, signature and all, is that of the request to come."""
        return self.head.method == "OPTIONS" and not self.head.header("authorization")

    async def preflight(self, exchange: Exchange) -> None:
        """Let the store answer. Raises what reaching it raises, and ApiError for an address that is none."""
        asked = tuple(pair for pair in self.head.headers if pair[0] in _ASKS)
        async with self._store().open(StoreRequest("OPTIONS", self.target.raw_key, "", asked)) as answer:
            await relay(exchange, answer, answer.headers)

    async def rules(self) -> Headers:
        """Return what an answer to this request must say so that the page may read it; nothing when it may not."""
        origin = self.head.header("origin")
        if not origin or self.is_preflight:
            return ()
        asked = (("origin", origin), ("access-control-request-method", self.head.method))
        request = StoreRequest("OPTIONS", self.target.raw_key, "", asked)
        try:
            async with asyncio.timeout(_WAIT_S), self._store().open(request) as answer:
                return tuple(pair for pair in answer.headers if answer.status < 300 and pair[0].lower() in _TELLS)
        except (ApiError, TimeoutError):
            return ()

    def _store(self) -> StoreBucket:
        check_address(self.target)
        bucket = self.route_of(self.target.ref.bucket)
        return StoreBucket(self.upstreams[bucket.upstream], bucket.store_name, signed=False)
