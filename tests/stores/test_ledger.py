"""Both ledgers keep the same promises: SQLite in a file, and a Redis from Debian's package."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.errors import ApiError
from gateway.stores.ledger import open_ledger
from tests.dialects.test_cloudinary_search import asset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.stores.ledger import Ledger


@pytest.fixture(params=["sqlite", "redis"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """The same ledger, opened by two gateways."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    if url:
        from redis import asyncio as redis  # noqa: PLC0415 # only where it is there

        client = redis.from_url(url)
        await client.flushdb()
        await client.aclose()
    first, second = open_ledger(url, str(tmp_path / "data")), open_ledger(url, str(tmp_path / "data"))
    yield first, second
    await first.close()
    await second.close()


async def names(ledger: Ledger, cloud: str, prefix: str = "", after: str = "") -> list[str]:
    async with aclosing(ledger.assets(cloud, prefix, after)) as assets:
        return [one.public_id async for one in assets]


async def test_what_one_gateway_remembers_the_other_finds_by_both_names(both: tuple[Ledger, Ledger]) -> None:
    one = asset("dir/é x", asset_id="1" * 32)
    await both[0].put_asset(one)
    assert await both[1].asset("demo", "dir/é x") == one
    assert await both[1].asset_by_id("1" * 32) == one
    assert await both[1].asset("other", "dir/é x") is None
    assert await both[1].asset_by_id("2" * 32) is None


async def test_an_asset_is_replaced_renamed_and_forgotten(both: tuple[Ledger, Ledger]) -> None:
    ledger = both[0]
    one = asset("a", asset_id="1" * 32)
    await ledger.put_asset(one)
    await ledger.put_asset(replace(one, asset_id="2" * 32))
    assert await ledger.asset_by_id("1" * 32) is None
    renamed = replace(one, asset_id="2" * 32, public_id="b")
    await ledger.remove_asset(one)
    await ledger.put_asset(renamed)
    assert await ledger.asset_by_id("2" * 32) == renamed
    assert await ledger.asset("demo", "a") is None
    await ledger.remove_asset(replace(renamed, version_id="of an earlier content"))
    assert await ledger.asset("demo", "b") == renamed
    await ledger.remove_asset(renamed)
    await ledger.remove_asset(renamed)
    assert await ledger.asset_by_id("2" * 32) is None
    assert await names(ledger, "demo") == []


async def test_an_asset_that_is_put_under_another_name_leaves_its_old_one(both: tuple[Ledger, Ledger]) -> None:
    one = asset("a", asset_id="1" * 32)
    await both[0].put_asset(one)
    await both[1].put_asset(asset("b", asset_id="2" * 32))
    moved = replace(one, public_id="b")
    await both[0].put_asset(moved)
    await both[1].remove_asset(one)
    assert await both[1].asset_by_id("1" * 32) == moved
    assert await both[1].asset_by_id("2" * 32) is None
    assert await names(both[1], "demo") == ["b"]


async def test_only_one_of_several_puts_an_asset_in_the_place_of_what_all_had_read(both: tuple[Ledger, Ledger]) -> None:
    first, *new = (asset("a", asset_id=f"{number:032x}", version_id=f"{number}") for number in range(6))
    for read in ("", "0"):
        if read:
            known = await both[0].asset("demo", "a")
            assert known
            assert await both[0].put_asset(first, known.version_id)
        done = await asyncio.gather(*(both[at % 2].put_asset(one, read) for at, one in enumerate(new)))
        assert sum(done) == 1
        assert await both[0].asset("demo", "a") == new[done.index(True)]
        assert not await both[1].put_asset(first, read)


async def test_assets_come_in_order_from_any_place_on_in_several_pages(both: tuple[Ledger, Ledger]) -> None:
    wanted = [f"{folder}/{number:03}" for folder in ("a", "b", "b-c") for number in range(150)]
    for name in random.Random(1).sample(wanted, len(wanted)):  # noqa: S311 # an order, not a secret
        await both[0].put_asset(asset(name, asset_id=f"{wanted.index(name):032x}", cloud="many"))
    assert await names(both[1], "many") == sorted(wanted)
    assert await names(both[1], "many", "b/") == [name for name in sorted(wanted) if name.startswith("b/")]
    assert await names(both[1], "many", "b/", "b/147") == ["b/148", "b/149"]
    assert await names(both[1], "many", "b", "a/001") == [name for name in sorted(wanted) if name.startswith("b")]


async def test_counters_lose_nothing_between_two_gateways(both: tuple[Ledger, Ledger]) -> None:
    sums = await asyncio.gather(*(both[number % 2].count("n", 1, 60) for number in range(40)))
    assert sorted(sums) == list(range(1, 41))
    assert await both[0].count("other", 3, 60) == 3


async def test_a_ledger_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ledger = open_ledger("", str(tmp_path / "file"))
    with pytest.raises(ApiError, match="ServiceUnavailable"):
        await ledger.count("n", 1, 60)
    await ledger.close()


def test_no_file_is_made_before_it_is_needed(tmp_path: Path) -> None:
    open_ledger("", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


async def test_the_folder_that_is_made_for_the_files_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ledger = open_ledger("", str(folder))
    assert await ledger.asset("demo", "x") is None
    await ledger.close()
    assert folder.stat().st_mode & 0o077 == 0
