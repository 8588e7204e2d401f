"""Who is told that an asset was uploaded, changed or removed: kept as a task that has ended, and so delivered."""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.dialects.cloudinary_replies import iso
from gateway.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.journeys.cloud_assets import Desk

_log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A URL that is to be told; `trusted` says that it came out of the settings, and may lead anywhere."""

    url: str
    trusted: bool


def receiver(desk: Desk, fields: Mapping[str, str], preset_url: str = "") -> Receiver | None:
    """Return whom a request names, else its preset, else its cloud; None where nobody is to be told.

    What a caller without a signature names does not count. Raises URL_NOT_ALLOWED.
    """
    named = fields.get("notification_url", "") if desk.caller.signed else ""
    if named:
        desk.call.services.fetcher.check(named)
        return Receiver(named, trusted=False)
    url = preset_url or desk.cloud.settings.notification_url
    return Receiver(url, trusted=True) if url else None


async def notify(desk: Desk, to: Receiver | None, kind: str, reply: Mapping[str, Any]) -> None:
    """Promise a notification of this type that tells a reply; it outlives this process. Raises LEDGER_FAILED."""
    if to is None:
        return
    services, request_id = desk.call.services, desk.call.context.request_id.lower()
    now = services.clock().timestamp()
    told = {"notification_type": kind, "timestamp": iso(now), "request_id": request_id, **reply}
    task = Task(
        task_id=secrets.token_hex(32),
        cloud=desk.cloud.name,
        access_key_id=desk.caller.credential.access_key_id,
        request_id=request_id,
        source=("asset_id", str(reply.get("asset_id", ""))),
        notification_url=to.url,
        trusted=to.trusted,
        created_at=now,
        status="completed",
        outcome=json.dumps(told),
    )
    if await services.tasks.add(task, now, services.settings.tasks):
        services.bell.set()
    else:  # what was asked for has been done, and is not undone because of this
        _log.warning("request %s: nobody is notified, too many tasks are open", desk.call.context.request_id)
