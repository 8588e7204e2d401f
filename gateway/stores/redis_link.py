"""The connections to a Redis or Valkey, and its failures in our words. Must not know what is kept there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis import asyncio as redis
from redis.exceptions import RedisError

from gateway.errors import LEDGER_FAILED, ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TIMEOUT_S = 5.0


class RedisLink:
    """A server at a URL; connections are pooled, and made on first use."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """Yield the client of the package `redis`; whatever goes wrong becomes LEDGER_FAILED."""
        try:
            yield self._client
        except (RedisError, OSError, TimeoutError) as error:
            raise ApiError(LEDGER_FAILED, f"{type(error).__name__}: {error}") from error

    async def run(self, script: str, keys: tuple[str, ...], values: tuple[str | int, ...]) -> Any:
        """Run a Lua script, which nobody else's command interrupts. Raises LEDGER_FAILED."""
        async with self.client() as client:
            return await client.eval(script, len(keys), *keys, *values)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
