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
    with _pipe() as pipe, _Move(source, sink, pipe, count, idle_s, moved) as move:
        await move.ended


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


class _Move:
    """Moves a body whenever the loop says that it can, and sets `ended` when all of it has gone or nothing more can.

    A coroutine that waits for each piece would cost one more turn of the loop for each. The sockets belong to
    transports, and are watched by copies of their descriptors: the loop lends none of those.
    """

    def __init__(
        self,
        source: int,
        sink: int,
        pipe: tuple[int, int],
        count: int,
        idle_s: float | None,
        moved: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._source, self._sink, self._moved = source, sink, moved
        self._outlet, self._inlet = pipe
        self._count, self._held = count, 0  # bytes that have not been taken, and bytes in the pipe
        self._copies: dict[int, int] = {}
        self._watched: int | None = None
        self._idle_s, self._heard_at = idle_s, 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._go()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch(None)
        if self._timer:
            self._timer.cancel()
        _close(*self._copies.values())
        if self.ended.done() and not self.ended.cancelled():
            self.ended.exception()  # has been seen, also where who waits for it was cancelled meanwhile

    def _go(self) -> None:
        if self.ended.done():
            return
        try:
            self._move()
        except Exception as error:  # noqa: BLE001 # whatever it is, who waits is told
            self.ended.set_exception(error)

    def _move(self) -> None:
        """Move for a turn, or until a side must be waited for."""
        turn = 0
        while self._count or self._held:
            taken = _take(self._source, self._inlet, self._count)
            if taken == 0 and self._count:
                raise SourceEndedError
            if taken:
                self._count, self._held, self._heard_at = self._count - taken, self._held + taken, self._loop.time()
            given = _give(self._outlet, self._sink, self._held, self._count)
            self._held -= given
            turn += given
            self._moved(given)
            if self._held:  # asked for first: a full pipe looks to `_take` as an empty socket does
                return self._watch(self._sink)
            if self._count and (taken is None or turn >= _TURN_BYTES):  # where there is more, the loop calls at once
                return self._watch(self._source)
        return self.ended.set_result(None)

    def _watch(self, descriptor: int | None) -> None:
        """Have `_go` called when the source can be read, or when the sink can be written, and never else."""
        if descriptor == self._watched:
            return
        if self._watched == self._source:
            self._loop.remove_reader(self._copies[self._source])
        elif self._watched == self._sink:
            self._loop.remove_writer(self._copies[self._sink])
        self._watched = None
        if descriptor is None:
            return
        if descriptor not in self._copies:
            self._copies[descriptor] = os.dup(descriptor)
        self._watched = descriptor
        if descriptor == self._sink:
            self._loop.add_writer(self._copies[descriptor], self._go)
            return
        self._loop.add_reader(self._copies[descriptor], self._go)
        self._heard_at = self._loop.time()
        if self._timer is None and self._idle_s is not None:
            self._timer = self._loop.call_later(self._idle_s, self._look, self._idle_s)

    def _look(self, idle_s: float) -> None:
        """End it when the source has been silent for too long, else look again when it would have been."""
        silent_s = self._loop.time() - self._heard_at if self._watched == self._source else 0.0
        if silent_s < idle_s:
            self._timer = self._loop.call_later(idle_s - silent_s, self._look, idle_s)
        elif not self.ended.done():
            self.ended.set_exception(TimeoutError("the source is silent"))
