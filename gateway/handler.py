"""THE journey of a request, top to bottom, and the only place that turns exceptions into answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, assert_never

from gateway.authorise import authorise
from gateway.credentials import ANONYMOUS
from gateway.dialects import registry
from gateway.dialects.base import Analyse, AnswerContext, Dialect, Forward, VendorDialect
from gateway.errors import INTERNAL_ERROR, SIGNATURE_DOES_NOT_MATCH, ApiError
from gateway.journeys import post_form, vendor_api
from gateway.journeys.analyse import analyse
from gateway.journeys.cors import Crossing
from gateway.journeys.forward import forward
from gateway.journeys.rate import rated
from gateway.journeys.save import save, spelled_out
from gateway.journeys.vendor_call import Call, Services, at_store, store_for
from gateway.proxies import believed, parse_address
from gateway.settings import route
from gateway.wire import ClientGoneError, Exchange, read_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.auth.proven import Shown
    from gateway.connection import Incoming
    from gateway.dialects.base import Rendered
    from gateway.journeys.post_form import PostForm, ProvenForm
    from gateway.journeys.who import Who
    from gateway.proxies import Network
    from gateway.request import RequestHead
    from gateway.telemetry import RequestRecord, Telemetry


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything a request may need, put together once in `app.py`: what the vendors' APIs need too, and the rest."""

    services: Services
    who: Who
    trusted: Sequence[Network]
    telemetry: Telemetry

    async def handle(self, request: Incoming) -> None:
        """Answer one request; whatever happens, the client gets a whole answer or a cut connection."""
        started = perf_counter()
        record = self.telemetry.begin(request.method, request.headers.get("traceparent", ""))
        exchange = Exchange(request, self.services.settings.server.spool_bytes, record.request_id)
        try:
            await self._answer(request, exchange, record)
        except ClientGoneError:
            exchange.abort()
        finally:
            record.store_request_id = exchange.told("x-amz-request-id")
            record.end(exchange.status, exchange.received_bytes, exchange.sent_bytes, perf_counter() - started)
            self.telemetry.ended(record)
        exchange.end()

    def refuse_unreadable(self, error: ApiError) -> Rendered:
        """Render the refusal of something that was no HTTP request."""
        record = self.telemetry.begin()
        record.refused(error)
        self.telemetry.ended(record)
        return registry.by_name(self.who.default_dialect).render_error(error, self._context(record, "", "", "/"))

    async def _answer(self, request: Incoming, exchange: Exchange, record: RequestRecord) -> None:
        dialect: Dialect | VendorDialect = registry.by_name(self.who.default_dialect)
        path = request.raw_path.partition("?")[0]
        context = self._context(record, request.method, request.headers.get("Host", ""), path)
        head: RequestHead | None = None
        form: PostForm | None = None
        try:
            head = believed(read_head(request), self.trusted)
            if (head.authority, head.raw_path) != (context.host, context.resource):  # a proxy, or an absolute form
                context = self._context(record, head.method, head.authority, head.raw_path)
            # What it speaks and where: exactly one bucket and key, before anybody is believed. Often known already.
            shown = self.who.shown(head)
            if vendor := registry.reserved(head, shown.scheme_names, self.services.reserved):
                dialect, record.dialect = vendor, vendor.NAME
                await vendor_api.answer(Call(self.services, exchange, head, record, context), vendor)
                return
            dialect, record.dialect = registry.by_name(shown.dialect), shown.dialect
            record.scheme = "+".join(shown.scheme_names)
            form = await post_form.begin(exchange, head, shown.target) if head.method == "POST" else None
            if form is not None:  # its claim is among its fields, so they say what it speaks
                dialect = registry.select(head, form.schemes, self.who.hosts, self.who.default_dialect)
                record.dialect, record.scheme = dialect.NAME, "+".join(form.schemes)
            await self._journey(head, shown, form, dialect, exchange, record, context)
        except ApiError as error:
            record.refused(error := self.services.quotas.charged(error, head.peer if head else "", monotonic()))
            if head and not form and error.kind is SIGNATURE_DOES_NOT_MATCH:
                error = self.who.explained(error, head)
            await exchange.refuse(dialect.render_error(error, context))
        except (ClientGoneError, GeneratorExit):
            raise
        except Exception:  # noqa: BLE001 # the last net: the client gets the dialect's InternalError, the log the trace
            self.telemetry.failed(record)
            await exchange.refuse(dialect.render_error(ApiError(INTERNAL_ERROR), context))

    async def _journey(
        self,
        head: RequestHead,
        shown: Shown,
        form: PostForm | None,
        dialect: Dialect,
        exchange: Exchange,
        record: RequestRecord,
        context: AnswerContext,
    ) -> None:
        services, target = self.services, shown.target
        record.bucket, record.key = target.ref.bucket, target.ref.key
        if head.method == "OPTIONS" or head.has_header("origin"):
            crossing = Crossing(head, target, partial(route, services.settings), services.upstreams)
            exchange.rules_for_pages = crossing.rules
            if crossing.is_preflight:  # it carries no signature, and learns nothing but the store's rules
                services.quotas.admit(head.peer, monotonic())
                await crossing.preflight(exchange)
                return
        # Who: a verified identity, or the anonymous one. What proved it is used up, and gone from the head.
        proven: ProvenForm | None = None
        if form is None:
            verified, head = self.who.verified(head, shown, record, context.now)
        else:  # from here on a form is the PUT that it stands for
            max_life_s = services.settings.keys.max_url_life_s
            proven = post_form.prove(form, head, target, dialect, services.keys.current, services.clock(), max_life_s)
            verified, head, target = proven.verified, proven.head, proven.target
            record.identity, record.key = verified.identity.name, target.ref.key
        identity, address, key = verified.identity, parse_address(head.peer), target.ref.key
        services.quotas.admit(identity.name if identity is not ANONYMOUS else head.peer, monotonic())
        # What: the dialect says what is asked for, and the settings where that lies.
        bucket = route(services.settings, target.ref.bucket)
        head = await spelled_out(exchange, head, verified.payload, bucket.settings.styles)
        intent = dialect.interpret(head, target)
        # Allowed? A batch delete names its keys in its body: what is returned will judge them.
        record.action = intent.actions[-1] if isinstance(intent, Analyse) else intent.action
        may_delete = authorise(identity, address, intent, bucket, key, partial(route, services.settings))
        # Do it.
        context = context._replace(public=True) if bucket.open_to_everybody(key) else context
        store = store_for(services.upstreams, identity, bucket)
        match intent:
            case Forward() if proven is not None:
                await post_form.upload(exchange, proven, intent.store, store, dialect, context)
            case Forward():
                intent = at_store(intent, services.settings)
                if identity.score_headers and bucket.settings.scoring:
                    scorer = services.scorers[dialect.NAME]
                    intent = await rated(intent, store, scorer, services.quotas.scoring(identity.name))
                await forward(exchange, intent, verified.payload, store, dialect, context, may_delete)
            case Analyse():
                analyst = registry.analysing(dialect)
                with services.quotas.scoring(identity.name):
                    rendered = await analyse(head, intent, key, store, services.scorers[dialect.NAME], analyst, context)
                if intent.save_to is not None:
                    place = route(services.settings, intent.save_to.bucket)
                    there = store_for(services.upstreams, identity, place)
                    rendered = await save(rendered, intent.save_to, there, context)
                await exchange.send(rendered)
            case _:
                assert_never(intent)

    def _context(self, record: RequestRecord, method: str, host: str, resource: str) -> AnswerContext:
        return AnswerContext(record.request_id, method, host, resource, self.services.clock())
