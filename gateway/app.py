"""Composition root of one gateway process: puts the parts together, serves both ports, drains, stops."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway import store_events
from gateway.admin import admin_handler
from gateway.credentials import KeyFileError
from gateway.handler import Gateway
from gateway.journeys.cloud_tasks import task_runner
from gateway.journeys.vendor_call import Services
from gateway.journeys.who import Who
from gateway.listener import PublicServer
from gateway.live_gateway import LiveGateway, follow_settings, scorer_clients
from gateway.quotas import Quotas
from gateway.settings import (
    default_dialect,
    host_map,
    masked,
    public_face,
    reserved_hosts,
    trusted_networks,
)
from gateway.store_watch import StoreWatch
from gateway.stores.cache import result_cache
from gateway.stores.fetch import Fetcher
from gateway.stores.fetch_rules import fetch_rules
from gateway.stores.keys import key_source
from gateway.stores.ledger import open_ledger
from gateway.stores.spool import Room
from gateway.stores.task_ledger import open_task_ledger
from gateway.stores.upstream import Upstream
from gateway.telemetry import Telemetry, publish
from gateway.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S, LiveCertificate, TlsError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from gateway.journeys.tasks import TaskRunner
    from gateway.key_file import LiveKeys
    from gateway.live_settings import LiveSettings
    from gateway.scoreboard import AdminPort
    from gateway.settings import Settings

_log = logging.getLogger("gateway")
_LOOK_S = 0.9  # between two looks at the certificate's files
_BACKLOG = 1024  # connections that wait to be accepted


def utc_now() -> datetime:
    """Return the time, aware; the one clock that is handed to everything."""
    return datetime.now(UTC)


async def serve(
    live: LiveSettings,
    keys: LiveKeys,
    public: socket.socket,
    admin: AdminPort,
    scorer_address: str,
    on_ready: Callable[[], None],
    certificate: LiveCertificate | None = None,
) -> None:
    """Serve on two listening sockets until SIGTERM, then let running requests end."""
    settings, stop = live.current, asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        telemetry = Telemetry(settings=settings.telemetry)
        gateway = await compose(settings, keys, scorer_address, telemetry, stack)
        if settings.telemetry.otlp_endpoint:
            from gateway.otel import exporting  # noqa: PLC0415 # the packages of an extra, in no other case

            await stack.enter_async_context(exporting(settings.telemetry, telemetry, admin))
        server = public_server(gateway)
        telemetry.inherit(admin.own.read())
        telemetry.connections = lambda: len(server.connections)
        answer = admin_handler(telemetry, admin.own, admin.others, lambda: masked(live.current))
        admin_server = web.Server(answer, access_log=None)
        listener = await listen_on(server, public, certificate)
        admin_listener = await _accepting(admin_server, admin.listener)
        stores = StoreWatch(gateway.current.services.upstreams, telemetry.stores, settings.telemetry.store_check_s)
        background = [publish(telemetry, admin.own), server.close_silent(settings.server.silence_s), stores.run()]
        if keys.reloadable:
            background.append(_follow(keys))
        if live.reloadable:
            background.append(follow_settings(live, gateway))
        if certificate:
            background.append(renew(certificate, telemetry))
            telemetry.handshakes_failed = certificate.failures
        for each in background:
            stack.callback(asyncio.create_task(each).cancel)
        if await _first_of(stores.answered, stop) is stores.answered:  # until then it serves, and answers 503
            gc.freeze()  # what is here now lives as long as the process: no collection needs to look at it again
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


async def _first_of(*events: asyncio.Event) -> asyncio.Event:
    """Wait for the first of several events, and return one that is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return next(event for event in events if event.is_set())


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
        except Exception:  # noqa: BLE001 # whatever it is, the next keys must be looked for
            _log.exception("this gateway process keeps its old keys")


async def renew(certificate: LiveCertificate, telemetry: Telemetry) -> None:
    """Take a new certificate when its files have changed; a broken one leaves the old one in force."""
    while True:
        telemetry.certificate_expires_at = certificate.expires_at.timestamp()
        await asyncio.sleep(_LOOK_S)
        if not certificate.has_changed():
            continue
        try:
            certificate.reload(utc_now())
        except TlsError as error:
            telemetry.certificate_reloads["failed"] += 1
            _log.warning("this gateway process keeps its old certificate: %s", error)
        else:
            telemetry.certificate_reloads["ok"] += 1


async def listen_on(server: PublicServer, public: socket.socket, certificate: LiveCertificate | None) -> asyncio.Server:
    """Accept connections on the public port, with TLS when there is a certificate."""
    if certificate is None:
        return await _accepting(server, public)
    return await _accepting(
        server,
        public,
        ssl=certificate.context,
        ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
        ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )


async def _accepting(server: Callable[[], asyncio.BaseProtocol], on: socket.socket, **tls: Any) -> asyncio.Server:
    """Accept connections, one a turn of the loop: asyncio takes as many turns as the `backlog` that it is told.

    When no descriptor is left each of them writes a trace and has them all taken again a second later.
    """
    listener = await asyncio.get_running_loop().create_server(server, sock=on, backlog=1, **tls)
    on.listen(_BACKLOG)
    return listener


async def compose(
    settings: Settings, keys: LiveKeys, scorer_address: str, telemetry: Telemetry, stack: AsyncExitStack
) -> LiveGateway:
    """Build the gateway; its connections are closed when the stack is."""
    results = result_cache(settings.cache, telemetry.cache_event)
    stack.push_async_callback(results.close)
    upstreams = {}
    for name, row in settings.upstream.items():
        told = partial(telemetry.store_outcome, name)
        changed = partial(store_events.note, telemetry.counted, name)
        upstreams[name] = Upstream(row, key_source(row), utc_now, results, told, changed)
        store_events.begin(telemetry.counted, name, upstreams[name].addresses)
        stack.push_async_callback(upstreams[name].close)
    scorers, quotas = scorer_clients(settings, scorer_address, telemetry), Quotas(settings.quotas)
    ledger = open_ledger(settings.tasks.url.reveal(), settings.server.data_dir)
    stack.push_async_callback(ledger.close)
    tasks = open_task_ledger(settings.tasks.url.reveal(), settings.server.data_dir)
    stack.push_async_callback(tasks.close)
    fetcher = Fetcher(fetch_rules(settings.fetch))
    reserved = reserved_hosts(settings)
    services = Services(
        settings=settings,
        reserved=reserved,
        keys=keys,
        upstreams=upstreams,
        scorers=scorers,
        quotas=quotas,
        rooms={
            "cloudinary": Room(settings.dialects.cloudinary.max_unproven_bytes),
            "sightengine": Room(settings.dialects.sightengine.max_unproven_bytes),
        },
        ledger=ledger,
        tasks=tasks,
        bell=asyncio.Event(),
        fetcher=fetcher,
        clock=utc_now,
    )
    gateway = Gateway(
        services=services,
        who=Who(services, host_map(settings), default_dialect(settings), public_face(settings), telemetry),
        trusted=trusted_networks(settings),
        telemetry=telemetry,
    )
    live = LiveGateway(gateway, scorer_address)
    telemetry.scorer_jobs, telemetry.oldest_wait_s = live.scorer_jobs, live.oldest_wait_s
    if settings.clouds and settings.dialects.cloudinary.enabled:
        await stack.enter_async_context(_working(task_runner(lambda: live.current.services)))
    return live


@asynccontextmanager
async def _working(runner: TaskRunner) -> AsyncIterator[None]:
    """Have promised analyses worked on, until leaving."""
    working = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def public_server(gateway: LiveGateway) -> PublicServer:
    """Put the gateway behind its listener."""
    return PublicServer(gateway.handle, gateway.refuse_unreadable)
