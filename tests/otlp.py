"""An OpenTelemetry collector for tests: takes OTLP over HTTP and keeps what it was sent."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Span:
    """A span as it came; ids in hexadecimal digits, `parent` is empty at the top."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    began_ns: int
    ended_ns: int
    failed: bool
    told: dict[str, Any]


@dataclass
class Collector:
    """What was sent, and how to answer."""

    url: str = ""
    status: int = 200
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)  # of each message: the metrics by name

    def take(self, path: str, body: bytes) -> None:
        """Keep one message."""
        if path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(_pairs(group.resource.attributes))
                self.spans += [_span(each) for scope in group.scope_spans for each in scope.spans]
        elif path == "/v1/metrics":
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.resources.append(_pairs(group.resource.attributes))
                self.metrics.append({each.name: each for scope in group.scope_metrics for each in scope.metrics})

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, by their beginnings."""
        return sorted((each for each in self.spans if each.trace_id == trace_id), key=lambda each: each.began_ns)


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """Run a collector until leaving."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.raw.append(body)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            if collector.status == 200:
                collector.take(self.path, body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _pairs(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _span(each: Any) -> Span:
    return Span(
        name=each.name,
        kind=each.kind,
        trace_id=each.trace_id.hex(),
        span_id=each.span_id.hex(),
        parent=each.parent_span_id.hex(),
        began_ns=each.start_time_unix_nano,
        ended_ns=each.end_time_unix_nano,
        failed=each.status.code == each.status.STATUS_CODE_ERROR,
        told=_pairs(each.attributes),
    )
