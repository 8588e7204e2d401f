"""The ledger in a file of SQLite, shared by the gateway processes of one machine. Must not know vendors."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from gateway.assets import Asset, dumps, loads
from gateway.stores.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator
    from pathlib import Path

_PAGE = 200
_LAST = "\U0010ffff"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS asset (
  cloud TEXT NOT NULL, public_id TEXT NOT NULL, asset_id TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
  PRIMARY KEY (cloud, public_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, total INTEGER NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
"""
# One lower bound: of two, SQLite might seek by the lower one, and read all that lies between them.
_PAGE_QUERY = (
    "SELECT document FROM asset WHERE cloud = ? AND public_id {} ? AND public_id <= ? ORDER BY public_id LIMIT ?"
)
_ONE_QUERY = "SELECT document FROM asset WHERE cloud = ? AND public_id = ?"
_COUNT_QUERY = (
    "INSERT INTO counter VALUES (?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET total = total + excluded.total RETURNING total"
)


class SqliteLedger:
    """A ledger in one file, which is made, with its folder, on first use."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    async def put_asset(self, asset: Asset, over: str = "") -> bool:
        """See `Ledger`."""
        row = (asset.cloud, asset.public_id, asset.asset_id, dumps(asset))

        def put(db: sqlite3.Connection) -> bool:
            if _version(row[:2], db) != over:
                return False
            db.execute("INSERT OR REPLACE INTO asset VALUES (?, ?, ?, ?)", row)
            return True

        return await self._file.run(put)

    async def asset(self, cloud: str, public_id: str) -> Asset | None:
        """See `Ledger`."""
        return await self._one(_ONE_QUERY, cloud, public_id)

    async def asset_by_id(self, asset_id: str) -> Asset | None:
        """See `Ledger`."""
        return await self._one("SELECT document FROM asset WHERE asset_id = ?", asset_id)

    async def remove_asset(self, asset: Asset) -> None:
        """See `Ledger`."""
        row = (asset.cloud, asset.public_id)

        def remove(db: sqlite3.Connection) -> None:
            if _version(row, db) == asset.version_id:
                db.execute("DELETE FROM asset WHERE cloud = ? AND public_id = ?", row)

        await self._file.run(remove)

    async def assets(self, cloud: str, prefix: str = "", after: str = "") -> AsyncGenerator[Asset]:
        """See `Ledger`."""
        while True:
            goes_on = bool(after) and after >= prefix
            query = _PAGE_QUERY.format(">" if goes_on else ">=")
            row = (cloud, after if goes_on else prefix, prefix + _LAST, _PAGE)
            rows = await self._file.run(partial(_rows, query, row))
            for (document,) in rows:
                asset = loads(document)
                yield asset
                after = asset.public_id
            if len(rows) < _PAGE:
                return

    async def count(self, name: str, amount: int, lasts_s: int) -> int:
        """See `Ledger`."""
        now = time.time()

        def add(db: sqlite3.Connection) -> int:
            db.execute("DELETE FROM counter WHERE ends <= ?", (now,))
            (total,) = db.execute(_COUNT_QUERY, (name, amount, now + lasts_s)).fetchone()
            return int(total)

        return await self._file.run(add)

    async def close(self) -> None:
        """See `Ledger`."""
        await self._file.close()

    async def _one(self, query: str, *values: str) -> Asset | None:
        rows = await self._file.run(partial(_rows, query, values))
        return loads(rows[0][0]) if rows else None


def _version(row: tuple[str, str], db: sqlite3.Connection) -> str:
    """Return the version id of what is known by a cloud and a public id, `""` when nothing is."""
    found = _rows(_ONE_QUERY, row, db)
    return loads(found[0][0]).version_id if found else ""


def _rows(query: str, values: tuple[str | int, ...], db: sqlite3.Connection) -> list[tuple[str]]:
    return db.execute(query, values).fetchall()
