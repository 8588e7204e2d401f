"""Tasks in a file of SQLite, for the gateway processes of one machine. Must not know vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.stores.sqlite_file import SqliteFile
from gateway.tasks import request_text, task_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from gateway.stores.task_ledger import Places
    from gateway.tasks import Task, TaskSchedule

_SCHEMA = """
CREATE TABLE IF NOT EXISTS task (
  task_id TEXT PRIMARY KEY, request TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT NOT NULL,
  attempts INTEGER NOT NULL, deliveries INTEGER NOT NULL, claim INTEGER NOT NULL, due_at REAL, forget_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS task_due ON task (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS task_key ON task (json_extract(request, '$.access_key_id')) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS task_forget ON task (forget_at) WHERE due_at IS NULL;
"""
_OPEN_OF_KEY = "SELECT COUNT(*) FROM task WHERE due_at IS NOT NULL AND json_extract(request, '$.access_key_id') = ?"
_COLUMNS = "request, status, outcome, attempts, deliveries, claim"
_CLAIM = f"""
UPDATE task SET
  due_at = ?, claim = claim + 1,
  attempts = attempts + (status IN ('pending', 'processing')),
  deliveries = deliveries + (status IN ('completed', 'failed')),
  status = CASE status WHEN 'pending' THEN 'processing' ELSE status END
WHERE task_id = (SELECT task_id FROM task WHERE due_at <= ? ORDER BY due_at LIMIT 1)
RETURNING {_COLUMNS}
"""  # noqa: S608 # made of constants
_SAVE = "UPDATE task SET status = ?, outcome = ?, due_at = ?, forget_at = ? WHERE task_id = ? AND claim = ?"


class SqliteTasks:
    """A task ledger in one file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    async def add(self, task: Task, due_at: float, places: Places) -> bool:
        """See `TaskLedger`."""
        row = (task.task_id, request_text(task), task.status, task.outcome, 0, 0, 0, due_at, 0.0)

        def insert(db: sqlite3.Connection) -> bool:
            (count,) = db.execute("SELECT COUNT(*) FROM task WHERE due_at IS NOT NULL").fetchone()
            (of_key,) = db.execute(_OPEN_OF_KEY, (task.access_key_id,)).fetchone()
            if count >= places.max_open or (places.max_open_of_key and of_key >= places.max_open_of_key):
                return False
            db.execute("INSERT INTO task VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            return True

        return await self._file.run(insert)

    async def task(self, task_id: str) -> Task | None:
        """See `TaskLedger`."""
        query = f"SELECT {_COLUMNS} FROM task WHERE task_id = ?"  # noqa: S608 # made of constants
        row = await self._file.run(lambda db: db.execute(query, (task_id,)).fetchone())
        return task_of(*row) if row else None

    async def claim(self, now: float, until: float) -> Task | None:
        """See `TaskLedger`."""
        rows = await self._file.run(lambda db: db.execute(_CLAIM, (until, now)).fetchall())
        return task_of(*rows[0]) if rows else None

    async def save(self, task: Task, schedule: TaskSchedule) -> bool:
        """See `TaskLedger`."""
        row = (task.status, task.outcome, schedule.due_at, schedule.forget_at, task.task_id, task.claim)
        return await self._file.run(lambda db: db.execute(_SAVE, row).rowcount == 1)

    async def forget(self, now: float) -> None:
        """See `TaskLedger`."""
        await self._file.run(lambda db: db.execute("DELETE FROM task WHERE due_at IS NULL AND forget_at <= ?", (now,)))

    async def close(self) -> None:
        """See `TaskLedger`."""
        await self._file.close()
