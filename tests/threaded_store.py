"""The fake store in a thread of its own, for gateways that are other processes; over https where a chain is given."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from tests.own_thread import in_own_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fake_store import FakeStore


@contextmanager
def threaded_store(store: FakeStore, chain: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve a fake store on a free port (or on this one) of 127.0.0.1; yields its endpoint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if chain else None
    if context and chain:
        context.load_cert_chain(chain)
    with in_own_thread(_serving(store, port, context)) as number:
        yield f"{'https' if chain else 'http'}://127.0.0.1:{number}"


@asynccontextmanager
async def _serving(store: FakeStore, port: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    server = web.Server(store.handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, ssl=context)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    await server.shutdown(0.1)
