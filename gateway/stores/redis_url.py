"""What a setting that names a Redis or Valkey may say. Opens nothing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def redis_url_contradictions(setting: str, url: str) -> Iterator[str]:
    """Yield each mistake of a URL, with its setting's name; an empty one means that none is used."""
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        yield f"{setting}: must start with redis://, rediss:// or unix://"
    if url and find_spec("redis") is None:
        yield f"{setting}: needs an optional package: pip install 's3-score-gateway[redis]'"
