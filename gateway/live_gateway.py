"""The gateway by the settings in force: new ones make a new gateway, and each request goes its way through one."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from gateway.imaging.pool import ScorerClient
from gateway.imaging.vendor_limits import strict
from gateway.journeys.who import Who
from gateway.log_lines import write_as
from gateway.settings import (
    SettingsError,
    default_dialect,
    has_strict_limits,
    host_map,
    public_face,
    reserved_hosts,
    trusted_networks,
)
from gateway.stores.fetch import Fetcher
from gateway.stores.fetch_rules import fetch_rules

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from gateway.connection import Incoming
    from gateway.dialects.base import Rendered
    from gateway.errors import ApiError
    from gateway.handler import Gateway
    from gateway.live_settings import LiveSettings
    from gateway.settings import Settings
    from gateway.telemetry import Telemetry

_log = logging.getLogger("gateway")
_LOOK_S = 0.5  # between two looks whether there are new settings


class LiveGateway:
    """Hands each request to the gateway of the moment. One that runs keeps the settings that it began with."""

    def __init__(self, gateway: Gateway, scorer_address: str) -> None:
        self.current = gateway
        self._scorer_address = scorer_address
        self._scorers = [*gateway.services.scorers.values()]  # those of earlier settings too, while they work

    def handle(self, request: Incoming) -> Awaitable[None]:
        """Answer one request."""
        gateway = self.current
        bounded = gateway.services.settings.quotas.concurrent_requests
        return self._counted(gateway, request) if bounded else gateway.handle(request)

    async def _counted(self, gateway: Gateway, request: Incoming) -> None:
        with gateway.services.quotas.request():
            await gateway.handle(request)

    def refuse_unreadable(self, error: ApiError) -> Rendered:
        """Render the refusal of something that was no HTTP request."""
        return self.current.refuse_unreadable(error)

    def scorer_jobs(self) -> tuple[int, int]:
        """How many pictures wait for a scorer, and how many are being scored."""
        waiting, running = zip(*(each.jobs for each in self._scorers), strict=True)
        return sum(waiting), sum(running)

    def oldest_wait_s(self) -> float:
        """For how long the first of the pictures that wait has waited."""
        return max(each.oldest_wait_s for each in self._scorers)

    def take(self, settings: Settings) -> None:
        """Answer further requests by new settings; only what `live_settings` calls live may differ."""
        old, telemetry, before = self.current, self.current.telemetry, self.current.services.settings
        scorers = old.services.scorers
        if (settings.limits, settings.dialects) != (before.limits, before.dialects):
            scorers = scorer_clients(settings, self._scorer_address, telemetry)
            self._scorers = [*scorers.values(), *(each for each in self._scorers if any(each.jobs))]
        services = replace(
            old.services,
            settings=settings,
            reserved=reserved_hosts(settings),
            scorers=scorers,
            fetcher=Fetcher(fetch_rules(settings.fetch)),
        )
        old.services.quotas.settings = settings.quotas  # what somebody has used up stays used up
        telemetry.settings = settings.telemetry
        self.current = replace(
            old,
            who=Who(services, host_map(settings), default_dialect(settings), public_face(settings), telemetry),
            trusted=trusted_networks(settings),
            services=services,
        )


def scorer_clients(settings: Settings, address: str, telemetry: Telemetry) -> dict[str, ScorerClient]:
    """Build one client of the scorers for each dialect, with the limits that hold for its pictures."""
    scorers = {}
    for name in (item.name for item in fields(settings.dialects)):
        narrow = has_strict_limits(settings, name)
        limits = strict(name, settings.limits) if narrow else settings.limits
        scorers[name] = ScorerClient(address, limits, telemetry.scoring_stage)
    return scorers


async def follow_settings(settings: LiveSettings, gateway: LiveGateway) -> None:
    """Take new settings soon after the supervisor has announced them; reads in a thread, and holds up no request."""
    while True:
        if settings.is_behind:
            try:
                await asyncio.to_thread(settings.reload)
            except SettingsError as error:  # the supervisor could read them a moment ago
                _log.warning("this gateway process keeps its old settings: %s", "; ".join(str(error).splitlines()))
            except Exception:  # noqa: BLE001 # whatever it is, the next settings must be looked for
                _log.exception("this gateway process keeps its old settings")
            else:
                gateway.take(settings.current)
                write_as(settings.current.telemetry.log_format)
        await asyncio.sleep(_LOOK_S)
