"""The admin port: alive, ready, metrics, settings. Never on the public port, and never a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.scoreboard import SCORERS_RUNNING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gateway.scoreboard import Page
    from gateway.telemetry import Telemetry

_PAGES = "/livez, /readyz, /metrics and /debug/config are here\n"


def not_ready(telemetry: Telemetry, others: Sequence[Page]) -> list[str]:
    """Return why no request should be sent here, one reason a line; nothing when all is well.

    One store of several that answers is enough: others' requests get their 503 from the gateway, and in their dialect.
    When all have gone that is what a pod that has been ready does by default, too (ADR 22).
    """
    reasons = [] if telemetry.ready else ["not serving: starting, or draining"]
    counts_now = not telemetry.ready or telemetry.settings.unready_without_store
    if counts_now and telemetry.stores and not any(telemetry.stores.values()):
        reasons.append(f"no store answers: {', '.join(sorted(telemetry.stores))}")
    scorers = [counts[SCORERS_RUNNING,] for counts in (page.read() for page in others) if (SCORERS_RUNNING,) in counts]
    if scorers and not sum(scorers):
        reasons.append("no scorer process lives")
    return reasons


def admin_handler(
    telemetry: Telemetry, own: Page, others: Sequence[Page] = (), shown: Callable[[], Mapping[str, Any]] = dict
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Answer the admin port: the metrics are this process's, which go to its `own` page too, with the `others`'.

    `shown` returns the masked settings.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/livez":
                return web.Response(text="ok\n")
            case "/readyz":
                reasons = not_ready(telemetry, others)
                return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)
            case "/metrics":
                text = telemetry.exposition((page.read() for page in others), own)
                return web.Response(text=text, content_type="text/plain")
            case "/debug/config":
                return web.Response(text=json.dumps(shown(), indent=2) + "\n", content_type="application/json")
            case _:
                return web.Response(text=_PAGES, status=404)

    return handle
