from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.errors import NO_SUCH_KEY, SCORERS_BUSY, SCORING_TOO_SLOW, ApiError
from gateway.stores.cache import MemoryResults

if TYPE_CHECKING:
    from gateway.errors import ErrorKind
    from gateway.stores.cache import ResultCache


async def test_what_is_put_is_got_until_its_place_is_needed_by_others() -> None:
    results = MemoryResults(max_bytes=3000)
    for name in ("a", "b", "c"):
        await results.put(name, bytes(500))
    assert results.near("a") == bytes(500)
    await results.put("d", bytes(500))
    assert [name for name in "abcd" if results.near(name)] == ["a", "c", "d"], "b was not asked for the longest"
    await results.put("e", bytes(2000))
    assert [name for name in "abcde" if results.near(name)] == ["d", "e"][1:]


async def test_the_bound_counts_bytes_and_what_is_put_again_counts_once() -> None:
    results = MemoryResults(max_bytes=10_000)
    for number in range(1000):
        await results.put("same", bytes(number))
        await results.put(f"{number}", bytes(100))
        assert results.bytes <= 10_000
    await results.put("far too long", bytes(20_000))
    assert (results.bytes, results.near("far too long"), results.near("999")) == (0, None, None)


async def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    results = MemoryResults(0)
    await results.put("a", b"")
    assert results.near("a") is None


async def test_a_brief_value_ends_and_others_do_not() -> None:
    now = 0.0
    results = MemoryResults(10_000, brief_s=60, clock=lambda: now)
    await results.put("brief", b"1", brief=True)
    await results.put("long", b"2")
    now = 59.9
    assert results.near("brief") == b"1"
    now = 60.0
    assert (results.near("brief"), results.near("long")) == (None, b"2")
    now = 1e9
    assert results.near("long") == b"2"


# --- single flight --------------------------------------------------------------------------------------------------


class Work:
    """Tasks that want the same thing found out; `ends` is what becomes of whoever has the lease."""

    def __init__(self, results: ResultCache, end: BaseException | None = None, failure: ApiError | None = None) -> None:
        self.results = results
        self.end = end
        self.failure = failure
        self.leased = 0
        self.go = asyncio.Event()

    async def one(self, name: str = "a") -> str:
        async with self.results.lease(name) as lease:
            if lease is None:
                return "waited"
            self.leased += 1
            await self.go.wait()
            lease.failure = self.failure
            if self.end:
                raise self.end
            return "worked"

    async def many(self, count: int) -> list[str | BaseException]:
        tasks = [asyncio.create_task(self.one()) for _ in range(count)]
        await asyncio.sleep(0.01)
        self.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_of_many_works_and_the_others_wait_for_it() -> None:
    work = Work(MemoryResults(0))
    assert sorted(map(str, await work.many(50))) == [*["waited"] * 49, "worked"]
    assert work.leased == 1
    assert await work.one() == "worked", "nothing is left of it"


async def test_other_names_do_not_wait() -> None:
    work = Work(MemoryResults(0))
    task = asyncio.create_task(work.one("a"))
    await asyncio.sleep(0)
    other = asyncio.create_task(work.one("b"))
    await asyncio.sleep(0.01)
    assert work.leased == 2
    work.go.set()
    assert [await task, await other] == ["worked", "worked"]


@pytest.mark.parametrize(
    ("kind", "is_raised", "told"),
    [(SCORERS_BUSY, True, ApiError), (SCORING_TOO_SLOW, False, ApiError), (NO_SUCH_KEY, True, str)],
)
async def test_a_fault_is_told_to_all_who_wait_and_a_refusal_is_not(
    kind: ErrorKind,
    is_raised: bool,  # noqa: FBT001 # a table's column
    told: type,
) -> None:
    error = ApiError(kind, "detail")
    work = Work(MemoryResults(0), error if is_raised else None, None if is_raised else error)
    outcomes = await work.many(10)
    others = [outcome for outcome in outcomes if outcome is not error and outcome != "worked"]
    assert len(others) == 9
    assert all(isinstance(outcome, told) for outcome in others)
    errors = [outcome for outcome in others if isinstance(outcome, ApiError)]
    assert all((outcome.kind, outcome.detail) == (kind, "detail") for outcome in errors)
    assert len({id(outcome) for outcome in errors}) == len(errors), "each has a trace of its own"


async def test_whoever_is_cancelled_leaves_the_lease_to_another() -> None:
    work = Work(MemoryResults(0))
    tasks = [asyncio.create_task(work.one()) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in tasks[:2]:
        task.cancel()
        await asyncio.sleep(0.01)
    work.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:2]] == [asyncio.CancelledError] * 2
    assert sorted(map(str, outcomes[2:])) == ["waited", "waited", "worked"]
    assert work.leased == 3
