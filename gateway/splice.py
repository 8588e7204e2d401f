"""Bytes from one socket to another without a copy of them here: splice(2) through a pipe. Knows descriptors only.

A copied body crosses the border between kernel and process twice and is joined and cut on the way; that is most of
what a large download costs a proxy. Where neither side is encrypted nobody needs to see the bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIPE_BYTES = 256 * 1024  # the kernel holds as much of a body for a client that is slow
_TURN_BYTES = 2**20  # after so much other requests have their turn
_MOST_SPARE = 64
_spare: list[tuple[int, int]] = []  # empty pipes: making one costs as much as moving 100 KB


class SourceEndedError(Exception):
    """The sender closed its connection before all bytes had come."""


class SinkGoneError(Exception):
    """The receiver is no longer there; `left` bytes have not been taken from the source."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} bytes are left")
        self.left = left


@cache
def can_splice() -> bool:
    """Tell whether this system lets a process splice between sockets; sandboxes may forbid it, and only Linux can."""
    if not hasattr(os, "splice"):
        return False
    here, there = socket.socketpair()
    outlet, inlet = _new_pipe()
    try:
        there.send(b"x")
        return os.splice(here.fileno(), inlet, 1) == 1 and os.splice(outlet, here.fileno(), 1) == 1
    except OSError:
        return False
    finally:
        _close(outlet, inlet)
        here.close()
        there.close()


class Pourable(Protocol):
    """A body whose rest can be moved to a socket unseen; see `StoreAnswer`."""

    def at_hand(self) -> bytes:
        """Take what has come already."""

    def claim_rest(self) -> int:
        """Keep the rest where `pour` finds it, right after `at_hand`; return its bytes, 0 where it must be read."""

    async def pour(self, count: int, sink: int, moved: Callable[[int], None], /) -> None:
        """Move the rest. Raises SinkGoneError, and what reading it raises."""


@contextmanager
def nowhere() -> Iterator[int]:
    """Lend a sink that takes everything."""
    descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def splice(source: int, sink: int, count: int, idle_s: float | None, moved: Callable[[int], None]) -> None:
    """Move exactly `count` bytes between two non-blocking stream sockets; `moved` is told how many have gone.

    Nobody else may read from `source` or write to `sink` meanwhile. Raises SourceEndedError, TimeoutError when `source`
    is silent for `idle_s` seconds (None: for ever), SinkGoneError, and OSError when reading fails.
    """
    held = turn = 0
    with _pipe() as (outlet, inlet), _Waiting() as waiting:
        while count or held:
            taken = _take(source, inlet, count)
            if taken == 0 and count:
                raise SourceEndedError
            count, held = count - (taken or 0), held + (taken or 0)
            given = _give(outlet, sink, held, count)
            held -= given
            turn += given
            moved(given)
            if held:  # asked for first: a full pipe looks to `_take` as an empty socket does
                await waiting.until_writable(sink)
            elif count and taken is None:
                async with asyncio.timeout(idle_s):
                    await waiting.until_readable(source)
            elif turn >= _TURN_BYTES:
                turn = 0
                await asyncio.sleep(0)


def _take(source: int, inlet: int, count: int) -> int | None:
    """Return how many bytes went into the pipe; 0 at the end of the stream, None when none can for now."""
    if not count:
        return None
    try:
        return os.splice(source, inlet, min(count, _PIPE_BYTES))
    except BlockingIOError:
        return None


def _give(outlet: int, sink: int, held: int, left: int) -> int:
    if not held:
        return 0
    try:
        return os.splice(outlet, sink, held)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise SinkGoneError(left) from error


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Lend an empty pipe; one that may still hold something is never lent again."""
    pipe = _spare.pop() if _spare else _new_pipe()
    try:
        yield pipe
    except BaseException:
        _close(*pipe)
        raise
    if len(_spare) < _MOST_SPARE:
        _spare.append(pipe)
    else:
        _close(*pipe)


def _new_pipe() -> tuple[int, int]:
    outlet, inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with suppress(OSError):  # a user may have a limited sum of larger pipes; a small one only costs more calls
        fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return outlet, inlet


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class _Waiting:
    """Waits for sockets that belong to transports, by copies of their descriptors: the loop lends none of those."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._copies: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _close(*self._copies.values())

    async def until_readable(self, descriptor: int) -> None:
        await self._until(descriptor, self._loop.add_reader, self._loop.remove_reader)

    async def until_writable(self, descriptor: int) -> None:
        await self._until(descriptor, self._loop.add_writer, self._loop.remove_writer)

    async def _until(self, descriptor: int, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        copy = self._copies.get(descriptor)
        if copy is None:
            copy = self._copies[descriptor] = os.dup(descriptor)
        ready = self._loop.create_future()
        add(copy, _ring, ready)
        try:
            await ready
        finally:
            remove(copy)


def _ring(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
