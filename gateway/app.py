"""Composition root of one gateway process: puts the parts together, serves both ports, drains, stops."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.handler import Gateway
from gateway.imaging.pool import ScorerClient
from gateway.settings import default_dialect, host_map
from gateway.stores.keys import key_source
from gateway.stores.upstream import Upstream
from gateway.telemetry import Telemetry, admin_handler

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from gateway.credentials import Keyring
    from gateway.settings import Settings

# Long presigned URLs and session tokens exceed aiohttp's 8190 bytes.
_MAX_LINE_BYTES = 65_536
_MAX_HEADERS = 256
_KEEPALIVE_S = 75.0


def utc_now() -> datetime:
    """Return the time, aware; the one clock that is handed to everything."""
    return datetime.now(UTC)


async def serve(
    settings: Settings,
    keyring: Keyring,
    public: socket.socket,
    admin: socket.socket,
    scorer_address: str,
    on_ready: Callable[[], None],
) -> None:
    """Serve on two listening sockets until SIGTERM, then let running requests end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        telemetry = Telemetry()
        gateway = await compose(settings, keyring, scorer_address, telemetry, stack)
        server = public_server(gateway)
        admin_server = web.Server(admin_handler(telemetry), access_log=None)
        listener = await loop.create_server(server, sock=public, backlog=1024)
        admin_listener = await loop.create_server(admin_server, sock=admin)
        telemetry.ready = True
        on_ready()
        await stop.wait()
        telemetry.ready = False
        listener.close()
        server.pre_shutdown()  # idle connections close now, busy ones after their answer
        await server.shutdown(settings.server.drain_s)
        admin_listener.close()
        admin_server.pre_shutdown()
        await admin_server.shutdown(1)


async def compose(
    settings: Settings, keyring: Keyring, scorer_address: str, telemetry: Telemetry, stack: AsyncExitStack
) -> Gateway:
    """Build the gateway; its connections are closed when the stack is."""
    upstreams = {}
    for name, row in settings.upstream.items():
        upstreams[name] = Upstream(row, key_source(row), utc_now)
        stack.push_async_callback(upstreams[name].close)
    return Gateway(
        settings=settings,
        hosts=host_map(settings),
        default_dialect=default_dialect(settings),
        keyring=keyring,
        upstreams=upstreams,
        scorer=ScorerClient(scorer_address, settings.limits),
        telemetry=telemetry,
        clock=utc_now,
    )


def public_server(gateway: Gateway) -> web.Server:
    """Wrap the gateway in aiohttp's low-level server: no router, no decompression, cancelled when the client goes."""
    return web.Server(
        gateway.handle,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_KEEPALIVE_S,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        max_headers=_MAX_HEADERS,
    )
