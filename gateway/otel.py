"""OpenTelemetry: traces of this process, and metrics of all processes, to a collector by OTLP over HTTP.

Loaded only where a collector is configured: this module and its two `otel_` neighbours alone know the packages of the
extra `otel`. Whatever the collector does, requests neither wait for it nor learn of it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from contextlib import asynccontextmanager, contextmanager, suppress
from threading import Event, Thread
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from gateway.otel_metrics import metrics_data
from gateway.otel_traces import Tracing
from gateway.telemetry_settings import header_pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from gateway.scoreboard import AdminPort
    from gateway.telemetry import Telemetry
    from gateway.telemetry_settings import TelemetrySettings

_log = logging.getLogger("gateway")
_LAST_S = 2.0  # what has not been sent so long after the last request is lost
_MAX_CHARACTERS = 300  # of what the SDK says
_EXPORTERS = {"trace_exporter": "traces", "metric_exporter": "metrics"}  # by their loggers' last names
_SERVICE = "s3-score-gateway"


@asynccontextmanager
async def exporting(settings: TelemetrySettings, telemetry: Telemetry, admin: AdminPort) -> AsyncIterator[None]:
    """Send the traces of this process, and from one process the metrics of all, until leaving."""
    resource, loop = _resource(), asyncio.get_running_loop()
    with _last_words() as words:
        outcomes = _Outcomes(settings.otlp_endpoint, words, telemetry, loop)
        processor = BatchSpanProcessor(_ToldExporter(_span_exporter(settings), outcomes))
        sampler = ParentBased(TraceIdRatioBased(settings.trace_share))
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        telemetry.tracer = Tracing(provider.get_tracer(_SERVICE))
        stop = Event()
        ending = [_send_metrics(settings, admin, resource, outcomes, stop)] if admin.since_ns else []
        try:
            yield
        finally:
            telemetry.tracer = None
            await asyncio.sleep(0)  # whoever publishes this process's page has been cancelled, and writes it once more
            stop.set()
            ending.append(_daemon(processor.shutdown))
            await asyncio.to_thread(_join, ending)


def _send_metrics(
    settings: TelemetrySettings, admin: AdminPort, resource: Resource, outcomes: _Outcomes, stop: Event
) -> Thread:
    """Send what all processes have counted, every now and then, and once more at the end."""
    url, headers = _address(settings, "metrics")
    exporter = OTLPMetricExporter(endpoint=url, headers=headers)

    def send() -> None:
        counts = [page.read() for page in (admin.own, *admin.others)]
        result = exporter.export(metrics_data(counts, resource, admin.since_ns, time_ns()))
        outcomes.told("metrics", ok=result is MetricExportResult.SUCCESS)

    def repeat() -> None:
        while not stop.wait(settings.otlp_metrics_s):
            send()
        send()

    return _daemon(repeat)


def _span_exporter(settings: TelemetrySettings) -> OTLPSpanExporter:
    url, headers = _address(settings, "traces")
    return OTLPSpanExporter(endpoint=url, headers=headers)


def _address(settings: TelemetrySettings, signal: str) -> tuple[str, dict[str, str]]:
    return f"{settings.otlp_endpoint.rstrip('/')}/v1/{signal}", dict(header_pairs(settings.otlp_headers.reveal()))


def _resource() -> Resource:
    """Return who tells: what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, else this product on this host."""
    ours = Resource({SERVICE_NAME: _SERVICE, SERVICE_INSTANCE_ID: socket.gethostname()})
    said = Resource.create()
    unsaid = str(said.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return said.merge(ours) if unsaid else ours.merge(said)


def _daemon(target: Callable[[], None]) -> Thread:
    """Start a thread that nobody has to wait for."""
    thread = Thread(target=target, daemon=True)
    thread.start()
    return thread


def _join(threads: Sequence[Thread]) -> None:
    ends_at = monotonic() + _LAST_S
    for each in threads:
        each.join(max(0.0, ends_at - monotonic()))


class _ToldExporter(SpanExporter):
    """An exporter whose successes and failures are told."""

    def __init__(self, exporter: SpanExporter, outcomes: _Outcomes) -> None:
        self._exporter, self._outcomes = exporter, outcomes

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        result = self._exporter.export(spans)
        self._outcomes.told("traces", ok=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """Give up what is being tried."""
        self._exporter.shutdown()


class _Outcomes:
    """What becomes of the sendings: each is counted, and a change is logged. Called from the exporters' threads."""

    def __init__(self, endpoint: str, words: _LastWords, telemetry: Telemetry, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint, self._words, self._telemetry, self._loop = endpoint, words, telemetry, loop
        self._failing: set[str] = set()

    def told(self, signal: str, *, ok: bool) -> None:
        """Note one sending of `traces` or `metrics`."""
        with suppress(RuntimeError):  # the loop has ended, and nobody asks for figures any more
            self._loop.call_soon_threadsafe(self._telemetry.exported, signal, ok)
        if ok and signal in self._failing:
            self._failing.discard(signal)
            _log.info("the collector at %s takes %s again", self._endpoint, signal)
        elif not ok and signal not in self._failing:
            self._failing.add(signal)
            _log.warning("the collector at %s does not take %s: %s", self._endpoint, signal, self._words.of(signal))


class _LastWords(logging.Handler):
    """Keeps the last two things that each exporter said, a reason and a giving up: it says them of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, deque[str]] = {signal: deque(maxlen=2) for signal in _EXPORTERS.values()}

    def of(self, signal: str) -> str:
        """Return what the exporter of this signal said, on one line."""
        return "; ".join(self._said[signal])

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        if signal := _EXPORTERS.get(record.name.rpartition(".")[2]):
            self._said[signal].append(" ".join(record.getMessage().split())[:_MAX_CHARACTERS])


@contextmanager
def _last_words() -> Iterator[_LastWords]:
    """Take the exporters' own words off the log until leaving; that the queue is full is said, every 20 seconds."""
    logger, words = logging.getLogger("opentelemetry.exporter"), _LastWords()
    logger.addHandler(words)
    logger.propagate = False
    try:
        yield words
    finally:
        logger.removeHandler(words)
        logger.propagate = True
