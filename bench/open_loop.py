"""A load at a constant rate, whose waits count from when a request was due, not from when it could be sent.

`python -m bench.open_loop URL RATE SECONDS CONNECTIONS` prints the waits in milliseconds: `p50_ms`, `p99_ms`, and
`late_ms`, the 99 % of how late the load itself was with handing a request to a connection.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.load import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_SETTLE_S = 0.1


@dataclass(frozen=True)
class Waited:
    """Seconds, one of each for a request: until its answer was whole, and until it could be sent at all."""

    answered: Sequence[float]
    late: Sequence[float]


def measure(url: str, rate: float, seconds: float, connections: int) -> dict[str, float]:
    """Run the load in a process of its own; return its figures."""
    arguments = [url, str(rate), str(seconds), str(connections)]
    return within([sys.executable, "-m", "bench.open_loop", *arguments])


async def run(url: str, rate: float, seconds: float, connections: int) -> Waited:
    """Send `rate` requests a second over so many kept connections; one that is due while none is free waits."""
    place = urlsplit(url)
    request = f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    free: asyncio.Queue[Link] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection(place.hostname, place.port))
    clock = asyncio.get_running_loop().time
    late: list[float] = []

    async def ask(due: float) -> float:
        reader, writer = await free.get()
        late.append(clock() - due)
        writer.write(request)
        await read_answer(reader)
        free.put_nowait((reader, writer))
        return clock() - due

    start, tasks = clock() + _SETTLE_S, []
    for number in range(max(1, int(rate * seconds))):
        due = start + number / rate
        await asyncio.sleep(max(0, due - clock()))
        tasks.append(asyncio.create_task(ask(due)))
    answered = await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return Waited(answered, late)


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer of known length to its end; any status but 200 ends the program."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        sys.exit(f"the load met {head.splitlines()[0]!r}")
    return await reader.readexactly(int(length[1]))


def percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


def main(url: str, rate: float, seconds: float, connections: int) -> None:
    # epoll waits in whole milliseconds, which is as long as an answer takes; select has no such grain.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        waited = runner.run(run(url, rate, seconds, connections))
    figures = {"p50_ms": percentile(waited.answered, 50), "p99_ms": percentile(waited.answered, 99)}
    figures["late_ms"] = percentile(waited.late, 99)
    print(json.dumps({name: value * 1000 for name, value in figures.items()}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
