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
    elif url and find_spec("redis") is None:
        yield f"{setting}: needs an optional package: pip install 's3-score-gateway[redis]'"
    elif url and not _is_understood(url):
        yield f"{setting}: is not a URL of a Redis: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], unix:///SOCKET"


def _is_understood(url: str) -> bool:
    from redis.connection import parse_url  # noqa: PLC0415 # an optional dependency

    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:  # says what the URL holds, which is a secret
        return False
    return True
