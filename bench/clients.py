"""What a gateway process holds for many clients: idle ones that keep their connections, and slow readers.

The idle ones ask for something small every now and then, so that no side ends their connections; the readers take a
little of an object of 1 GB each second. Resident memory is what is measured: the kernel's buffers are not in it.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import tempfile
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.load import family
from bench.open_loop import read_answer
from bench.servers import signed, start_gateway, start_origin
from bench.tools import Row
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess
from tests.proc import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]

IDLE, READERS, SECONDS = 1000, 100, 600
AT_MOST_MB, MB_A_MINUTE = 300, 1.0
_FLAT_AFTER_S = 480  # what is kept for reuse fills for five minutes: nothing less tells whether memory grows
_EVERY_S = 50  # an idle client asks again after; the gateway ends connections after 75 s
_PIECE, _PIECES_PER_S = 16 * 1024, 4
_SETTLE_S = 2.0
SIZES = {"10KB": 10 * 1024, "1GB": 2**30}


@dataclass(frozen=True)
class Held:
    """Resident memory of one gateway process in MB: at rest, with the idle clients, then by the second with all."""

    at_rest: float
    idle: float
    over_time: Mapping[float, float]
    read_mb: float  # by all readers together


def rows(seconds: int = SECONDS) -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.chmod(0o755)  # nginx's workers are another user
        access = StoreAccess(f"http://{start_origin(stack, folder, SIZES)}", "us-east-1", "any", Secret("any"))
        gateway = start_gateway(stack, folder / "gateway", access)
        small, large = (signed(gateway.authority, f"/bench/{key}") for key in SIZES)
        return told(asyncio.run(watch(gateway.pid, small, large, seconds)))


async def watch(pid: int, small: str, large: str, seconds: int, idle: int = IDLE, readers: int = READERS) -> Held:
    """Bring the clients, look at the memory of the process below `pid` (the largest, if there are some), let them go.

    Fails where a client meets an error, a reader's object ends, or nothing comes.
    """
    allow_open_files()
    async with AsyncExitStack() as stack:
        await keep(stack, small, 8)  # what the first requests load
        at_rest = held_mb(pid)
        links = await keep(stack, small, idle)
        await asyncio.sleep(_SETTLE_S)
        with_idle, taken = held_mb(pid), [0] * readers
        tasks = [asyncio.create_task(read_slowly(large, taken, number)) for number in range(readers)]
        stack.push_async_callback(stop, tasks)
        over_time: dict[float, float] = {}
        turn = -(-idle // _EVERY_S)
        for second in range(seconds):
            await asyncio.sleep(1)
            over_time[second + 1] = held_mb(pid)
            begin = second % _EVERY_S * turn
            await asyncio.gather(*(ask(link, small) for link in links[begin : begin + turn]))
            for task in tasks:
                if task.done():
                    task.result()
    if not all(taken):
        raise ConnectionError(f"{taken.count(0)} readers got nothing")
    return Held(at_rest, with_idle, over_time, sum(taken) / 1e6)


def allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def keep(stack: AsyncExitStack, url: str, count: int) -> list[Link]:
    """Open so many connections until leaving, one request on each."""
    place = urlsplit(url)
    links = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        stack.push_async_callback(close, writer)
        links.append((reader, writer))
        await ask((reader, writer), url)
    return links


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def ask(link: Link, url: str) -> None:
    reader, writer = link
    writer.write(head(url))
    await read_answer(reader)


def head(url: str) -> bytes:
    place = urlsplit(url)
    return f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()


async def read_slowly(url: str, taken: list[int], number: int) -> None:
    """Take a piece, wait, take the next one, with a window so small that the kernel holds little of what waits."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _PIECE)
        link.setblocking(False)  # noqa: FBT003 # socket's own
        await loop.sock_connect(link, (place.hostname, place.port))
        await loop.sock_sendall(link, head(url))
        while data := await loop.sock_recv(link, _PIECE):
            if not taken[number] and not data.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(data[:100])
            taken[number] += len(data)
            await asyncio.sleep(1 / _PIECES_PER_S)
    raise ConnectionError(f"a slow reader's object ended after {taken[number]} bytes")


def held_mb(pid: int) -> float:
    return max(resident_bytes(each) for each in family(pid)) / 1e6


def growth(over_time: Mapping[float, float]) -> float:
    """MB a minute: the slope of the line through the last half of what was seen."""
    seen = list(over_time.items())[len(over_time) // 2 :]
    return linear_regression([second / 60 for second, _ in seen], [mb for _, mb in seen]).slope


def told(held: Held, idle: int = IDLE, readers: int = READERS) -> list[Row]:
    peak, minutes = max(held.over_time.values()), max(held.over_time) / 60
    whole = f"{idle} idle clients, {readers} slow readers of 1 GB"
    end = list(held.over_time.values())[-1]
    for_idle, for_reader = (held.idle - held.at_rest) / idle * 1e3, (end - held.idle) / readers * 1e3
    read = f"{held.read_mb:.0f} MB read in {minutes:.1f} min"
    seen = {"worker": {f"{second:g}": mb for second, mb in held.over_time.items()}}
    flat = MB_A_MINUTE if max(held.over_time) >= _FLAT_AFTER_S else None
    at_rest = f"at rest {held.at_rest:.0f} MB"
    return [
        Row(whole, f"worker {peak:.0f} MB at most", at_rest, peak, "MB", at_most=AT_MOST_MB, columns=seen),
        Row("  grows in the last half, a minute", f"{end:.0f} MB", read, growth(held.over_time), "MB", flat),
        Row("  an idle client", f"{held.idle:.0f} MB with all", at_rest, for_idle, "KB"),
        Row("  a slow reader", f"{end:.0f} MB with all", f"without {held.idle:.0f} MB", for_reader, "KB"),
    ]
