"""What must be remembered beside the objects: assets, counters, tasks. Says what a ledger does; knows no vendor.

Two kinds: a file of the embedded SQLite, shared by the gateway processes of one machine, and Redis or Valkey for
gateways on several. Neither is opened before it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gateway.assets import Asset

FILE_NAME = "ledger.sqlite3"


class Ledger(Protocol):
    """Assets by (cloud, public id) and by their own id, and counters. Methods raise LEDGER_FAILED."""

    async def put_asset(self, asset: Asset, over: str = "") -> bool:
        """Remember an asset, in place of what was known under its cloud and public id, or under its own id.

        `over` is the version id that was read under this cloud and public id, `""` when nothing was known. False, and
        nothing remembered, when it is another one by now.
        """
        ...

    async def asset(self, cloud: str, public_id: str) -> Asset | None:
        """Return an asset by its name."""
        ...

    async def asset_by_id(self, asset_id: str) -> Asset | None:
        """Return an asset by its own id, from whatever cloud."""
        ...

    async def remove_asset(self, asset: Asset) -> None:
        """Forget an asset that was read, unless its name has got another content since."""
        ...

    def assets(self, cloud: str, prefix: str = "", after: str = "") -> AsyncGenerator[Asset]:
        """Yield a cloud's assets in the order of their public ids: those with this prefix, behind the id `after`."""
        ...

    async def count(self, name: str, amount: int, lasts_s: int) -> int:
        """Add to a counter and return its sum; it is forgotten after `lasts_s` seconds, from its first count on."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...


def open_ledger(url: str, folder: str) -> Ledger:
    """Return the ledger at a Redis URL, or, when that is empty, in the file in `folder`. Touches neither yet."""
    if url:
        from gateway.stores.ledger_redis import RedisLedger  # noqa: PLC0415 # the client is an optional package

        return RedisLedger(url)
    from gateway.stores.ledger_sqlite import SqliteLedger  # noqa: PLC0415 # nor is the other one needed by all

    return SqliteLedger(Path(folder) / FILE_NAME)
