"""`gateway serve`: the gateway in front of the configured store."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.commands.config import read
from gateway.live_settings import LiveSettings
from gateway.log_lines import write_as
from gateway.processes import StartError
from gateway.settings import load
from gateway.supervisor import run_gateways
from gateway.tls import TlsError, opened

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("gateway")


def serve(config: Path | None) -> int:
    """Serve until SIGTERM or Ctrl-C. Raises SettingsError and StartError."""
    settings, keys = read(config)
    write_as(settings.telemetry.log_format)
    try:
        certificate = opened(settings.tls)
    except TlsError as error:  # it was good a moment ago
        raise StartError(str(error)) from None
    for name in (name for name, row in settings.upstream.items() if not row.verify):
        _log.warning(
            "upstream.%s.verify is off: whoever stands between here and the store can read and change all", name
        )

    def say_ready() -> None:
        stores = ", ".join(f"{name} ({row.endpoint})" for name, row in settings.upstream.items())
        _log.info(
            "ready on %s://%s, admin port %s, store %s",
            "https" if certificate else "http",
            settings.server.listen,
            settings.server.admin_listen,
            stores,
        )

    live = LiveSettings(settings, lambda: load(config, os.environ))
    return run_gateways(live, keys, say_ready, certificate=certificate)
