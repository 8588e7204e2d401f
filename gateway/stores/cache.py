"""What was found out about objects, kept for whoever asks next: in memory, and shared through Valkey or Redis.

Values are bytes under names; must not know what they mean, nor who may see them: whoever asks has found that out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from gateway.stores.cache_settings import CacheSettings

_log = logging.getLogger("gateway")

_ENTRY_BYTES = 400  # what Python needs beside the value itself
_RESULT, _LEASE = "gateway:result:", "gateway:lease:"
_FROM_SHARED_S = 60.0  # how long memory keeps what it has from the shared cache, whose own limits it cannot see
_CONNECTIONS = 16
_QUIET_S = 1.0  # a shared cache that has failed is left alone for so long: requests must not wait for it one by one
_POLL_S = (0.02, 0.25)  # between two looks at another gateway's lease: the first pause, the longest one
_NOBODY = "nobody"  # has the lease, as there is no shared cache that could give it
_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class Lease:
    """The right to find something out for everybody who waits for it.

    `failure` is what they are told instead. Where nothing was found out it is `abandoned`, and one of them has it next.
    """

    def __init__(self) -> None:
        self.failure: ApiError | None = None
        self.abandoned = False


class ResultCache(Protocol):
    """Keeps results by name. It may forget at any time, and it never raises because of itself."""

    def near(self, name: str) -> bytes | None:
        """Return what this process itself keeps under the name."""
        ...

    async def get(self, name: str, *, unlike: bytes | None = None) -> bytes | None:
        """Return what is kept under the name, wherever, but not `unlike`, which has turned out to be old.

        Meant for whoever has the lease, or waited for it: many ask at once.
        """
        ...

    async def put(self, name: str, value: bytes, *, brief: bool = False) -> None:
        """Keep a value, a `brief` one for no longer than the settings say."""
        ...

    def lease(self, name: str) -> AbstractAsyncContextManager[Lease | None]:
        """Enter at once with the lease while nobody else has it, else, with None, when whoever has it is done.

        After that it is worth looking again, in both cases. Whoever has the lease and fails by a fault (an ApiError
        with a status of 500 or more, or `Lease.failure`) fails for all who wait: they raise the same. Whoever is
        cancelled leaves the lease to one of them.
        """
        ...

    def count(self, event: str) -> None:
        """Note what became of a request, for the metrics; events come from a bounded set."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


# --- in memory ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Flight:
    """Something that is being found out; `abandoned` unless it came to an end."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = True
    failure: ApiError | None = None


class MemoryResults:
    """Keeps at most `max_bytes` in this process; what has not been asked for the longest goes first."""

    def __init__(
        self,
        max_bytes: int,
        brief_s: float = 60.0,
        on_event: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._brief_s = brief_s
        self._on_event = on_event
        self._clock = clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()  # value, when it ends
        self._flights: dict[str, _Flight] = {}
        self.bytes = 0

    def near(self, name: str) -> bytes | None:
        """See `ResultCache`."""
        value, ends_at = self._kept.get(name, (None, inf))
        if value is None:
            return None
        if self._clock() >= ends_at:
            self._forget(name)
            return None
        self._kept.move_to_end(name)
        return value

    async def get(self, name: str, *, unlike: bytes | None = None) -> bytes | None:
        """See `ResultCache`."""
        value = self.near(name)
        return None if value == unlike else value

    async def put(self, name: str, value: bytes, *, brief: bool = False) -> None:
        """See `ResultCache`."""
        self.keep(name, value, self._brief_s if brief else inf)

    def keep(self, name: str, value: bytes, life_s: float) -> None:
        """Keep a value for `life_s` seconds, or until its place is needed."""
        self._forget(name)
        self._kept[name] = (value, self._clock() + life_s)
        self.bytes += len(value) + _ENTRY_BYTES
        while self.bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, name: str) -> None:
        value, _ = self._kept.pop(name, (None, inf))
        self.bytes -= 0 if value is None else len(value) + _ENTRY_BYTES

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease | None]:
        """See `ResultCache`."""
        while flight := self._flights.get(name):
            await flight.ended.wait()
            if flight.failure:
                raise _anew(flight.failure)
            if not flight.abandoned:
                yield None
                return
        flight = self._flights[name] = _Flight()
        lease = Lease()
        try:
            yield lease
            flight.abandoned, flight.failure = lease.abandoned, lease.failure
        except ApiError as error:
            flight.abandoned, flight.failure = False, error if error.kind.status >= 500 else None
            raise
        finally:
            del self._flights[name]
            flight.ended.set()

    def count(self, event: str) -> None:
        """See `ResultCache`."""
        self._on_event(event)

    async def close(self) -> None:
        """See `ResultCache`."""


def _anew(error: ApiError) -> ApiError:
    """Return an equal error: one that is raised in many tasks would collect all their traces."""
    return ApiError(error.kind, error.detail, message=error.message, fields=error.fields, headers=error.headers)


# --- shared ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Lock:
    """A lease in the shared cache: its name there, and a token that nobody else has."""

    name: str
    token: str
    may_be_ours: bool = False


class SharedResults:
    """Keeps results in memory and, for the other gateways, in Valkey or Redis.

    Whatever happens to the shared cache, requests go on as if it were empty: it is logged, counted, and left alone for
    a moment.
    """

    def __init__(self, memory: MemoryResults, settings: CacheSettings, clock: Callable[[], float] = monotonic) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 # an optional dependency
        from redis.asyncio.retry import Retry  # noqa: PLC0415 # the same
        from redis.backoff import NoBackoff  # noqa: PLC0415 # the same
        from redis.exceptions import RedisError  # noqa: PLC0415 # the same

        self._memory = memory
        self._settings = settings
        self._clock = clock
        self._failures = (RedisError, OSError)
        self._quiet_until = -inf
        self._unlocking: set[asyncio.Task[None]] = set()
        # Whatever breaks off in the middle, a cancelled request included, costs the client its connection: an answer
        # that is left over must not be taken for the next one's.
        pool = BlockingConnectionPool.from_url(
            settings.url.reveal(),
            max_connections=_CONNECTIONS,
            timeout=settings.timeout_s,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Any = Redis.from_pool(pool)

    def near(self, name: str) -> bytes | None:
        """See `ResultCache`."""
        return self._memory.near(name)

    async def get(self, name: str, *, unlike: bytes | None = None) -> bytes | None:
        """See `ResultCache`."""
        value = await self._memory.get(name, unlike=unlike)
        if value is not None:
            return value
        found: tuple[bytes | None, float] = await self._try(lambda: self._with_life(_RESULT + name), (None, 0.0))
        value, life_s = found
        if value is None or value == unlike:
            return None
        self._memory.keep(name, value, min(_FROM_SHARED_S, life_s))
        return value

    async def _with_life(self, name: str) -> tuple[bytes | None, float]:
        """Return a value and the seconds that it has left, in one round trip."""
        async with self._redis.pipeline(transaction=False) as commands:
            value, left_ms = await commands.get(name).pttl(name).execute()
        return value, inf if left_ms < 0 else left_ms / 1000

    async def put(self, name: str, value: bytes, *, brief: bool = False) -> None:
        """See `ResultCache`."""
        await self._memory.put(name, value, brief=brief)
        life_ms = max(1, round(1000 * (self._settings.negative_s if brief else self._settings.shared_s)))
        await self._try(lambda: self._redis.set(_RESULT + name, value, px=life_ms), None)

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease | None]:
        """See `ResultCache`. One task of each gateway waits for another gateway's lease, which ends by itself."""
        async with self._memory.lease(name) as lease:
            if lease is None:
                yield None
                return
            lock = _Lock(_LEASE + name, secrets.token_hex(8))
            try:
                await self._lock(name, lock)
                yield lease
            finally:
                if lock.may_be_ours and not await self._unlock(lock):
                    again = asyncio.create_task(self._unlock_later(lock))
                    self._unlocking.add(again)
                    again.add_done_callback(self._unlocking.discard)

    async def _lock(self, name: str, lock: _Lock) -> None:
        """Wait until no other gateway has the lease or it has put a result; `lock` says whether it may be ours now."""
        give_up_at, pause_s = self._clock() + self._settings.lease_s, _POLL_S[0]
        known = await self._try(lambda: self._redis.exists(_RESULT + name), 0)
        while self._clock() < give_up_at:
            locked = await self._try(lambda: self._asked_for(lock), _NOBODY)
            if locked or (not known and await self._try(lambda: self._redis.exists(_RESULT + name), 0)):
                return
            await asyncio.sleep(pause_s)
            pause_s = min(_POLL_S[1], 2 * pause_s)

    async def _asked_for(self, lock: _Lock) -> Any:
        """Ask for the lease once. Whatever breaks off here may have reached the server."""
        lock.may_be_ours = True
        life_ms = max(1, round(self._settings.lease_s * 1000))
        locked = await self._redis.set(lock.name, lock.token, nx=True, px=life_ms)
        lock.may_be_ours = bool(locked)
        return locked

    async def _unlock(self, lock: _Lock) -> bool:
        """Give the lease back, where it is ours; False when nobody knows whether that worked.

        Not even a cache that is left alone is spared: other gateways would wait until the lease has ended by itself.
        """
        self._quiet_until = -inf
        told = await self._try(lambda: self._redis.eval(_UNLOCK, 1, lock.name, lock.token), _NOBODY)
        return told is not _NOBODY

    async def _unlock_later(self, lock: _Lock) -> None:
        await asyncio.sleep(_QUIET_S)
        await self._unlock(lock)

    async def _try(self, command: Callable[[], Awaitable[Any]], otherwise: Any) -> Any:
        if self._clock() < self._quiet_until:
            return otherwise
        try:
            return await command()
        except self._failures as error:
            self._quiet_until = self._clock() + _QUIET_S
            self.count("shared_failed")
            _log.warning("the shared cache does not answer (%s): going on without it", type(error).__name__)
            return otherwise

    def count(self, event: str) -> None:
        """See `ResultCache`."""
        self._memory.count(event)

    async def close(self) -> None:
        """See `ResultCache`."""
        await asyncio.gather(*self._unlocking)
        await self._redis.aclose()


def result_cache(settings: CacheSettings, on_event: Callable[[str], None]) -> MemoryResults | SharedResults:
    """Make the cache that the settings ask for."""
    memory = MemoryResults(settings.memory_bytes, settings.negative_s, on_event)
    return SharedResults(memory, settings) if settings.url.reveal() else memory
