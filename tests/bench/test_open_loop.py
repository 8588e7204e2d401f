from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import pytest

from bench import open_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STALL_S, RATE = 1.0, 100.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def served(stalls_at: int) -> AsyncIterator[str]:
    """A server that answers at once, but for one request; it ends when its clients have gone."""
    number, served = 0, set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        served.add(asyncio.current_task())
        with closing(writer), suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                number += 1
                await asyncio.sleep(STALL_S if number == stalls_at else 0)
                writer.write(ANSWER)
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bench/10KB?X-Amz-Signature=0"
        await asyncio.gather(*(task for task in served if task))


async def test_those_who_were_due_while_the_server_stalled_count_their_whole_wait() -> None:
    async with served(stalls_at=10) as url:
        waited = await open_loop.run(url, RATE, seconds=2, connections=1)
    assert len(waited.answered) == 200
    # A load that waits for its answers would have one long wait here; this one has one for every 10 ms of the stall.
    assert sum(wait > STALL_S / 4 for wait in waited.answered) >= RATE * STALL_S / 2
    assert max(waited.late) > STALL_S / 2, "with one connection they were sent late, which is no excuse"


async def test_an_answer_that_is_no_success_ends_the_load() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(SystemExit, match="503"):
        await open_loop.read_answer(reader)


def test_a_percentile_is_one_of_the_waits() -> None:
    assert open_loop.percentile([float(number) for number in range(200)], 99) == 198
