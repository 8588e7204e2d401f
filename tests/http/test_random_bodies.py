"""Answers of every framing and pace, for clients of every pace, by connections that are used again and again.

Every byte is compared with what its own answer should hold, and an answer that the store broke off must not pass for a
whole one. A few seconds in CI; `make random-bodies` takes minutes.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import random
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gateway.connection import Connection
from tests.harness import GatewayUnderTest, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = float(os.environ.get("RANDOM_BODIES_SECONDS", "5"))
CLIENTS = 16
OPEN = {"demo": {"anonymous": "configured", "anonymous_prefixes": [""]}}
FRAMINGS = ("length", "length", "length", "chunks", "chunks", "close", "short", "short-chunks", "reset")
SIZES = (0, 1, 10_240, 64_000, 70_000, 130_000, 200_000, 300_000, 500_000, 2_000_000)
PIECES = (100, 5_000, 30_000, 65_536, 200_000, 2**20)
pytestmark = pytest.mark.timeout(SECONDS + 90)


@dataclass(frozen=True, slots=True)
class Asked:
    """One object: its bytes are those of its path, told in this framing; the dice of `seed` say at what pace."""

    path: str
    size: int
    framing: str
    seed: int

    @classmethod
    def of(cls, path: str) -> Asked:
        size, framing, seed = path.rpartition("/")[2].split("_")
        return cls(path, int(size), framing, int(seed))

    @property
    def body(self) -> bytes:
        unit = hashlib.sha256(self.path.encode()).hexdigest().encode()
        return (unit * (self.size // len(unit) + 1))[: self.size]

    @property
    def is_whole(self) -> bool:
        return self.framing in ("length", "chunks", "close")


# --- the store ------------------------------------------------------------------------------------------------------


async def tell(asked: Asked, writer: asyncio.StreamWriter) -> bool:
    """Give one answer; True when another one may follow."""
    dice, body = random.Random(asked.seed), asked.body  # noqa: S311 # a pace, not a secret
    chunked = "chunks" in asked.framing
    framing = {True: b"Transfer-Encoding: chunked", False: b"Content-Length: %d" % asked.size}[chunked]
    writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % (b"Connection: close" if asked.framing == "close" else framing))
    end = asked.size if asked.is_whole else dice.randrange(asked.size + 1)
    at = 0
    while at < end:
        piece = body[at : min(end, at + dice.choice(PIECES))]
        at += len(piece)
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        await writer.drain()
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.05)
    if asked.framing == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        writer.transport.abort()
    elif asked.framing == "chunks":
        writer.write(b"0\r\n\r\n")
    return asked.framing in ("length", "chunks")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            if not await tell(Asked.of(target), writer):
                break
    writer.close()


@asynccontextmanager
async def store() -> AsyncIterator[str]:
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.append(asyncio.ensure_future(serve(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- the clients ----------------------------------------------------------------------------------------------------


async def taken(reader: asyncio.StreamReader, count: int, dice: random.Random) -> bytes:
    """Read so many bytes, or what there is before the end, at some pace."""
    got = bytearray()
    pause_s = dice.choice((0.0, 0.0, 0.001, 0.02))
    while len(got) < count and (piece := await reader.read(min(count - len(got), dice.choice((1_000, 65_536))))):
        got += piece
        if pause_s:
            await asyncio.sleep(pause_s)
    return bytes(got)


async def body_of(head: bytes, reader: asyncio.StreamReader, dice: random.Random) -> tuple[bytes, bool]:
    """Read a body; return it, and whether it came to its end."""
    fields = dict(line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        body = await taken(reader, length, dice)
        return body, len(body) == length
    assert fields[b"transfer-encoding"] == b"chunked"
    body = b""
    with suppress(asyncio.IncompleteReadError):
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await taken(reader, size, dice)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body, True
    return body, False


async def ask(gateway: GatewayUnderTest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seed: int) -> str:
    """Ask for one object and check what comes; return what became of it."""
    dice = random.Random(seed)  # noqa: S311 # a pace, not a secret
    size = max(0, dice.choice(SIZES) + dice.choice((-1, 0, 1, 17)))
    asked = Asked.of(f"/demo/{size}_{dice.choice(FRAMINGS)}_{seed}")
    writer.write(f"GET {asked.path} HTTP/1.1\r\nHost: {gateway.authority}\r\n\r\n".encode())
    if dice.random() < 0.2:
        await asyncio.sleep(dice.random() * 0.5)
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        body, is_whole = await body_of(head, reader, dice)
    if head.split(b" ")[1] != b"200":
        assert not asked.is_whole, (asked, head)
        return "refused"
    assert body == asked.body[: len(body)], (asked, "another one's bytes")
    assert is_whole == asked.is_whole or len(body) == size, (asked, len(body))
    assert not is_whole or len(body) == size, (asked, len(body), "passed for whole")
    return "whole" if is_whole else "cut"


async def client(gateway: GatewayUnderTest, number: int, until: float, done: Counter[str]) -> None:
    """Ask on one connection after the other, each for a few objects; leave in the middle of some."""
    dice, (host, _, port) = random.Random(number), gateway.authority.partition(":")  # noqa: S311 # a pace
    while time.monotonic() < until:
        own = socket.socket()
        own.setblocking(False)  # noqa: FBT003 # the standard library's
        if dice.random() < 0.6:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, dice.choice((4_096, 30_000)))
        await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=own, limit=16_384)
        asking = asyncio.create_task(questions(gateway, reader, writer, dice, done))
        if dice.random() < 0.1:
            await asyncio.sleep(dice.random() * 0.3)
            writer.transport.abort()
            asking.cancel()
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            await asking
        writer.close()


async def questions(
    gateway: GatewayUnderTest,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    dice: random.Random,
    done: Counter[str],
) -> None:
    for _ in range(dice.randrange(1, 6)):
        became = await ask(gateway, reader, writer, dice.getrandbits(40))
        done[became] += 1
        if became != "whole":
            return


async def test_every_answer_holds_its_own_bytes_whoever_reads_at_whatever_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Connection.connection_made

    def narrow(connection: Connection, transport: asyncio.BaseTransport) -> None:
        """Let the kernel hold little of what a client does not take, as on a slow network."""
        made(connection, transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)

    monkeypatch.setattr(Connection, "connection_made", narrow)
    done: Counter[str] = Counter()
    async with store() as endpoint:
        upstream = {"default": {"endpoint": endpoint, "access_key": "k", "secret": "s", "breaker_failures": 0}}
        async with running_gateway(endpoint, buckets=OPEN, upstream=upstream) as gateway:
            until = time.monotonic() + SECONDS
            async with asyncio.TaskGroup() as clients:
                for number in range(CLIENTS):
                    clients.create_task(client(gateway, number, until, done))
    gc.collect()  # what was lost is told by this test, not by a later one
    assert min(done["whole"], done["cut"]) > SECONDS, done
