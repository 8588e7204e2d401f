"""What an operator can say of the score cache, and what cannot be meant. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.credentials import Secret
from gateway.stores.redis_url import redis_url_contradictions

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Where results are kept for whoever asks next. They count only for as long as the store says that they do."""

    memory_bytes: int = 32 * 2**20  # in each gateway process; 0: nothing is kept
    negative_s: float = 60.0  # how long it is remembered that an object cannot be scored
    url: Secret = field(default_factory=lambda: Secret(""))  # redis://, rediss:// or unix://, shared by all gateways
    shared_s: float = 604_800.0  # how long the shared cache keeps a result
    timeout_s: float = 0.5  # of the shared cache; then a request goes on without it
    lease_s: float = 60.0  # how long one gateway may keep the others from scoring the same object


def cache_contradictions(cache: CacheSettings) -> Iterator[str]:
    """Yield each mistake, with its setting's name."""
    yield from redis_url_contradictions("cache.url", cache.url.reveal())
