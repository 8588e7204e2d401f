"""One file of SQLite, shared by several processes: one thread a process works on it, one transaction at a time."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import LEDGER_FAILED, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")
_BUSY_S = 20.0  # how long another process may hold the file
_TRIES = 200


class SqliteFile:
    """A file that is made, with its folder, on first use. `schema` is run each time it is opened."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._thread = ThreadPoolExecutor(1, path.stem)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Let the thread do some work as one transaction. Raises LEDGER_FAILED."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        except (sqlite3.Error, OSError) as error:
            raise ApiError(LEDGER_FAILED, f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Let go of the file; what runs comes to its end first."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            self._connection = self._connect()
        with self._connection as db:
            db.execute("BEGIN IMMEDIATE")  # a reader that turns writer could not wait for its turn
            return work(db)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # notification URLs are in it
        db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        _turn_to_wal(db)
        db.execute("PRAGMA synchronous = FULL")  # what was promised outlives a loss of power
        db.executescript(self._schema)
        return db

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _turn_to_wal(db: sqlite3.Connection) -> None:
    """Switch the file to its write-ahead log; two processes that do so at once do not wait for each other."""
    for _ in range(_TRIES):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise  # a full disk, say, which waiting does not mend
            time.sleep(_BUSY_S / _TRIES)
        else:
            return
    db.execute("PRAGMA journal_mode = WAL")
