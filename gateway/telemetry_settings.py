"""What operators may say about logs, traces and checks. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from gateway.credentials import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What is written down of requests and told to a collector; how often stores are asked whether they are there."""

    log_format: Literal["text", "json", "logfmt"] = "text"  # of all lines; a request's own is JSON in "text" too
    sample: float = 1.0  # share of the requests that get an access line; a 5xx, a cut and a slow one always do
    slow_s: float = 0.0  # a request that takes so long is logged as a warning, with "slow"; 0: none is
    # OpenTelemetry: "http://collector:4318", say, gets traces and metrics by OTLP over HTTP; "": nobody does
    otlp_endpoint: str = ""
    # "NAME=VALUE,NAME=VALUE", percent-encoded, for the collector
    otlp_headers: Secret = field(default_factory=lambda: Secret(""))
    otlp_metrics_s: float = 30.0  # between two sendings of the metrics
    trace_share: float = 0.1  # of the requests without a traceparent; of those with one, each that is sampled is told
    new_traces: bool = False  # a request without a W3C traceparent gets one on its way to the store
    store_check_s: float = 5.0  # between two looks whether the stores answer, at least 0.1; 0: they are not asked
    # /readyz also says no when no store answers any more; else only until one has answered for the first time
    unready_without_store: bool = False


def telemetry_contradictions(settings: TelemetrySettings) -> Iterator[str]:
    """Yield a line for each value that cannot be."""
    if not 0 <= settings.sample <= 1:
        yield "telemetry.sample: must be between 0 and 1"
    if settings.slow_s < 0 or settings.store_check_s < 0:
        yield "telemetry.slow_s, store_check_s: must not be negative"
    if 0 < settings.store_check_s < 0.1:
        yield "telemetry.store_check_s: must be at least 0.1, or 0 (the stores are not asked)"
    if not 0 <= settings.trace_share <= 1:
        yield "telemetry.trace_share: must be between 0 and 1"
    if settings.otlp_metrics_s < 1:
        yield "telemetry.otlp_metrics_s: must be at least 1"
    if settings.otlp_endpoint and not _is_collector(settings.otlp_endpoint):
        yield "telemetry.otlp_endpoint: must be http:// or https://, with a host, and with neither user nor query"
    if any(
        not name or not (name + value).isprintable() for name, value in header_pairs(settings.otlp_headers.reveal())
    ):
        yield "telemetry.otlp_headers: must be NAME=VALUE, several with commas between them"
    if settings.otlp_endpoint and not _can_export():
        yield "telemetry.otlp_endpoint: needs optional packages: pip install 's3-score-gateway[otel]'"


def header_pairs(text: str) -> list[tuple[str, str]]:
    """Read headers as the OTEL_EXPORTER_OTLP_HEADERS of the standard are written; a pair that is none has no name."""
    pairs = [each.partition("=") for each in text.split(",") if each.strip()]
    return [(name.strip() if equals else "", unquote(value.strip())) for name, equals, value in pairs]


def _is_collector(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        return False
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_valid and is_plain


def _can_export() -> bool:
    try:
        return all(find_spec(f"opentelemetry.{each}") for each in ("sdk.trace", "exporter.otlp.proto.http"))
    except ModuleNotFoundError:  # of a package above
        return False
