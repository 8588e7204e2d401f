"""Whoever waits too long for an answer fails, and nobody else does."""

from __future__ import annotations

import asyncio

from gateway.stores.patience import Patience


class Waiting:
    """Somebody who waits; `failed` is what he was told."""

    def __init__(self) -> None:
        self.failed: asyncio.Queue[BaseException] = asyncio.Queue()

    def fail(self, error: BaseException) -> None:
        self.failed.put_nowait(error)


async def test_those_who_wait_too_long_fail_and_those_who_were_answered_do_not() -> None:
    patience = Patience(0.2)
    first, answered, last = Waiting(), Waiting(), Waiting()
    for each in (first, answered, last):
        patience.begin(each.fail)
        assert each.failed.empty()
    patience.end(answered.fail)
    patience.end(answered.fail)  # as often as one likes
    async with asyncio.timeout(10):
        assert isinstance(await first.failed.get(), TimeoutError)
        assert isinstance(await last.failed.get(), TimeoutError)
    assert all(each.failed.empty() for each in (first, answered, last))


async def test_it_looks_again_after_nobody_waited() -> None:
    patience, waiting = Patience(0.05), Waiting()
    for _ in range(2):
        patience.begin(waiting.fail)
        async with asyncio.timeout(10):
            assert isinstance(await waiting.failed.get(), TimeoutError)
        await asyncio.sleep(0.03)
