from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway import splice as splices
from gateway.splice import SinkGoneError, SourceEndedError, can_splice, nowhere, splice

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not can_splice(), reason="this system does not splice")
BODY = os.urandom(3 * 2**20 + 17)


@contextmanager
def two_connections() -> Iterator[tuple[socket.socket, socket.socket, socket.socket, socket.socket]]:
    """Sender, and the end that is read here; the end that is written here, and receiver; all of TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends = []
        for _ in range(2):
            ends += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
    for each in ends:
        each.settimeout(0)
    try:
        yield ends[0], ends[1], ends[2], ends[3]
    finally:
        for each in ends:
            each.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def received(receiver: socket.socket, count: int, pause_s: float = 0) -> bytes:
    got = bytearray()
    while len(got) < count and (piece := await asyncio.get_running_loop().sock_recv(receiver, 65_536)):
        got += piece
        await asyncio.sleep(pause_s)
    return bytes(got)


@pytest.mark.parametrize("pause_s", [0, 0.002])
async def test_every_byte_arrives_in_order_and_what_follows_stays_in_the_source(pause_s: float) -> None:
    moved: list[int] = []
    with two_connections() as (sender, source, sink, receiver):
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(sender, BODY + b"next"))
        receiving = asyncio.create_task(received(receiver, len(BODY), pause_s))
        await splice(source.fileno(), sink.fileno(), len(BODY), 5, moved.append)
        assert await receiving == BODY
        await sending
        assert source.recv(100) == b"next"
    assert sum(moved) == len(BODY)


async def test_the_end_is_the_last_byte_given_not_another_one_to_come() -> None:
    with two_connections() as (sender, source, sink, receiver):
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that the last bytes wait in the pipe
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.setblocking(True)  # noqa: FBT003 # the standard library's
        sender.sendall(BODY[:200_000])
        receiving = asyncio.create_task(received(receiver, 200_000, 0.001))
        await splice(source.fileno(), sink.fileno(), 200_000, 1, lambda _: None)
        assert await receiving == BODY[:200_000]


async def test_a_source_that_ends_early_is_told_apart_from_one_that_is_silent() -> None:
    with two_connections() as (sender, source, sink, receiver):
        sender.send(b"half")
        with pytest.raises(TimeoutError):
            await splice(source.fileno(), sink.fileno(), 8, 0.05, lambda _: None)
        assert receiver.recv(100) == b"half"
        sender.close()
        with pytest.raises(SourceEndedError):
            await splice(source.fileno(), sink.fileno(), 4, 5, lambda _: None)


async def test_a_source_may_be_silent_for_ever_where_no_limit_is_set() -> None:
    with two_connections() as (sender, source, sink, receiver):
        asyncio.get_running_loop().call_later(0.1, sender.send, b"late")
        await splice(source.fileno(), sink.fileno(), 4, None, lambda _: None)
        assert receiver.recv(100) == b"late"


async def test_silence_counts_from_the_last_byte_and_not_while_the_sink_is_waited_for() -> None:
    with two_connections() as (sender, source, sink, receiver):
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        moving = asyncio.create_task(splice(source.fileno(), sink.fileno(), 120_008, 0.3, lambda _: None))
        for _ in range(8):
            sender.send(b"x")
            await asyncio.sleep(0.1)
        sender.setblocking(True)  # noqa: FBT003 # the standard library's
        sender.sendall(BODY[:100_000])
        await asyncio.sleep(0.8)
        assert not moving.done(), "the sink takes nothing"
        assert await received(receiver, 100_008) == 8 * b"x" + BODY[:100_000]
        with pytest.raises(TimeoutError):
            await moving


async def test_where_no_descriptor_is_left_that_is_said_and_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with two_connections() as (sender, source, sink, receiver):
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        moving = asyncio.create_task(splice(source.fileno(), sink.fileno(), 200_008, 5, lambda _: None))
        sender.setblocking(True)  # noqa: FBT003 # the standard library's
        sender.sendall(BODY[:100_000])
        await asyncio.sleep(0.1)
        assert not moving.done(), "the sink is waited for, by a copy"
        before = descriptors()

        def dup(_: int) -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(os, "dup", dup)
        await received(receiver, 100_000)
        with pytest.raises(OSError, match="Too many"):
            await moving
        assert descriptors() == before - 3, "neither the copy nor the pipe"


async def test_who_counts_may_end_it() -> None:
    def refuse(_: int) -> None:
        raise LookupError("too much")

    with two_connections() as (sender, source, sink, _):
        moving = asyncio.create_task(splice(source.fileno(), sink.fileno(), 8, 5, lambda n: refuse(n) if n else None))
        asyncio.get_running_loop().call_later(0.05, sender.send, b"half")
        with pytest.raises(LookupError, match="too much"):
            await moving


async def test_a_receiver_that_goes_is_noticed() -> None:
    with two_connections() as (sender, source, sink, receiver):
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(sender, 20 * BODY))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
        asyncio.get_running_loop().call_later(0.05, receiver.close)
        moved: list[int] = []
        with pytest.raises(SinkGoneError) as gone:
            await splice(source.fileno(), sink.fileno(), 20 * len(BODY), 5, moved.append)
        assert 0 < gone.value.left <= 20 * len(BODY) - sum(moved)
        with nowhere() as hole:
            await splice(source.fileno(), hole, gone.value.left, 5, lambda _: None)
        await sending
        sender.send(b"next")
        assert source.recv(100) == b"next", "all that was left has been taken, and no more"


async def test_a_pipe_that_may_hold_somebodys_bytes_is_lent_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splices, "_spare", [])
    with two_connections() as (sender, source, sink, receiver):
        sender.send(BODY[:100])
        await splice(source.fileno(), sink.fileno(), 100, 5, lambda _: None)
        assert receiver.recv(200) == BODY[:100]
        assert len(splices._spare) == 1
        before = descriptors()
        stuck = asyncio.create_task(splice(source.fileno(), sink.fileno(), 20 * len(BODY), 5, lambda _: None))
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(sender, 20 * BODY))
        await asyncio.sleep(0.1)
        for task in (stuck, sending):
            task.cancel()
        await asyncio.gather(stuck, sending, return_exceptions=True)
        assert splices._spare == []
        assert descriptors() == before - 2, "the pipe and the copies of the sockets are closed"
