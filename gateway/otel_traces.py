"""A request and its parts as spans of OpenTelemetry. Knows no exporter.

What is told of a request are fields of its access line: never a query, a signature or a secret.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from gateway.errors import ApiError
from gateway.spans import RECORDED
from gateway.tracing import TRACEPARENT, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, Tracer

    from gateway.telemetry import RequestRecord

_TOLD = ("request_id", "dialect", "scheme", "identity", "bucket", "key", "action", "code", "reason", "store_request_id")
_MAX_CHARACTERS = 1024  # of one attribute; no store has longer keys


class Tracing:
    """Makes a span of each request that is chosen: by the client's traceparent, else by its share."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, method: str, traceparent: str) -> str:
        """Begin a request; return its trace id, `""` when it is not recorded."""
        above = None
        if told := fields(traceparent):
            trace_id, span_id, flags = (int(each, 16) for each in told)
            context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
            above = set_span_in_context(NonRecordingSpan(context))
        span = self._tracer.start_span(method or "unreadable", above, SpanKind.SERVER)
        if not span.is_recording():
            RECORDED.set(None)
            return ""
        RECORDED.set(_RequestSpans(self._tracer, span))
        TRACEPARENT.set(_traceparent(span))
        return f"{span.get_span_context().trace_id:032x}"

    def ended(self, record: RequestRecord) -> None:
        """End the span of the request that is being answered, if it has one, with what its access line says."""
        spans = RECORDED.get()
        RECORDED.set(None)
        if isinstance(spans, _RequestSpans):
            spans.end(record)


class _RequestSpans:
    """The span of one request, and those of its parts."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._above = set_span_in_context(span)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Record what is done until leaving."""
        with _ending(self._tracer.start_span(name, self._above)):
            yield

    def past(self, name: str, began: float, ended: float) -> None:
        """Record what has been done, by the times of time.monotonic."""
        since_1970 = time_ns() - monotonic_ns()
        span = self._tracer.start_span(name, self._above, start_time=since_1970 + round(began * 1e9))
        span.end(since_1970 + round(ended * 1e9))

    @contextmanager
    def calling(self, method: str, endpoint: str) -> Iterator[_StoreCall]:
        """Record a request to a store, which is told this span as its parent."""
        span = self._tracer.start_span("upstream", self._above, SpanKind.CLIENT, _of_call(method, endpoint))
        token = TRACEPARENT.set(_traceparent(span))
        try:
            with _ending(span):
                yield _StoreCall(span)
        finally:
            TRACEPARENT.reset(token)

    def end(self, record: RequestRecord) -> None:
        """End the request's span."""
        self._span.update_name(record.action or record.method or "unreadable")
        told: dict[str, str | int] = {
            "http.request.method": record.method,
            "http.response.status_code": record.status,
            "http.request.body.size": record.received_bytes,
            "http.response.body.size": record.sent_bytes,
            "error.type": record.kind,
            **{f"gateway.{name}": getattr(record, name) for name in _TOLD},
        }
        self._span.set_attributes({name: _sendable(value) for name, value in told.items() if value})
        if record.status == 0 or record.status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _StoreCall:
    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """Note the answer's status."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            self._span.set_status(StatusCode.ERROR)


@contextmanager
def _ending(span: Span) -> Iterator[None]:
    """End a span on leaving; of what went wrong it gets the kind, not the words."""
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", error.kind.code if isinstance(error, ApiError) else type(error).__name__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


def _of_call(method: str, endpoint: str) -> dict[str, str | int]:
    url = urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    return {"http.request.method": method, "server.address": url.hostname or "", "server.port": port}


def _sendable(value: str | int) -> str | int:
    """Return text that UTF-8 can hold: a key's stray bytes must not cost the whole batch."""
    if isinstance(value, int):
        return value
    return value[:_MAX_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
