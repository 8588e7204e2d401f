"""Asks for scores of new objects without a pause, so that scorers have always something to do.

`python -m bench.saturate AUTHORITY CONNECTIONS FIRST`: objects `/bench/picture-N.jpg` from N = FIRST on. It prints a
line at the first answer, and on SIGTERM how many were scored and how many refused.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from bench.servers import signed

if TYPE_CHECKING:
    from collections.abc import Iterator

SCORE = "x-oss-process=image%2Fscore"


async def ask(session: aiohttp.ClientSession, authority: str, numbers: Iterator[int], seen: Counter[int]) -> None:
    while True:
        url = signed(authority, f"/bench/picture-{next(numbers)}.jpg", query=SCORE)
        async with session.get(URL(url, encoded=True)) as answer:
            await answer.read()
            if not seen:
                print("begun", flush=True)
            seen[answer.status] += 1


async def main(authority: str, connections: int, first: int) -> None:
    numbers, seen, told = count(first), Counter[int](), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(ask(session, authority, numbers, seen)) for _ in range(connections)]
        waiting = asyncio.create_task(told.wait())
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    scored = seen.pop(200, 0)
    print(json.dumps({"scored": scored, "refused": seen.total()}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
