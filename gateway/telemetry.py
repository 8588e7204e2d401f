"""What operators see: the access line, the counters, the admin port. Never a secret, a signature or a query."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.errors import ApiError

_access = logging.getLogger("gateway.access")
_log = logging.getLogger("gateway")


@dataclass(slots=True)
class RequestRecord:
    """What is told about one request when it has ended; filled in while it runs."""

    request_id: str
    method: str = ""
    dialect: str = ""
    scheme: str = ""
    signed_as: str = ""
    identity: str = ""
    bucket: str = ""
    key: str = ""
    action: str = ""
    status: int = 0
    sent_bytes: int = 0
    elapsed_ms: int = 0
    store_request_id: str = ""
    code: str = ""
    detail: str = ""

    def refused(self, error: ApiError) -> None:
        """Note why the request was refused."""
        self.code, self.detail = error.kind.code, error.detail or error.message


@dataclass(slots=True)
class Telemetry:
    """The counters of one gateway process; label values come from bounded sets only."""

    ready: bool = False
    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    uncovered_process: int = 0

    def ended(self, record: RequestRecord) -> None:
        """Count the request and write its access line."""
        self.requests[record.dialect or "none", record.action or "none", record.status] += 1
        if _access.isEnabledFor(logging.INFO):
            told = {name: value for name, value in asdict(record).items() if value not in ("", 0)}
            _access.info("%s", json.dumps(told, ensure_ascii=True))

    def failed(self, record: RequestRecord) -> None:
        """Write the trace of an unexpected failure under the request id that the client was given."""
        _log.exception("request %s failed", record.request_id)

    def uncovered(self, record: RequestRecord) -> None:
        """Note a COS process parameter that was accepted although its signature does not cover it."""
        self.uncovered_process += 1
        _log.warning("request %s: process parameter not covered by the COS signature, accepted", record.request_id)

    def exposition(self) -> str:
        """Return the counters in the Prometheus text format."""
        lines = ["# TYPE gateway_requests_total counter"]
        for (dialect, action, status), count in sorted(self.requests.items()):
            labels = f'dialect="{dialect}",action="{action}",status="{status}"'
            lines.append(f"gateway_requests_total{{{labels}}} {count}")
        lines.append("# TYPE gateway_uncovered_process_total counter")
        lines.append(f"gateway_uncovered_process_total {self.uncovered_process}")
        return "\n".join(lines) + "\n"


def admin_handler(telemetry: Telemetry) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Answer /livez, /readyz and /metrics on the admin port."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/livez":
                return web.Response(text="ok\n")
            case "/readyz":
                return web.Response(
                    text="ok\n" if telemetry.ready else "draining\n", status=200 if telemetry.ready else 503
                )
            case "/metrics":
                return web.Response(text=telemetry.exposition(), content_type="text/plain")
            case _:
                return web.Response(text="/livez, /readyz and /metrics are here\n", status=404)

    return handle
