"""The fake store in a thread of its own, for gateways that are other processes; over https where a chain is given."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fake_store import FakeStore


@contextmanager
def threaded_store(store: FakeStore, chain: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve a fake store on a free port (or on this one) of 127.0.0.1; yields its endpoint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if chain else None
    if context and chain:
        context.load_cert_chain(chain)
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        server = web.Server(store.handle)
        listener = await loop.create_server(server, "127.0.0.1", port, ssl=context)
        ports.append(listener.sockets[0].getsockname()[1])
        started.set()
        await stop.wait()
        listener.close()
        await server.shutdown(0.1)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10)
        yield f"{'https' if chain else 'http'}://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
