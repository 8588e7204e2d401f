"""`gateway serve`: the gateway in front of the configured store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.commands.config import read
from gateway.supervisor import run_gateways

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("gateway")


def serve(config: Path | None) -> int:
    """Serve until SIGTERM or Ctrl-C. Raises SettingsError and StartError."""
    settings, keys = read(config)

    def say_ready() -> None:
        stores = ", ".join(f"{name} ({row.endpoint})" for name, row in settings.upstream.items())
        _log.info(
            "ready on http://%s, admin port %s, store %s", settings.server.listen, settings.server.admin_listen, stores
        )

    return run_gateways(settings, keys, say_ready)
