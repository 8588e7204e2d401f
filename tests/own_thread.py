"""An event loop in a thread of its own, for servers beside a test that waits for other processes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


@contextmanager
def in_own_thread(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Keep an asynchronous context open in a loop of its own; what else runs there at the end is cancelled."""
    loop, stop, opened = asyncio.new_event_loop(), asyncio.Event(), Future[T]()

    async def serve() -> None:
        async with server as made:
            opened.set_result(made)
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield opened.result(10)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
