"""Tasks in Redis or Valkey, for gateways on several machines. Must not know vendors.

A task is a hash; a sorted set orders the tasks that have something left to do by the time at which they are due, and a
set for each access key says which of them are its own. Each change is one script, so that no other client sees half of
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.stores.redis_link import RedisLink
from gateway.tasks import request_text, task_of

if TYPE_CHECKING:
    from gateway.stores.task_ledger import Places
    from gateway.tasks import Task, TaskSchedule

_TASK = "s3-score-gateway:task:"
_DUE = "s3-score-gateway:tasks-due"
_OF_KEY = "s3-score-gateway:tasks-of:"
_FIELDS = ("request", "status", "outcome", "attempts", "deliveries", "claim")
_ADD = """
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[5]) then return 0 end
local places = tonumber(ARGV[7])
if places > 0 and redis.call('SCARD', KEYS[3]) >= places then
  for _, id in ipairs(redis.call('SMEMBERS', KEYS[3])) do  -- an earlier version of this gateway may have ended some
    if not redis.call('ZSCORE', KEYS[1], id) then redis.call('SREM', KEYS[3], id) end
  end
  if redis.call('SCARD', KEYS[3]) >= places then return 0 end
end
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[2], 'request', ARGV[2], 'status', ARGV[3], 'outcome', ARGV[6], 'attempts', 0,
  'deliveries', 0, 'claim', 0)
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
return 1
"""
_CLAIM = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1)
if #ids == 0 then return false end
local task = ARGV[3] .. ids[1]
local status = redis.call('HGET', task, 'status')
if not status then
  redis.call('ZREM', KEYS[1], ids[1])
  return false
end
redis.call('ZADD', KEYS[1], ARGV[2], ids[1])
redis.call('HINCRBY', task, 'claim', 1)
if status == 'pending' then redis.call('HSET', task, 'status', 'processing') end
local counted = (status == 'pending' or status == 'processing') and 'attempts' or 'deliveries'
redis.call('HINCRBY', task, counted, 1)
return redis.call('HMGET', task, 'request', 'status', 'outcome', 'attempts', 'deliveries', 'claim')
"""
_SAVE = """
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], 'status', ARGV[3], 'outcome', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('ZADD', KEYS[1], ARGV[5], ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('SREM', KEYS[3], ARGV[1])
  redis.call('EXPIREAT', KEYS[2], ARGV[6])
end
return 1
"""


class RedisTasks:
    """A task ledger at a Redis URL; the connections are pooled, and made on first use."""

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)

    async def add(self, task: Task, due_at: float, places: Places) -> bool:
        """See `TaskLedger`."""
        told = (task.task_id, request_text(task), task.status, repr(due_at))
        values = (*told, places.max_open, task.outcome, places.max_open_of_key)
        return bool(await self._link.run(_ADD, _keys(task), values))

    async def task(self, task_id: str) -> Task | None:
        """See `TaskLedger`."""
        async with self._link.client() as client:
            row = await client.hmget(_TASK + task_id, _FIELDS)
        return _task(row) if row[0] else None

    async def claim(self, now: float, until: float) -> Task | None:
        """See `TaskLedger`."""
        row = await self._link.run(_CLAIM, (_DUE,), (repr(now), repr(until), _TASK))
        return _task(row) if row else None

    async def save(self, task: Task, schedule: TaskSchedule) -> bool:
        """See `TaskLedger`."""
        due_at = "" if schedule.due_at is None else repr(schedule.due_at)
        values = (task.task_id, task.claim, task.status, task.outcome, due_at, int(schedule.forget_at))
        return bool(await self._link.run(_SAVE, _keys(task), values))

    async def forget(self, now: float) -> None:
        """See `TaskLedger`: the server does so by itself."""

    async def close(self) -> None:
        """See `TaskLedger`."""
        await self._link.close()


def _keys(task: Task) -> tuple[str, str, str]:
    return _DUE, _TASK + task.task_id, _OF_KEY + task.access_key_id


def _task(row: list[bytes]) -> Task:
    request, status, outcome = (value.decode() for value in row[:3])
    attempts, deliveries, claim = (int(value) for value in row[3:])
    return task_of(request, status, outcome, attempts, deliveries, claim)
