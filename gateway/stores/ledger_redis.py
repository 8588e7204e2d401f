"""The ledger in Redis or Valkey, for gateways on several machines. Must not know vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.assets import Asset, dumps, loads
from gateway.stores.redis_link import RedisLink

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_PREFIX = "s3-score-gateway:"
_PAGE = 200
# An asset is a field of its cloud's table; a sorted set orders the public ids, and a key finds them by asset id.
# An asset that is put under another name leaves its old one.
_PUT = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
local known = old and cjson.decode(old) or {asset_id = '', version_id = ''}
if known['version_id'] ~= ARGV[6] then return 0 end
if old then redis.call('DEL', ARGV[4] .. known['asset_id']) end
local place = redis.call('GET', ARGV[4] .. ARGV[3])
local cloud = ARGV[5] .. '/'
if place and string.sub(place, 1, #cloud) == cloud then
  redis.call('HDEL', KEYS[1], string.sub(place, #cloud + 1))
  redis.call('ZREM', KEYS[2], string.sub(place, #cloud + 1))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('SET', ARGV[4] .. ARGV[3], cloud .. ARGV[1])
return 1
"""
_REMOVE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old or cjson.decode(old)['version_id'] ~= ARGV[3] then return end
redis.call('DEL', ARGV[2] .. cjson.decode(old)['asset_id'])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
"""
_COUNT = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return total
"""


class RedisLedger:
    """A ledger at a Redis URL; the connections are pooled, and made on first use."""

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)

    async def put_asset(self, asset: Asset, over: str = "") -> bool:
        """See `Ledger`."""
        values = (asset.public_id, dumps(asset), asset.asset_id, f"{_PREFIX}asset:", asset.cloud, over)
        return bool(await self._link.run(_PUT, _tables(asset.cloud), values))

    async def asset(self, cloud: str, public_id: str) -> Asset | None:
        """See `Ledger`."""
        async with self._link.client() as client:
            document = await client.hget(_tables(cloud)[0], public_id)
        return loads(document) if document else None

    async def asset_by_id(self, asset_id: str) -> Asset | None:
        """See `Ledger`."""
        async with self._link.client() as client:
            place = await client.get(f"{_PREFIX}asset:{asset_id}")
        if not place:
            return None
        cloud, _, public_id = place.decode().partition("/")
        found = await self.asset(cloud, public_id)
        return found if found and found.asset_id == asset_id else None

    async def remove_asset(self, asset: Asset) -> None:
        """See `Ledger`."""
        values = (asset.public_id, f"{_PREFIX}asset:", asset.version_id)
        await self._link.run(_REMOVE, _tables(asset.cloud), values)

    async def assets(self, cloud: str, prefix: str = "", after: str = "") -> AsyncGenerator[Asset]:
        """See `Ledger`."""
        table, order = _tables(cloud)
        while True:
            begin = b"(" + after.encode() if after and after >= prefix else b"[" + prefix.encode()
            end = b"[" + prefix.encode() + b"\xff"
            async with self._link.client() as client:
                names = await client.zrangebylex(order, begin, end, start=0, num=_PAGE)
                documents = await client.hmget(table, names) if names else []
            for document in documents:
                if document:
                    yield loads(document)
            if len(names) < _PAGE:
                return
            after = names[-1].decode()

    async def count(self, name: str, amount: int, lasts_s: int) -> int:
        """See `Ledger`."""
        return int(await self._link.run(_COUNT, (f"{_PREFIX}count:{name}",), (amount, lasts_s)))

    async def close(self) -> None:
        """See `Ledger`."""
        await self._link.close()


def _tables(cloud: str) -> tuple[str, str]:
    return f"{_PREFIX}assets:{cloud}", f"{_PREFIX}order:{cloud}"
