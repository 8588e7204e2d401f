"""Asks for scores of new objects without a pause, so that scorers have always something to do.

`python -m bench.saturate AUTHORITY CONNECTIONS FIRST`: objects `/bench/picture-N.jpg` from N = FIRST on. It prints a
line at the first answer, and on SIGTERM how many were answered with success, in how many seconds, and how many refused.

With two more arguments, RATE and NICE, it asks for the pictures themselves, so many a second, and is that nice.
"""

from __future__ import annotations

import asyncio
import json
import os
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


async def ask(
    session: aiohttp.ClientSession, authority: str, numbers: Iterator[int], seen: Counter[int], every_s: float
) -> None:
    """Ask for scores one after the other, or for a picture each `every_s` seconds."""
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        url = signed(authority, f"/bench/picture-{next(numbers)}.jpg", query="" if every_s else SCORE)
        async with session.get(URL(url, encoded=True)) as answer:
            async for _ in answer.content.iter_any():
                pass
            if not seen:
                print("begun", flush=True)
            seen[answer.status] += 1
        due += every_s
        await asyncio.sleep(max(0.0, due - clock()))


async def main(authority: str, connections: int, first: int, rate: float) -> None:
    numbers, seen, told = count(first), Counter[int](), asyncio.Event()
    started = asyncio.get_running_loop().time()
    every_s = connections / rate if rate else 0.0
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(ask(session, authority, numbers, seen, every_s)) for _ in range(connections)]
        waiting = asyncio.create_task(told.wait())
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    done, seconds = seen.pop(200, 0), asyncio.get_running_loop().time() - started
    print(json.dumps({"done": done, "seconds": seconds, "refused": seen.total()}))


if __name__ == "__main__":
    if len(sys.argv) > 5:
        os.nice(int(sys.argv[5]))
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # as scorers do
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 0))
