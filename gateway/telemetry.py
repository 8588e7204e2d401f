"""What operators see of requests: the access line and the figures. Never a secret, a signature or a query."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from random import getrandbits
from time import time
from typing import TYPE_CHECKING

from gateway import errors, metrics, spans
from gateway.access_log import is_chosen, is_slow
from gateway.log_lines import AccessRecord
from gateway.scoreboard import Counts
from gateway.telemetry_settings import TelemetrySettings
from gateway.tracing import TRACEPARENT, new_traceparent, trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from gateway.errors import ApiError, ErrorKind
    from gateway.scoreboard import Page
    from gateway.spans import Tracer

_access = logging.getLogger("gateway.access")
_log = logging.getLogger("gateway")
_PUBLISH_EVERY_S = 0.5
_MAX_ACCOUNTS = 1000  # of (identity, bucket, dialect), in one process; what comes later is counted as "other"
# What the metrics call an error: its name in the table of errors. The store's own errors are in no table.
_KINDS = {kind: name.lower() for name, kind in vars(errors).items() if isinstance(kind, errors.ErrorKind)}
_ANALYSES = frozenset({"oss:ProcessImm", "ci:CreateAssessQualityJob", "cloudinary:Analyze", "sightengine:Check"})
# What the metrics call the ways in which a claim is refused.
_REASONS: Mapping[ErrorKind, str] = {
    errors.ACCESS_DENIED: "rights",
    errors.INVALID_ACCESS_KEY_ID: "unknown_key",
    errors.SIGNATURE_DOES_NOT_MATCH: "signature",
    errors.REQUEST_TIME_TOO_SKEWED: "clock",
    errors.REQUEST_EXPIRED: "expired",
    errors.REQUEST_NOT_YET_VALID: "not_yet_valid",
    errors.MISSING_DATE: "no_date",
    errors.INVALID_TOKEN: "token",
    errors.EXPIRED_TOKEN: "token",
    errors.PROCESS_NOT_COVERED: "not_covered",
    errors.AUTHORIZATION_HEADER_MALFORMED: "malformed",
    errors.AUTHORIZATION_QUERY_MALFORMED: "malformed",
    errors.UNSUPPORTED_AUTHORIZATION: "malformed",
    errors.MULTIPLE_CLAIMS: "several_claims",
}


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
    received_bytes: int = 0
    sent_bytes: int = 0
    elapsed_ms: int = 0
    store_request_id: str = ""
    trace_id: str = ""
    code: str = ""
    kind: str = ""
    reason: str = ""
    detail: str = ""

    def refused(self, error: ApiError) -> None:
        """Note why the request was refused; `end` knows with which status it was at last."""
        self.status, self.code, self.detail = error.kind.status, error.kind.code, error.detail or error.message
        self.kind, self.reason = _KINDS.get(error.kind, "other"), _REASONS.get(error.kind, "")

    def verifying(self) -> AbstractContextManager[object]:
        """Record that who asks is being verified, until leaving."""
        return spans.part("verify")

    def end(self, status: int, received_bytes: int, sent_bytes: int, elapsed_s: float) -> None:
        """Note how it ended; `status` is 0 when nobody was left to answer."""
        self.status, self.received_bytes, self.sent_bytes = status, received_bytes, sent_bytes
        self.elapsed_ms = round(elapsed_s * 1000)


_TOLD = tuple(item.name for item in fields(RequestRecord))
_told = attrgetter(*_TOLD)


@dataclass(slots=True)
class Telemetry:
    """The counters of one gateway process; label values come from bounded sets only."""

    ready: bool = False
    settings: TelemetrySettings = field(default_factory=TelemetrySettings)
    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    uncovered_process: int = 0
    certificate_reloads: Counter[str] = field(default_factory=Counter)  # by "ok" and "failed"
    handshakes_failed: Counter[str] = field(default_factory=Counter)  # of TLS, by reason
    certificate_expires_at: float = 0.0  # seconds since 1970; 0 without TLS
    scorer_jobs: Callable[[], tuple[int, int]] = lambda: (0, 0)  # pictures that wait for a scorer, and that have one
    oldest_wait_s: Callable[[], float] = lambda: 0.0  # how long the first of the waiting pictures has waited
    connections: Callable[[], int] = lambda: 0  # of clients, open
    stores: dict[str, bool] = field(default_factory=dict)  # whether each answered when last asked; empty: nobody asks
    results: Counter[str] = field(default_factory=Counter)
    counted: Counts = field(default_factory=Counter)  # everything else, under the names of `metrics`
    accounts: set[tuple[str, str, str]] = field(default_factory=set)
    inherited: Counts = field(default_factory=Counter)
    tracer: Tracer[RequestRecord] | None = None  # None: no spans are recorded

    def begin(self, method: str = "", traceparent: str = "") -> RequestRecord:
        """Give a request its id, and its trace to what is asked of the store on its behalf."""
        record = RequestRecord(f"{getrandbits(96):024X}", method)  # told to everybody: no secret may come from there
        trace = traceparent if traceparent and trace_id(traceparent) else ""
        if not trace and self.settings.new_traces:
            trace = new_traceparent(record.request_id)
        TRACEPARENT.set(trace)
        if trace:
            record.trace_id = trace_id(trace)
        if self.tracer is not None:
            record.trace_id = self.tracer.begin(method, traceparent) or record.trace_id
        return record

    def ended(self, record: RequestRecord) -> None:
        """Count the request and write its access line."""
        self._count(record)
        if self.tracer is not None:
            self.tracer.ended(record)
        slow = is_slow(record.elapsed_ms / 1000, self.settings)
        level = logging.WARNING if slow else logging.INFO
        if _access.isEnabledFor(level) and (slow or is_chosen(record.request_id, record.status, self.settings)):
            told = {name: value for name, value in zip(_TOLD, _told(record), strict=True) if value}
            if slow:
                told["slow"] = True
            _access.handle(AccessRecord(level, time(), told, self.settings.log_format))

    def _count(self, record: RequestRecord) -> None:
        dialect = record.dialect or "none"
        self.requests[dialect, record.action or "none", record.status] += 1
        metrics.observe(self.counted, metrics.REQUEST_SECONDS, record.elapsed_ms / 1000, dialect)
        self.counted[metrics.RECEIVED_BYTES, dialect] += record.received_bytes
        self.counted[metrics.SENT_BYTES, dialect] += record.sent_bytes
        if record.kind:
            self.counted[metrics.REFUSALS, record.kind] += 1
        if record.reason:
            self.counted[metrics.REFUSED_CLAIMS, record.reason] += 1
        if 200 <= record.status < 400:  # whoever is refused could have made the bucket's name up
            self._account(record, dialect)

    def _account(self, record: RequestRecord, dialect: str) -> None:
        identity, bucket = record.identity or "none", record.bucket or "none"
        if (identity, bucket, dialect) not in self.accounts:
            if len(self.accounts) >= _MAX_ACCOUNTS:
                identity = bucket = "other"
            self.accounts.add((identity, bucket, dialect))
        self.counted[metrics.USAGE_BYTES, identity, bucket, dialect] += record.received_bytes + record.sent_bytes
        is_analysis = record.action in _ANALYSES and record.status < 300
        self.counted[metrics.USAGE_ANALYSES, identity, bucket, dialect] += is_analysis

    def failed(self, record: RequestRecord) -> None:
        """Write the trace of an unexpected failure under the request id that the client was given."""
        record.code, record.kind = errors.INTERNAL_ERROR.code, _KINDS[errors.INTERNAL_ERROR]
        _log.exception("request %s failed", record.request_id)

    def uncovered(self, record: RequestRecord) -> None:
        """Note a COS process parameter that was accepted although its signature does not cover it."""
        self.uncovered_process += 1
        _log.warning("request %s: process parameter not covered by the COS signature, accepted", record.request_id)

    def exported(self, signal: str, ok: bool) -> None:  # noqa: FBT001 # called by the event loop, by position
        """Count a sending of `traces` or `metrics` to the collector."""
        self.counted[metrics.OTLP_EXPORTS, signal, "ok" if ok else "failed"] += 1

    def cache_event(self, event: str) -> None:
        """Count what became of a question about an object: `hit`, `computed`; or that the shared cache failed."""
        self.results[event] += 1

    def store_outcome(self, store: str, outcome: str, first_byte_s: float | None) -> None:
        """Count a store's answer by its status, or how it failed; the time where it says something about the store."""
        self.counted[metrics.STORE_REQUESTS, store, outcome] += 1
        if first_byte_s is not None:
            metrics.observe(self.counted, metrics.STORE_SECONDS, first_byte_s, store)

    def scoring_stage(self, stage: str, began: float, ended: float) -> None:
        """Note when a stage of scoring began and ended, by time.monotonic."""
        metrics.observe(self.counted, metrics.STAGE_SECONDS, ended - began, stage)
        spans.past(stage, began, ended)

    def counts(self) -> Counts:
        """Return all figures, with what this process's predecessors have counted: counters never fall."""
        counts = self.inherited.copy()
        counts.update(self.counted)
        counts.update({(metrics.UNCOVERED,): self.uncovered_process})
        counts.update({(metrics.REQUESTS, *names, str(status)): n for (*names, status), n in self.requests.items()})
        counts.update({(metrics.RESULTS, event): n for event, n in self.results.items()})
        waiting, running = self.scorer_jobs()
        counts.update({(metrics.WAITING,): waiting, (metrics.RUNNING,): running})
        counts[metrics.OLDEST_WAIT,] = self.oldest_wait_s()  # type: ignore[assignment] # a Counter holds any number
        counts[metrics.CONNECTIONS,] = self.connections()
        counts[metrics.OPEN_FILES,], counts[metrics.OPEN_FILES_LIMIT,] = _open_files()
        counts.update({(metrics.STORE_REACHABLE, store): int(is_there) for store, is_there in self.stores.items()})
        counts.update({(metrics.HANDSHAKES_FAILED, reason): n for reason, n in self.handshakes_failed.items()})
        if self.certificate_expires_at:  # an alert on a rise needs to see the zero before it
            reloads = self.certificate_reloads
            counts.update({(metrics.CERTIFICATE_RELOADS, result): reloads[result] for result in ("failed", "ok")})
            counts[metrics.CERTIFICATE_EXPIRY,] = round(self.certificate_expires_at)
        return counts

    def inherit(self, counts: Counts) -> None:
        """Go on counting from a predecessor's figures; what it measured, rather than counted, has ended with it."""
        self.inherited = metrics.lasting(counts)

    def exposition(self, others: Iterable[Counts] = (), own: Page | None = None) -> str:
        """Return the figures, together with those of other processes, in the Prometheus text format.

        They are in this process's `own` page before they are told: who is asked next, or succeeds it, tells no less.
        """
        counts = self.counts()
        if own is not None:
            with suppress(ValueError):  # `publish` says that they do not fit
                own.write(counts)
        return metrics.exposition((counts, *others))


def _open_files() -> tuple[int, int]:
    """Return how many descriptors this process has, and how many it may have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1, limit  # less that of the listing itself
    except OSError:  # none is left for the listing
        return limit, limit


async def publish(telemetry: Telemetry, page: Page) -> None:
    """Write the figures where other processes read them, every now and then until cancelled, and once more then."""
    written = Counts()
    try:
        while True:
            await asyncio.sleep(_PUBLISH_EVERY_S)
            with suppress(OSError):  # what cannot be measured now may be the next time
                counts = telemetry.counts()
                if counts != written:
                    page.write(counts)
                    written = counts
    except ValueError:
        _log.exception("the figures of this process are no longer published")
    finally:
        with suppress(OSError, ValueError):
            page.write(telemetry.counts())
