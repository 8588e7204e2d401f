"""THE journey of a request, top to bottom, and the only place that turns exceptions into answers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, assert_never

from gateway.auth import identify
from gateway.credentials import ANONYMOUS, Identity, Keyring
from gateway.dialects import registry
from gateway.dialects.base import Analyse, AnswerContext, Dialect, Forward, Intent, StoreRequest
from gateway.errors import ACCESS_DENIED, INTERNAL_ERROR, ApiError
from gateway.journeys.analyse import analyse
from gateway.journeys.forward import forward
from gateway.request import (
    HostMap,
    ObjectRef,
    RequestHead,
    Target,
    copy_source,
    locate,
    query_without,
    rename_copy_source,
)
from gateway.settings import BucketRoute, Settings, route
from gateway.stores.upstream import StoreBucket
from gateway.telemetry import RequestRecord, Telemetry
from gateway.wire import ClientGoneError, Exchange, read_head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aiohttp import web

    from gateway.auth.identify import Verified
    from gateway.imaging.pool import ScorerClient
    from gateway.stores.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything a request may need, put together once in `app.py`."""

    settings: Settings
    hosts: HostMap
    default_dialect: str
    keyring: Keyring
    upstreams: Mapping[str, Upstream]
    scorer: ScorerClient
    telemetry: Telemetry
    clock: Callable[[], datetime]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever happens, the client gets a whole answer or a cut connection."""
        started = perf_counter()
        exchange = Exchange(request)
        record = RequestRecord(secrets.token_hex(12).upper(), method=request.method)
        try:
            await self._answer(request, exchange, record)
        except ClientGoneError:
            exchange.abort()
        finally:
            record.status = exchange.response.status if exchange.response else 0
            record.sent_bytes, record.elapsed_ms = exchange.sent_bytes, round((perf_counter() - started) * 1000)
            self.telemetry.ended(record)
        return exchange.finished()

    async def _answer(self, request: web.BaseRequest, exchange: Exchange, record: RequestRecord) -> None:
        dialect: Dialect = registry.by_name(self.default_dialect)
        context = self._context(record, request.method, request.host, request.path)
        try:
            head = read_head(request)
            schemes = tuple(scheme.NAME for scheme in identify.recognised(head))
            dialect = registry.select(head, schemes, self.hosts, self.default_dialect)
            context = self._context(record, head.method, head.authority, head.raw_path)
            record.dialect, record.scheme = dialect.NAME, "+".join(schemes)
            await self._journey(head, dialect, exchange, record, context)
        except ApiError as error:
            record.refused(error)
            await self._refuse(error, dialect, exchange, context)
        except (ClientGoneError, GeneratorExit):
            raise
        except Exception:  # noqa: BLE001 # the last net: the client gets the dialect's InternalError, the log the trace
            self.telemetry.failed(record)
            await self._refuse(ApiError(INTERNAL_ERROR), dialect, exchange, context)

    async def _journey(
        self, head: RequestHead, dialect: Dialect, exchange: Exchange, record: RequestRecord, context: AnswerContext
    ) -> None:
        # Where: exactly one bucket and key, before anybody is believed.
        target = locate(head, self.hosts)
        bucket = route(self.settings, target.ref.bucket)
        record.bucket, record.key = bucket.name, target.ref.key
        # Who: a verified identity, or the anonymous one. What proved it is used up, and gone from the head.
        verified, head = self._identify(head, target, record)
        # What: the dialect says what is asked for.
        intent = dialect.interpret(head, target)
        # Allowed?
        self._authorise(verified.identity, intent, bucket, target, record)
        # Do it.
        context = replace(context, public=bucket.open_to_everybody(target.ref.key))
        store = StoreBucket(self.upstreams[bucket.upstream], bucket.store_name)
        match intent:
            case Forward():
                intent = replace(intent, store=self._with_store_names(intent.store))
                await forward(exchange, intent, verified.payload, store, dialect, context)
            case Analyse():
                analyst = registry.analysing(dialect)
                rendered = await analyse(head, intent, target.ref.key, store, self.scorer, analyst, context)
                await exchange.send(rendered)
            case _:
                assert_never(intent)

    def _identify(self, head: RequestHead, target: Target, record: RequestRecord) -> tuple[Verified, RequestHead]:
        found = identify.find_claim(head)
        verified = identify.identify(head, found, target, self.keyring, self.clock())
        record.identity = verified.identity.name
        if found is None:
            return verified, head
        scheme, claim = found
        names = registry.process_parameters(head)
        setting = self.settings.dialects.cos.unsigned_process
        if identify.check_process_coverage(claim, target, names, cos_unsigned=setting):
            self.telemetry.uncovered(record)
        used_up = scheme.CLAIM_PARAMETERS if claim.in_query else frozenset()
        return verified, replace(head, raw_query=query_without(head.parameters, used_up))

    def _authorise(
        self, identity: Identity, intent: Intent, bucket: BucketRoute, target: Target, record: RequestRecord
    ) -> None:
        ref = ObjectRef(bucket.name, target.ref.key)
        actions = intent.actions if isinstance(intent, Analyse) else (intent.action, *intent.also)
        record.action = actions[-1] if isinstance(intent, Analyse) else actions[0]
        if isinstance(intent, Analyse) and not bucket.settings.scoring:
            raise ApiError(ACCESS_DENIED, "scoring is off", message="Scoring is switched off for this bucket.")
        if identity is ANONYMOUS:
            if actions != ("s3:GetObject",) or not bucket.open_to_everybody(ref.key):
                raise ApiError(ACCESS_DENIED, "anonymous")
            return
        wanted = [(action, ref) for action in actions]
        if isinstance(intent, Forward) and (source := copy_source(intent.store.headers)) is not None:
            wanted.append(("s3:GetObject", ObjectRef(route(self.settings, source.bucket).name, source.key)))
        for action, what in wanted:
            if not identity.allows(action, what):
                raise ApiError(ACCESS_DENIED, f"{identity.name} may not {action} on {what.bucket}/{what.key}")

    def _with_store_names(self, request: StoreRequest) -> StoreRequest:
        headers = rename_copy_source(request.headers, lambda name: route(self.settings, name).store_name)
        return replace(request, headers=headers)

    async def _refuse(self, error: ApiError, dialect: Dialect, exchange: Exchange, context: AnswerContext) -> None:
        if exchange.begun:
            exchange.abort()
            return
        await exchange.send(dialect.render_error(error, context))

    def _context(self, record: RequestRecord, method: str, host: str, resource: str) -> AnswerContext:
        return AnswerContext(record.request_id, method, host, resource, self.clock())
