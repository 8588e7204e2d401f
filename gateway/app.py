"""Composition root of one gateway process: puts the parts together, serves both ports, drains, stops."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.credentials import KeyFileError
from gateway.handler import Gateway
from gateway.imaging.pool import ScorerClient
from gateway.imaging.vendor_limits import strict
from gateway.listener import PublicServer
from gateway.quotas import Quotas
from gateway.settings import default_dialect, host_map, public_face, trusted_networks
from gateway.stores.keys import key_source
from gateway.stores.upstream import Upstream
from gateway.telemetry import Telemetry, admin_handler

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from gateway.key_file import LiveKeys
    from gateway.settings import Settings

_log = logging.getLogger("gateway")


def utc_now() -> datetime:
    """Return the time, aware; the one clock that is handed to everything."""
    return datetime.now(UTC)


async def serve(
    settings: Settings,
    keys: LiveKeys,
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
        gateway = await compose(settings, keys, scorer_address, telemetry, stack)
        server = public_server(gateway)
        admin_server = web.Server(admin_handler(telemetry), access_log=None)
        listener = await loop.create_server(server, sock=public, backlog=1024)
        admin_listener = await loop.create_server(admin_server, sock=admin)
        silence = asyncio.create_task(server.close_silent(settings.server.silence_s))
        stack.callback(silence.cancel)
        if keys.reloadable:
            following = asyncio.create_task(_follow(keys))
            stack.callback(following.cancel)
        telemetry.ready = True
        on_ready()
        await stop.wait()
        telemetry.ready = False
        await asyncio.sleep(settings.server.drain_pause_s)  # load balancers look away before the port closes
        listener.close()
        server.pre_shutdown()  # idle connections close now, busy ones after their answer
        await server.shutdown(settings.server.drain_s)
        admin_listener.close()
        admin_server.pre_shutdown()
        await admin_server.shutdown(1)


async def _follow(keys: LiveKeys) -> None:
    """Read the keys again at each SIGHUP, in a thread: a long file holds up no request."""
    hung_up = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up.set)
    if keys.differs(keys.look()):
        hung_up.set()  # the supervisor's signal may have come before there was a handler
    while True:
        await hung_up.wait()
        hung_up.clear()
        try:
            await asyncio.to_thread(keys.reload)
        except KeyFileError as error:  # the supervisor could read it a moment ago, and will say so when it is mended
            _log.warning("this gateway process keeps its old keys: %s", error)


async def compose(
    settings: Settings, keys: LiveKeys, scorer_address: str, telemetry: Telemetry, stack: AsyncExitStack
) -> Gateway:
    """Build the gateway; its connections are closed when the stack is."""
    upstreams = {}
    for name, row in settings.upstream.items():
        upstreams[name] = Upstream(row, key_source(row), utc_now)
        stack.push_async_callback(upstreams[name].close)
    return Gateway(
        settings=settings,
        hosts=host_map(settings),
        face=public_face(settings),
        trusted=trusted_networks(settings),
        default_dialect=default_dialect(settings),
        keys=keys,
        upstreams=upstreams,
        scorers=_scorers(settings, scorer_address),
        telemetry=telemetry,
        quotas=Quotas(settings.quotas),
        clock=utc_now,
    )


def _scorers(settings: Settings, address: str) -> dict[str, ScorerClient]:
    """Build one client of the scorers for each dialect, with the limits that hold for its pictures."""
    scorers = {}
    for name in (item.name for item in fields(settings.dialects)):
        narrow = getattr(settings.dialects, name).strict_limits
        scorers[name] = ScorerClient(address, strict(name, settings.limits) if narrow else settings.limits)
    return scorers


def public_server(gateway: Gateway) -> PublicServer:
    """Put the gateway behind its listener."""
    return PublicServer(gateway.handle, gateway.refuse_unreadable)
