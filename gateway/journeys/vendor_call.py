"""A request to a vendor's own API, and all that answering it may need. Knows the parts; must not know any vendor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.authorise import allow
from gateway.credentials import ANONYMOUS
from gateway.proxies import parse_address
from gateway.request import rename_copy_source
from gateway.settings import route
from gateway.stores.upstream import StoreBucket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from gateway.credentials import Identity, Keyring
    from gateway.dialects.base import AnswerContext, Forward
    from gateway.imaging.pool import ScorerClient
    from gateway.key_file import LiveKeys
    from gateway.quotas import Quotas
    from gateway.request import ObjectRef, RequestHead
    from gateway.settings import BucketRoute, Settings
    from gateway.stores.fetch import Fetcher
    from gateway.stores.ledger import Ledger
    from gateway.stores.spool import Room
    from gateway.stores.task_ledger import TaskLedger
    from gateway.stores.upstream import Upstream
    from gateway.telemetry import RequestRecord
    from gateway.wire import Exchange


@dataclass(frozen=True, slots=True)
class Services:
    """What every request may need, put together once in `app.py`."""

    settings: Settings
    reserved: Mapping[str, tuple[str, ...]]  # for `registry.reserved`
    keys: LiveKeys
    upstreams: Mapping[str, Upstream]
    scorers: Mapping[str, ScorerClient]  # by the dialect's name: each has the limits that hold for its pictures
    quotas: Quotas
    rooms: Mapping[str, Room]  # by the dialect's name: for what comes from those who have not proven yet who they are
    ledger: Ledger
    tasks: TaskLedger
    bell: asyncio.Event  # rung when there is a new task
    fetcher: Fetcher
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a vendor's own API."""

    services: Services
    exchange: Exchange
    head: RequestHead
    record: RequestRecord
    context: AnswerContext

    @property
    def settings(self) -> Settings:
        """Everything the operator said."""
        return self.services.settings

    @property
    def keyring(self) -> Keyring:
        """The clients' keys now in force."""
        return self.services.keys.current

    def authorise(self, identity: Identity, wanted: Iterable[tuple[str, ObjectRef]]) -> None:
        """Raise ACCESS_DENIED unless the identity may do all of (action, object), from where the request came."""
        address = parse_address(self.head.peer)
        for action, ref in wanted:
            allow(identity, address, action, ref)
            self.record.action = action

    def place(self, bucket: str) -> BucketRoute:
        """Say what a bucket's name means."""
        return route(self.settings, bucket)

    def store_for(self, identity: Identity, bucket: BucketRoute) -> StoreBucket:
        """Return the bucket at its store, for what this identity does there."""
        return store_for(self.services.upstreams, identity, bucket)


def at_store(intent: Forward, settings: Settings) -> Forward:
    """Put the store's name of a copy's source into the request, and how the gateway takes a multipart upload."""
    headers = intent.store.headers
    named = rename_copy_source(headers, lambda name: route(settings, name).store_name)
    if named is headers and intent.multipart is None:
        return intent
    return replace(intent, store=replace(intent.store, headers=named), uploads=settings.multipart)


def store_for(upstreams: Mapping[str, Upstream], identity: Identity, bucket: BucketRoute) -> StoreBucket:
    """Choose whose key signs: the identity's own one, else the bucket's; nobody's where the store is to judge."""
    unsigned = identity is ANONYMOUS and bucket.settings.anonymous == "store"
    return StoreBucket(upstreams[identity.upstream or bucket.upstream], bucket.store_name, signed=not unsigned)
