"""The metrics by name: what each means, its labels, and how figures of several processes become one page. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from gateway.scoreboard import KEY_RELOADS, PROCESS_STARTS, SCORERS_RUNNING, SETTINGS_RELOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.scoreboard import Counts

REQUESTS = "gateway_requests_total"
REQUEST_SECONDS = "gateway_request_seconds"
RECEIVED_BYTES, SENT_BYTES = "gateway_received_bytes_total", "gateway_sent_bytes_total"
REFUSALS = "gateway_refusals_total"
REFUSED_CLAIMS = "gateway_refused_claims_total"
UNCOVERED = "gateway_uncovered_process_total"
USAGE_ANALYSES, USAGE_BYTES = "gateway_usage_analyses_total", "gateway_usage_bytes_total"
STORE_REQUESTS = "gateway_store_requests_total"
STORE_SECONDS = "gateway_store_first_byte_seconds"
STORE_REACHABLE = "gateway_store_reachable"
BREAKER_OPEN, BREAKER_OPENINGS = "gateway_store_breaker_open", "gateway_store_breaker_openings_total"
STORE_REFUSED, STORE_RETRIES = "gateway_store_refused_total", "gateway_store_retries_total"
RESULTS = "gateway_results_total"
STAGE_SECONDS = "gateway_scoring_seconds"
WAITING, RUNNING = "gateway_scorer_jobs_waiting", "gateway_scorer_jobs_running"
OLDEST_WAIT = "gateway_scorer_oldest_wait_seconds"
CONNECTIONS = "gateway_connections_open"
OPEN_FILES, OPEN_FILES_LIMIT = "gateway_file_descriptors_open", "gateway_file_descriptors_limit"
CERTIFICATE_RELOADS = "gateway_certificate_reloads_total"
OTLP_EXPORTS = "gateway_otlp_exports_total"
HANDSHAKES_FAILED = "gateway_tls_handshakes_failed_total"
CERTIFICATE_EXPIRY = "gateway_certificate_expiry_timestamp_seconds"

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_NAMES = (*(f"{bound:g}" for bound in BOUNDS_S), "+Inf")
_SUM = "sum"  # stands where the name of a bucket stands
_UNSAFE = re.compile(r'[\\"\n]')


Figures = Mapping[tuple[str, ...], float]  # of one metric, by its labels' values (a histogram's bucket is one more)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its meaning, what Prometheus calls its kind, its labels, and what several processes' figures make."""

    meaning: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    combine: Callable[[Iterable[float]], float] = sum


METRICS: Mapping[str, Metric] = {
    REQUESTS: Metric("Requests that have ended.", "counter", ("dialect", "action", "status")),
    REQUEST_SECONDS: Metric("From a request's head to the end of its answer.", "histogram", ("dialect",)),
    RECEIVED_BYTES: Metric("Bytes of requests' bodies.", "counter", ("dialect",)),
    SENT_BYTES: Metric("Bytes of answers' bodies.", "counter", ("dialect",)),
    REFUSALS: Metric("Requests that the gateway itself answered with an error.", "counter", ("kind",)),
    REFUSED_CLAIMS: Metric("Requests refused for who asks or how that is proved.", "counter", ("reason",)),
    UNCOVERED: Metric("COS process parameters accepted although the signature does not cover them.", "counter"),
    USAGE_ANALYSES: Metric(
        "Scores and other analyses of pictures that succeeded.", "counter", ("identity", "bucket", "dialect")
    ),
    USAGE_BYTES: Metric("Bytes of bodies sent and received.", "counter", ("identity", "bucket", "dialect")),
    STORE_REQUESTS: Metric("Requests to a store by status, or by what failed.", "counter", ("store", "outcome")),
    STORE_SECONDS: Metric("From a request without a body to the store's status line.", "histogram", ("store",)),
    STORE_REACHABLE: Metric("Whether the store answered when it was last asked.", "gauge", ("store",), min),
    BREAKER_OPEN: Metric("Whether an address of a store is left alone.", "gauge", ("store", "address"), max),
    BREAKER_OPENINGS: Metric(
        "How often an address of a store began to be left alone.", "counter", ("store", "address")
    ),
    STORE_REFUSED: Metric("Requests refused because a store is left alone.", "counter", ("store",)),
    STORE_RETRIES: Metric("Second tries: sent, or denied by their budget.", "counter", ("store", "result")),
    RESULTS: Metric("Questions about objects by where the answer came from.", "counter", ("event",)),
    STAGE_SECONDS: Metric(
        "Stages of scoring: header, wait, score (of it: decode, model), render.", "histogram", ("stage",)
    ),
    WAITING: Metric("Pictures that wait for a scorer.", "gauge"),
    RUNNING: Metric("Pictures that a scorer has.", "gauge"),
    OLDEST_WAIT: Metric("How long the first of the waiting pictures has waited.", "gauge", combine=max),
    CONNECTIONS: Metric("Open connections of clients.", "gauge"),
    OPEN_FILES: Metric("Open file descriptors of the gateway process that has the most.", "gauge", combine=max),
    OPEN_FILES_LIMIT: Metric("How many a gateway process may have.", "gauge", combine=min),
    HANDSHAKES_FAILED: Metric("TLS handshakes of clients that failed.", "counter", ("reason",)),
    CERTIFICATE_RELOADS: Metric("Readings of a changed certificate.", "counter", ("result",)),
    CERTIFICATE_EXPIRY: Metric("When the certificate in force expires.", "gauge", combine=min),
    OTLP_EXPORTS: Metric("Sendings to the OpenTelemetry collector.", "counter", ("signal", "result")),
    KEY_RELOADS: Metric("Readings of a changed key file.", "counter", ("result",)),
    SETTINGS_RELOADS: Metric("Readings of the settings at SIGHUP.", "counter", ("result",)),
    PROCESS_STARTS: Metric("Processes started; more than at first are restarts.", "counter", ("process",)),
    SCORERS_RUNNING: Metric("Scorer processes that live.", "gauge"),
}


def observe(counts: Counts, name: str, seconds: float, label: str) -> None:
    """Add one duration to a histogram among the counts; each has one label."""
    counts[name, label, _NAMES[bisect_left(BOUNDS_S, seconds)]] += 1
    counts[name, label, _SUM] += seconds  # type: ignore[assignment] # a Counter adds up any numbers


def lasting(counts: Counts) -> Counts:
    """Return what a process hands on to its successor: what it counted, not what it measured."""
    return type(counts)({name: count for name, count in counts.items() if METRICS[name[0]].kind != "gauge"})


def exposition(processes: Iterable[Counts]) -> str:
    """Return the figures of several processes as one page in the Prometheus text format."""
    lines: list[str] = []
    for name, figures in combined(processes).items():
        row = METRICS[name]
        lines += [f"# HELP {name} {row.meaning}", f"# TYPE {name} {row.kind}"]
        lines += _histogram(name, row, figures) if row.kind == "histogram" else _samples(name, row, figures)
    return "\n".join(lines) + "\n"


def combined(processes: Iterable[Counts]) -> dict[str, Figures]:
    """Return what the figures of several processes make together, metric by metric."""
    found: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for counts in processes:
        for (name, *labels), count in counts.items():
            found.setdefault(name, {}).setdefault(tuple(labels), []).append(count)
    return {
        name: {labels: row.combine(figures) for labels, figures in found[name].items()}
        for name, row in METRICS.items()
        if name in found
    }


def histograms(figures: Figures) -> Iterator[tuple[tuple[str, ...], list[int], float]]:
    """Yield each histogram among a metric's figures: its labels, how many fell between the bounds, and their sum."""
    for labels in sorted({labels[:-1] for labels in figures}):
        counts = [round(figures.get((*labels, bound), 0)) for bound in _NAMES]
        yield labels, counts, figures.get((*labels, _SUM), 0.0)


def _samples(name: str, row: Metric, figures: Figures) -> Iterator[str]:
    for labels in sorted(figures):
        yield _sample(name, zip(row.labels, labels, strict=True), figures[labels])


def _histogram(name: str, row: Metric, figures: Figures) -> Iterator[str]:
    for labels, counts, total in histograms(figures):
        told = list(zip(row.labels, labels, strict=True))
        for bound, so_far in zip(_NAMES, accumulate(counts), strict=True):
            yield _sample(f"{name}_bucket", [*told, ("le", bound)], so_far)
        yield _sample(f"{name}_sum", told, total)
        yield _sample(f"{name}_count", told, sum(counts))


def _sample(name: str, labels: Iterable[tuple[str, str]], figure: float) -> str:
    told = ",".join(f'{label}="{_UNSAFE.sub(_escaped, value)}"' for label, value in labels)
    number = int(figure) if figure == int(figure) else round(figure, 6)
    return f"{name}{{{told}}} {number}" if told else f"{name} {number}"


def _escaped(match: re.Match[str]) -> str:
    return "\\n" if match[0] == "\n" else f"\\{match[0]}"
