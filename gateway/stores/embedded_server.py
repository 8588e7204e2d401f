"""The embedded store's process: Swift's four servers in one event loop. Knows Swift; must not know requests.

Run as `python -m gateway.stores.embedded_server DATA_DIR FD FD FD FD`: the listening sockets of the account, container
and object servers and of the S3 proxy. It lives until standard input ends, that is until its parent closes it or dies.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.stores.embedded_files import DEVICE, backend_conf, proxy_conf, read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PARTITION_POWER = 4  # 16 partitions are plenty for one disk; it may never change in a folder that holds data
_CACHE_ENTRIES = 10_000


class InfoCache:
    """What Swift asks of memcached, in this process: it spares two internal requests for each request.

    Right only because one proxy process sees every change. Values are kept as JSON, as memcached does, so that
    nobody changes a cached value in place.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[float, str]] = {}

    def get(self, key: str, **_options: object) -> Any:
        """Return the value, None when it is absent or too old."""
        expires_at, text = self._entries.get(key, (0.0, "null"))
        return json.loads(text) if self._clock() < expires_at else None

    def set(self, key: str, value: Any, *, time: float = 0, **_options: object) -> None:
        """Keep the value for `time` seconds."""
        if len(self._entries) >= _CACHE_ENTRIES:
            self._entries.clear()
        self._entries[key] = (self._clock() + time, json.dumps(value))

    def delete(self, key: str, **_options: object) -> None:
        """Forget the value."""
        self._entries.pop(key, None)


def with_cache(application: WSGIApplication, cache: InfoCache) -> WSGIApplication:
    """Give every request the cache where Swift looks for it."""

    def cached(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["swift.cache"] = cache
        return application(environ, start_response)

    return cached


def log_to_stderr(_conf: Any, _name: Any, _console: Any, _route: Any, fmt: str, logger: Any, _adapted: Any) -> None:
    """Replace Swift's syslog handler (its `log_custom_handlers` hook): a machine may have no syslog."""
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {fmt}"))
    logger.handlers[:] = [handler]


def build_rings(ports: dict[str, int]) -> None:
    """Write the three rings: one device, one copy. Ports stand in them, so they are built at each start."""
    from swift.common.ring.builder import RingBuilder  # noqa: PLC0415 - only this process may load Swift

    for server, port in ports.items():
        builder = RingBuilder(_PARTITION_POWER, 1, 0)
        device = {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": "127.0.0.1", "port": port, "device": DEVICE}
        builder.add_dev({**device, "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""})
        builder.rebalance(seed=0)
        builder.get_ring().save(f"conf/{server}.ring.gz")


def load_applications(secret: str) -> tuple[WSGIApplication, ...]:
    """Return the account, container, object and proxy servers as WSGI applications."""
    from swift.account.server import AccountController  # noqa: PLC0415 - only this process may load Swift
    from swift.common.wsgi import ConfigString, loadapp  # noqa: PLC0415 - the same
    from swift.container.server import ContainerController  # noqa: PLC0415 - the same
    from swift.obj.server import ObjectController  # noqa: PLC0415 - the same

    conf = backend_conf()
    proxy = with_cache(loadapp(ConfigString(proxy_conf(secret))), InfoCache())
    return AccountController(conf), ContainerController(conf), ObjectController(conf), proxy


def serve(application: WSGIApplication, listener: Any) -> None:
    """Serve one application for ever; its end is the end of the process."""
    from eventlet import wsgi  # noqa: PLC0415 - only this process may load eventlet
    from swift.common import constraints  # noqa: PLC0415 - the same
    from swift.common.http_protocol import SwiftHttpProtocol  # noqa: PLC0415 - the same
    from swift.common.utils import NullLogger  # noqa: PLC0415 - the same

    warnings.filterwarnings("ignore", message="capitalize_response_headers is disabled")
    try:
        wsgi.server(
            listener,
            application,
            NullLogger(),
            protocol=SwiftHttpProtocol,
            capitalize_response_headers=False,  # SDKs look for "ETag"
            url_length_limit=constraints.MAX_REQUEST_LINE,
        )
    finally:
        os._exit(1)


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    from swift.common import utils  # noqa: PLC0415 - only this process may load Swift

    os.chdir(arguments[0])  # every path is relative: PasteDeploy trips over `%` and `#` in absolute ones
    os.umask(0o077)
    # Before anything else of Swift is loaded: the limits in swift.conf are read at import.
    utils.set_swift_dir("conf")
    utils.monkey_patch()
    utils.disable_fallocate()
    import eventlet  # noqa: PLC0415 - after its patching

    eventlet.hubs.use_hub(utils.get_hub())
    listeners = [socket.socket(fileno=int(number)) for number in arguments[1:]]
    ports = [listener.getsockname()[1] for listener in listeners]
    build_rings(dict(zip(("account", "container", "object"), ports, strict=False)))
    for application, listener in zip(load_applications(read_secret(Path())), listeners, strict=True):
        eventlet.spawn_n(serve, application, listener)
    eventlet.hubs.trampoline(sys.stdin.fileno(), read=True)
    os._exit(0)  # every write is on disk when it is answered: there is nothing to wait for


if __name__ == "__main__":
    main(sys.argv[1:])
